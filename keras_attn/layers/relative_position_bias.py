import math

import keras
import numpy as np
from keras import ops

from keras_attn.layers._head_positions import HeadPositions


@keras.saving.register_keras_serializable("keras_attn")
class RelativePositionBias(HeadPositions):
    """T5's relative positions for an attention layer's argument `positions`.

    A learned number a head and bucket of distances is added to the scores. Half of
    the buckets hold one distance each, the others grow logarithmically up to
    `max_distance`, and what is farther shares the last.

    Several layers may hold one instance, as all layers of T5 do: it learns from all of
    them, and is one again in a model loaded from a `.keras` file. `from_config` and
    `keras.models.clone_model` give each layer one of its own.

    Args:
        num_heads: Int, that of the attention layer.
        num_buckets: Int, at least 4 and even if `bidirectional`.
        max_distance: Int, from which on all distances are one.
        bidirectional: Bool. Whether keys after the query have buckets of their own.
        embeddings_initializer: Initializer of the numbers.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Reference:
        Raffel et al., 2020, https://arxiv.org/abs/1910.10683, section 2.1.
    """

    def __init__(
        self,
        num_heads,
        num_buckets=32,
        max_distance=128,
        bidirectional=True,
        embeddings_initializer="random_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_buckets < 4 or (bidirectional and num_buckets % 2):
            raise ValueError(
                "`num_buckets` must be at least 4, and even if `bidirectional`. "
                f"Received: num_buckets={num_buckets}"
            )
        exact = num_buckets // (4 if bidirectional else 2)
        if max_distance <= exact:
            raise ValueError(
                f"`max_distance` must be above {exact} with num_buckets={num_buckets}. "
                f"Received: max_distance={max_distance}"
            )
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, self.num_heads),
            initializer=self.embeddings_initializer,
        )

    def check(self, num_heads, key_dim):
        if num_heads != self.num_heads:
            raise ValueError(
                "`RelativePositionBias` must have the attention layer's `num_heads`. "
                f"Received: num_heads={self.num_heads} where the layer has {num_heads}"
            )

    def bias(self, query_positions, key_positions):
        distance = key_positions[None, None, :] - query_positions[:, :, None]
        table = ops.convert_to_tensor(self.embeddings)
        return ops.transpose(
            ops.take(table, self.bucket(distance), axis=0), (0, 3, 1, 2)
        )

    def bucket(self, distance):
        """Buckets of distances, key minus query, of any shape."""
        table, first = self._table(), 0
        if self.bidirectional:
            first = self.num_buckets // 2 * ops.cast(distance > 0, "int32")
            distance = ops.abs(distance)
        else:
            distance = ops.maximum(-distance, 0)
        return first + ops.take(table, ops.minimum(distance, self.max_distance))

    def _table(self):
        """The bucket of each distance, made on the host: a logarithm may be rounded
        one way by one compiler and the other way by the next."""
        buckets = self.num_buckets // (2 if self.bidirectional else 1)
        exact = buckets // 2
        distance = np.arange(self.max_distance + 1)
        ratio = np.log(np.maximum(distance, exact) / exact)
        ratio /= math.log(self.max_distance / exact)
        far = exact + np.floor(ratio * (buckets - exact) + 1e-9)
        table = np.where(distance < exact, distance, np.minimum(far, buckets - 1))
        return table.astype("int32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
