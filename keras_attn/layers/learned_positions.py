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
            position past the last is given no vector.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If a sequence is longer than `max_length`, where that is known.

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
        check_rank("inputs", inputs.shape, (3,), "(batch, time, dim)")
        steps = inputs.shape[1]
        if isinstance(steps, int) and steps > self.max_length:
            raise ValueError(
                f"`inputs` must have at most max_length={self.max_length} steps. "
                f"Received: inputs.shape={tuple(inputs.shape)}"
            )
        if positions is None:
            positions = ops.arange(ops.shape(inputs)[1])[None]
        exists = ops.logical_and(positions >= 0, positions < self.max_length)
        table = ops.convert_to_tensor(self.embeddings)
        vectors = ops.take(table, ops.where(exists, positions, 0), axis=0)
        vectors = ops.where(exists[..., None], vectors, 0.0)
        return inputs + ops.cast(vectors, inputs.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
