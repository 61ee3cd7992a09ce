import keras
import numpy as np
from keras import ops

from keras_attn.layers._checks import (
    check_counts,
    check_rank,
    check_weights,
    check_width,
)
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.ops.gaussian_policy import gaussian_log_prob, gaussian_sample
from keras_attn.ops.spread_points import spread_points
from keras_attn.ops.stateless_random import random_normal


@keras.saving.register_keras_serializable("keras_attn")
class LocationPolicy(ProjectingLayer):
    """Says where to look next: a normal distribution around a learned place.

    The mean is `tanh(W h + b)`, of `h = relu(W' inputs + b')` where there is a hidden
    layer. The deviation is a weight that is not trained, `deviation`: a callback may
    assign it, to look around widely at first and closely at last. In training the
    location is drawn, else it is the mean. A location is data: no gradient runs through
    it. That of its log-probability runs to the mean, which is what `ops.reinforce` is
    made for.

    With `num_steps` each step has a bias of its own, `tanh(W h + b + b_t)`. The biases
    begin spread over the image and `W` at zero: at first each input is looked at in
    the same few places, and what is learned is where to look instead. Without, all
    looks begin at the middle.

    Args:
        std: Float above 0, the standard deviation at first, in halves of the image.
        hidden_units: Optional int, width of a hidden layer.
        num_steps: Optional int, how many locations are decided on one after another.
        use_bias: Bool. Adds biases.
        kernel_initializer, bias_initializer: Initializers of the layers.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        seed: Int, seed of what is drawn.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        inputs: Tensor `(batch, dim)`, what the decision is made on.
        step: Int in [0, num_steps), which of them it is. With `num_steps` only.
        return_log_prob: Bool. Also return the log-probability of the location.
        training: Bool. Whether the location is drawn.

    Returns:
        Float32 tensor `(batch, 2)`, row and column in [-1, 1]. What is drawn beyond is
        looked at from the edge; its log-probability, `(batch,)` on request, is that of
        the draw.

    Raises:
        ValueError: If an argument has the wrong rank, width or value.

    Example:
        >>> policy = keras_attn.LocationPolicy(std=0.1)
        >>> location, log_prob = policy(state, return_log_prob=True, training=True)

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247, section 4.
    """

    def __init__(
        self,
        std=0.1,
        hidden_units=None,
        num_steps=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        seed=None,
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
            **kwargs,
        )
        check_weights(std=std)
        if not std:
            raise ValueError(f"`std` must be above 0. Received: std={std}")
        if hidden_units is not None:
            check_counts(hidden_units=hidden_units)
        if num_steps is not None:
            check_counts(num_steps=num_steps)
        self.std = std
        self.hidden_units = hidden_units
        self.num_steps = num_steps
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.hidden = self.step_bias = None

    def build(self, inputs_shape):
        width = self._dim = inputs_shape[-1]
        if self.hidden_units is not None:
            self.hidden = self._dense(
                "hidden", self.hidden_units, self.use_bias, "relu"
            )
            self.hidden.build(inputs_shape)
            width = self.hidden_units
        self.place = self._dense("place", 2, self.use_bias)
        if self.num_steps is not None:
            self.place.kernel_initializer = keras.initializers.Zeros()
            self.step_bias = self.add_weight(
                shape=(self.num_steps, 2), initializer=_spread, name="step_bias"
            )
        self.place.build((*inputs_shape[:-1], width))
        self.deviation = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.std),
            dtype="float32",
            trainable=False,
            autocast=False,  # the log-probability divides by its square
            name="deviation",
        )

    def call(self, inputs, step=None, return_log_prob=False, training=None):
        check_rank("inputs", inputs.shape, (2,), "(batch, dim)")
        check_width("inputs", inputs.shape, self._dim)
        mean = self.mean(inputs, self._check_step(step))
        noise = self.noise(ops.shape(mean)) if training else ops.zeros_like(mean)
        drawn = gaussian_sample(mean, self.deviation, noise)
        location = ops.clip(drawn, -1.0, 1.0)
        if not return_log_prob:
            return location
        return location, gaussian_log_prob(drawn, mean, self.deviation)

    def mean(self, inputs, step=slice(None)):
        """Means, float32 `(..., 2)`, for states `(..., dim)`.

        `step` is an int, or a slice for states `(..., steps, dim)`.
        """
        hidden = inputs if self.hidden is None else self.hidden(inputs)
        place = ops.cast(self.place(hidden), "float32")
        if self.step_bias is not None:
            place = place + ops.cast(self.step_bias, "float32")[step]
        return ops.tanh(place)

    def noise(self, shape):
        """Standard normal numbers; those of a whole loop are drawn before it."""
        return random_normal(self.seed_generator.next(), 0, shape)

    def _check_step(self, step):
        if self.num_steps is None and step is None:
            return 0
        if self.num_steps is None or step not in range(self.num_steps):
            expected = f"in [0, {self.num_steps})" if self.num_steps else "None"
            raise ValueError(
                f"`step` must be {expected} with num_steps={self.num_steps}. "
                f"Received: step={step!r}"
            )
        return step

    def get_config(self):
        return {
            **super().get_config(),
            "std": self.std,
            "hidden_units": self.hidden_units,
            "num_steps": self.num_steps,
            "seed": self.seed,
        }


def _spread(shape, dtype=None):
    """What `tanh` takes to the points."""
    return ops.convert_to_tensor(np.arctanh(spread_points(shape[0])), dtype)
