import keras
from keras import ops

from keras_attn.layers._dense_graph import dense_graph
from keras_attn.ops.graph_coarsening import best_nodes


@keras.saving.register_keras_serializable("keras_attn")
class TopKPooling(keras.layers.Layer):
    """Keeps the best nodes of each graph, and the edges between them.

    A node `x` is scored by `s = x . p / |p|` with a learned direction `p`. The share
    `ratio` of a graph's nodes that scores best stays, in falling order, each scaled by
    `tanh(s)`, by which `p` learns.

    Args:
        ratio: Float in [0.001, 1], the share of a graph's nodes to keep, rounded up.
        kernel_initializer: Initializer of `p`.
        kernel_regularizer: Regularizer of the same.
        kernel_constraint: Constraint of the same.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(batch, nodes, dim)`.
        adjacency: Tensor `(batch, nodes, nodes)`.
        nodes_mask: Optional bool tensor `(batch, nodes)`, `False` for padding.

    Returns:
        Tuple of the nodes `(batch, kept, dim)`, the adjacency `(batch, kept, kept)` and
        the bool mask `(batch, kept)` of what is no padding; `kept` is `ratio` of
        `nodes`, rounded up.

    Raises:
        ValueError: If an argument has the wrong rank, width, size or value.

    Example:
        >>> pooling = keras_attn.TopKPooling(0.5)
        >>> nodes, adjacency, mask = pooling(nodes, adjacency, nodes_mask=mask)

    Reference:
        Gao & Ji, 2019, https://arxiv.org/abs/1905.05178.
    """

    def __init__(
        self,
        ratio=0.5,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        kernel_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0.001 <= ratio <= 1:
            raise ValueError(f"`ratio` must be in [0.001, 1]. Received: ratio={ratio}")
        self.ratio = ratio
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)

    def build(self, nodes_shape, adjacency_shape):
        self._dim = nodes_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self._dim, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def call(self, nodes, adjacency, nodes_mask=None):
        nodes, adjacency, mask = dense_graph(nodes, adjacency, nodes_mask, self._dim)
        kernel = ops.cast(self.kernel, "float32")
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(kernel)), 1e-12))
        scores = ops.matmul(ops.cast(nodes, "float32"), kernel / length)
        gated = nodes * ops.cast(ops.tanh(scores), nodes.dtype)
        return best_nodes(gated, adjacency, scores[..., 0], mask, self.ratio)

    def compute_mask(self, inputs, previous_mask):
        return None  # the mask is an output

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }
