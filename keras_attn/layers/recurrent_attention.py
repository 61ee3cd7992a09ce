from typing import Any

import keras
from keras import ops

from keras_attn.layers._checks import check_cell, check_counts, check_rank, check_rates
from keras_attn.layers._dropout import Dropout
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.layers.glimpse_network import GlimpseNetwork
from keras_attn.layers.location_policy import LocationPolicy
from keras_attn.ops.gaussian_policy import gaussian_log_prob, gaussian_sample


@keras.saving.register_keras_serializable("keras_attn")
class RecurrentAttention(ProjectingLayer):
    """Looks at an image a few times, each time where the last looks lead it.

    The first glimpse is at the middle. A recurrent cell adds up what the glimpses
    show, `h_t = cell(g_t, h_{t-1})`, a policy says where the next one is, and after the
    last one a classifier reads `h_T`. A baseline predicts from each `h_t` how well it
    will end.

    Gradients stop where Mnih et al. have them stop: that of the classifier reaches the
    cell and the glimpse network, not the policy; those of the log-probabilities and of
    the baseline reach the policy and the baseline, nothing before them. So a loss on
    the logits alone trains everything but the policy, which wants
    `ops.reinforce.reinforce_loss`, as `RecurrentAttentionModel` adds it.

    Args:
        glimpse_network: A `GlimpseNetwork`.
        location_policy: A `LocationPolicy`.
        cell: A Keras RNN cell without dropout of its own, such as
            `keras.layers.SimpleRNNCell(256, "relu")`.
        num_classes: Int.
        num_glimpses: Int, number of looks, the first one included.
        dropout: Float in [0, 1). In training so much is dropped of each glimpse's
            vector and of the state that is classified.
        use_baseline: Bool. Whether there is a baseline; without it a trace has no
            `values`.
        use_bias: Bool. Adds biases to classifier and baseline.
        kernel_initializer, bias_initializer: Initializers of classifier and baseline.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        images: Tensor `(batch, height, width, channels)`, floats or uint8.
        num_samples: Optional int: so many passes over each image with locations that
            are drawn. By default there is one pass, drawn in training and else by the
            means of the policy.
        include_mean: Bool. With `num_samples`, a pass by the means comes before them.
        return_trace: Bool. Also return what happened on the way.
        training: Bool. Whether the one pass by default is drawn.

    Returns:
        Logits `(batch, num_classes)`; with `num_samples` `(batch, passes,
        num_classes)`. With `return_trace=True` also a dict of float32 tensors that
        begin alike: `locations` `(..., num_glimpses, 2)`, row and column of each look;
        `log_prob` and `values` `(..., num_glimpses - 1)`, the log-probability of each
        location but the first and what the baseline expected before it was drawn.

    Raises:
        ValueError: If an argument has the wrong type, rank, dtype or value.

    Example:
        >>> attention = keras_attn.RecurrentAttention(
        ...     keras_attn.GlimpseNetwork(keras_attn.GlimpseSensor(8)),
        ...     keras_attn.LocationPolicy(std=0.1),
        ...     keras.layers.SimpleRNNCell(256, "relu"),
        ...     num_classes=10,
        ... )
        >>> logits, trace = attention(images, return_trace=True)

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247, sections 3 and 4.
    """

    def __init__(
        self,
        glimpse_network,
        location_policy,
        cell,
        num_classes,
        num_glimpses=6,
        dropout=0.0,
        use_baseline=True,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            autocast=False,  # the sensor casts what it cuts out
            **kwargs,
        )
        if not isinstance(glimpse_network, GlimpseNetwork):
            raise ValueError(
                "`glimpse_network` must be a GlimpseNetwork. "
                f"Received: glimpse_network={glimpse_network!r}"
            )
        if not isinstance(location_policy, LocationPolicy):
            raise ValueError(
                "`location_policy` must be a LocationPolicy. "
                f"Received: location_policy={location_policy!r}"
            )
        check_cell(cell)
        check_counts(num_classes=num_classes, num_glimpses=num_glimpses)
        check_rates(dropout=dropout)
        if location_policy.num_steps not in (None, num_glimpses - 1):
            raise ValueError(
                "`location_policy` must have a step for each glimpse but the first, "
                f"{num_glimpses - 1}. Received: num_steps={location_policy.num_steps}"
            )
        self.glimpse_network = glimpse_network
        self.location_policy = location_policy
        self.cell = cell
        self.num_classes = num_classes
        self.num_glimpses = num_glimpses
        self.dropout = dropout
        self.glimpse_dropout = Dropout(dropout, dtype=self.dtype_policy)
        self.state_dropout = Dropout(dropout, dtype=self.dtype_policy)
        self.use_baseline = use_baseline
        self.baseline: Any = None

    def build(self, images_shape):
        locations_shape = (images_shape[0], 1, 2)
        if not self.glimpse_network.built:  # a loaded one is
            self.glimpse_network.build(images_shape, locations_shape)
        if not self.cell.built:
            self.cell.build((None, self.glimpse_network.units))
        width = self.cell.output_size
        self.classifier = self._dense("classifier", self.num_classes, self.use_bias)
        self.classifier.build((None, width))
        if self.num_glimpses == 1:  # nothing is to be decided
            return
        if not self.location_policy.built:
            self.location_policy.build((None, width))
        if self.use_baseline:
            self.baseline = self._dense("baseline", 1, self.use_bias)
            self.baseline.build((None, width))

    def call(
        self,
        images,
        num_samples=None,
        include_mean=False,
        return_trace=False,
        training=None,
    ):
        check_rank("images", images.shape, (4,), "(batch, height, width, channels)")
        if num_samples is not None:
            check_counts(num_samples=num_samples)
        if num_samples is None and include_mean:
            raise ValueError("`include_mean` needs `num_samples`. Received: none")
        batch = ops.shape(images)[0]
        passes = (num_samples or 1) + include_mean
        noise = None
        if training or num_samples is not None:
            noise = self._noise(batch, passes, include_mean)
        watched, locations, drawn = self._look(images, batch, passes, noise, training)
        state = self.state_dropout(watched[-1], training=training)
        logits = self.classifier(state)
        logits = ops.reshape(logits, (batch, passes, self.num_classes))
        results = [logits]
        if return_trace:
            results.append(self._trace(batch, passes, watched, locations, drawn))
        if num_samples is None:
            results = keras.tree.map_structure(lambda x: x[:, 0], results)
        return tuple(results) if return_trace else results[0]

    def _look(self, images, batch, passes, noise, training):
        """One pass of `passes` eyes an image; unrolled, as there are a few steps only.

        Returns the state after each glimpse, `(batch * passes, n)`, where it was, and
        what was drawn for the next one, `(batch, passes, 2)`.
        """
        states = self.cell.get_initial_state(batch_size=batch * passes)
        location = ops.zeros((batch, passes, 2), "float32")
        watched, locations, drawn = [], [location], []
        for step in range(self.num_glimpses):
            seen = self.glimpse_network(images, location)
            seen = ops.reshape(seen, (batch * passes, self.glimpse_network.units))
            seen = self.glimpse_dropout(seen, training=training)
            output, states = self.cell(seen, states)
            watched.append(output)
            if step == self.num_glimpses - 1:
                break
            mean = self.location_policy.mean(ops.stop_gradient(output), step)
            mean = ops.reshape(mean, (batch, passes, 2))
            noises = ops.zeros_like(mean) if noise is None else noise[step]
            drawn.append(gaussian_sample(mean, self.location_policy.deviation, noises))
            location = ops.clip(drawn[-1], -1.0, 1.0)
            locations.append(location)
        return watched, locations, drawn

    def _trace(self, batch, passes, watched, locations, drawn):
        """What policy and baseline say of the states: after the loop, all at once."""
        shape = (batch, passes, self.num_glimpses - 1)
        trace = {"locations": ops.stack(locations, axis=2)}
        if self.num_glimpses == 1:
            nothing = ops.zeros(shape, "float32")
            values = {"values": nothing} if self.use_baseline else {}
            return {**trace, "log_prob": nothing, **values}
        states = ops.stop_gradient(ops.stack(watched[:-1], axis=1))
        mean = ops.reshape(self.location_policy.mean(states), (*shape, 2))
        actions = ops.stack(drawn, axis=2)
        deviation = self.location_policy.deviation
        trace["log_prob"] = gaussian_log_prob(actions, mean, deviation)
        if self.use_baseline:
            values = ops.cast(self.baseline(states), "float32")
            trace["values"] = ops.reshape(values, shape)
        return trace

    def _noise(self, batch, passes, include_mean):
        """`(num_glimpses - 1, batch, passes, 2)`, zeros for the pass by the means."""
        shape = (self.num_glimpses - 1, batch, passes, 2)
        if self.num_glimpses == 1:
            return None
        noise = self.location_policy.noise(shape)
        if include_mean:
            drawn = ops.arange(passes, dtype="float32")[:, None] > 0.0
            noise = ops.where(drawn, noise, 0.0)
        return noise

    def get_config(self):
        parts = ("glimpse_network", "location_policy", "cell")
        return {
            **super().get_config(),
            **{
                name: keras.saving.serialize_keras_object(getattr(self, name))
                for name in parts
            },
            "num_classes": self.num_classes,
            "num_glimpses": self.num_glimpses,
            "dropout": self.dropout,
            "use_baseline": self.use_baseline,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("glimpse_network", "location_policy", "cell"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
