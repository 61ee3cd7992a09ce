"""What graph layers with weights have in common."""

import keras

from keras_attn.layers._checks import check_counts
from keras_attn.layers._projecting import ProjectingLayer, clone


class GraphLayer(ProjectingLayer):
    """Makes `units` numbers of a node, with a bias and an activation at the end.

    The arguments are described where a subclass documents them.
    """

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        check_counts(units=units)
        self.supports_masking = True
        self.units = units
        self.activation = keras.activations.get(activation)

    def _build_bias(self, width):
        """A bias of its own, as what is projected is added up afterwards."""
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(width,),
                initializer=clone(self.bias_initializer),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _finish(self, outputs):
        if self.bias is not None:
            outputs = outputs + self.bias
        return self.activation(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }


def check_choice(name, value, choices):
    """Raises unless an argument of the constructor is one of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {tuple(choices)}. Received: {name}={value!r}"
        )
