import keras
from keras import ops

from keras_attn.layers._checks import check_rank, check_width
from keras_attn.layers._graph_arguments import check_edges
from keras_attn.ops.graph_coarsening import (
    adjacency_at,
    best_nodes,
    edges_at,
    nodes_at,
)
from keras_attn.ops.memory import zero_masked


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
        edges: In its place, int tensor `(batch, edges, 2)` of senders and receivers,
            -1 for the receiver of padding.
        nodes_mask: Optional bool tensor `(batch, nodes)`, `False` for padding.

    Returns:
        Tuple of the nodes `(batch, kept, dim)`, the adjacency `(batch, kept, kept)` and
        the bool mask `(batch, kept)` of what is no padding; `kept` is `ratio` of
        `nodes`, rounded up. With `edges` they come in place of the adjacency, as many
        as before, so that their weights and features stay theirs: one that has lost a
        node has become padding.

    Raises:
        ValueError: If an argument has the wrong rank, width, size or value.

    Example:
        >>> pooling = keras_attn.TopKPooling(0.5)
        >>> nodes, adjacency, mask = pooling(nodes, adjacency, nodes_mask=mask)
        >>> atoms, bonds, mask = pooling(atoms, edges=bonds, nodes_mask=mask)

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

    def build(self, nodes_shape):
        self._dim = nodes_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self._dim, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def call(self, nodes, adjacency=None, edges=None, nodes_mask=None):
        check_rank("nodes", nodes.shape, (3,), "(batch, nodes, dim)")
        check_width("nodes", nodes.shape, self._dim)
        check_edges(nodes, adjacency, edges, nodes_mask=nodes_mask)
        nodes = zero_masked(nodes, nodes_mask)
        kernel = ops.cast(self.kernel, "float32")
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(kernel)), 1e-12))
        scores = ops.matmul(ops.cast(nodes, "float32"), kernel / length)
        gated = nodes * ops.cast(ops.tanh(scores), nodes.dtype)
        ranked, kept = best_nodes(scores[..., 0], nodes_mask, self.ratio)
        if edges is None:
            rest = adjacency_at(ops.cast(adjacency, nodes.dtype), ranked, kept)
        else:
            rest = edges_at(edges, ranked, kept)
        return nodes_at(gated, ranked, kept), rest, kept

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
