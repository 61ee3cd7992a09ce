import keras
from keras import ops

from keras_attn.layers._checks import check_rank


@keras.saving.register_keras_serializable("keras_attn")
class LearnedPositions(keras.layers.Layer):
    """Adds a learned vector a position to a sequence.

    Args:
        max_length: Int, number of positions.
        embeddings_initializer: Initializer of the vectors.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, dim)`, of at most `max_length` steps.
        positions: Optional int tensor `(batch, time)`; by default 0, 1, ... A
            position below 0 or past the last is given no vector.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If a sequence is longer than `max_length`. A graph that learns
            the length only when it runs raises the backend's error then, also
            compiled by XLA.

    Reference:
        Gehring et al., 2017, https://arxiv.org/abs/1705.03122, section 3.1.
    """

    def __init__(self, max_length, embeddings_initializer="uniform", **kwargs):
        super().__init__(**kwargs)
        if not isinstance(max_length, int) or max_length < 1:
            raise ValueError(
                "`max_length` must be an int of at least 1. "
                f"Received: max_length={max_length!r}"
            )
        self.supports_masking = True
        self.max_length = max_length
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, inputs_shape):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_length, inputs_shape[-1]),
            initializer=self.embeddings_initializer,
        )

    def call(self, inputs, positions=None):
        self._check(inputs.shape)
        table, steps = ops.convert_to_tensor(self.embeddings), inputs.shape[1]
        if positions is None and (steps is None or isinstance(steps, int)):
            # Out of bounds this fails in any graph; a gather would be clamped by XLA.
            size = (ops.shape(inputs)[1], self.embeddings.shape[-1])
            return inputs + ops.cast(ops.slice(table, (0, 0), size), inputs.dtype)
        if positions is None:  # of a length that JAX knows as a symbol
            positions = ops.arange(steps)[None]
        exists = ops.logical_and(positions >= 0, positions < self.max_length)
        vectors = ops.take(table, ops.where(exists, positions, 0), axis=0)
        vectors = ops.where(exists[..., None], vectors, 0.0)
        return inputs + ops.cast(vectors, inputs.dtype)

    def compute_output_shape(self, inputs_shape):
        self._check(inputs_shape)  # torch would trace `call` with a length of its own
        return inputs_shape

    def _check(self, shape):
        check_rank("inputs", shape, (3,), "(batch, time, dim)")
        if isinstance(shape[1], int) and shape[1] > self.max_length:
            raise ValueError(
                f"`inputs` must have at most max_length={self.max_length} steps. "
                f"Received: inputs.shape={tuple(shape)}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
