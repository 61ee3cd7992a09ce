import keras

from keras_attn.layers._dropout import Dropout
from keras_attn.layers._projecting import ProjectingLayer


class FeedForward(ProjectingLayer):
    """The position-wise half of a Transformer block: widen, activate, narrow.

    Args:
        intermediate_dim: Int, width in between.
        activation: Activation in between.
        gated: Bool. Multiplies the activated half of a twice as wide projection with
            its other half.
        dropout: Float in [0, 1), on what lies in between.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, equation 2. Shazeer,
        2020, https://arxiv.org/abs/2002.05202, for the gate.
    """

    def __init__(self, intermediate_dim, activation, gated, dropout, seed, **kwargs):
        super().__init__(**kwargs)
        self.gated = gated
        self.activation = keras.activations.get(activation)
        self.intermediate_dim = intermediate_dim
        self.dropout = Dropout(
            dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, inputs_shape):
        width = (2 if self.gated else 1) * self.intermediate_dim
        self.widen = self._dense("widen", width, self.use_bias)
        self.widen.build(inputs_shape)
        self.narrow = self._dense("narrow", inputs_shape[-1], self.use_bias)
        self.narrow.build((*inputs_shape[:-1], self.intermediate_dim))

    def call(self, inputs, training=None):
        hidden = self.widen(inputs)
        if self.gated:
            gate, hidden = keras.ops.split(hidden, 2, axis=-1)
            hidden = self.activation(gate) * hidden
        else:
            hidden = self.activation(hidden)
        return self.narrow(self.dropout(hidden, training=training))
