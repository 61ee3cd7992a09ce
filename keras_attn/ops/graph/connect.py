"""From the arguments of a graph layer to its edges."""

import math

from keras import ops

from keras_attn.ops.graph.dense_edges import DenseEdges
from keras_attn.ops.graph.edge_rows import EdgeRows
from keras_attn.ops.graph.indices import count_through, take_edges

# The tables of a layout, by the owners of their rows.
TABLES = {
    "receivers": ("senders", "edges"),
    "back_senders": ("back_receivers", "back_edges"),
}


def connect(
    nodes_shape, adjacency=None, edges=None, edge_weights=None, layout=None, mask=None
):
    """The edges of a graph, of several side by side, or of a padded batch.

    An edge with an end outside of its graph, or at a masked node, is dropped, also
    where XLA would turn it into an edge between other nodes.

    Args:
        nodes_shape: `(n,)`, or `(b, n)` of a batch, which all else then has, too.
        adjacency: Tensor `(n, n)`.
        edges: Int tensor `(e, 2)` of senders and receivers.
        edge_weights: Optional tensor `(e,)`, with `edges` or `layout`.
        layout: Dict of the int tensors that `keras_attn.data.neighbor_layout` makes.
        mask: Optional bool tensor of shape `nodes_shape`, `True` = keep.

    Returns:
        `DenseEdges` or `EdgeRows`.
    """
    if adjacency is not None:
        if mask is not None:
            pairs = ops.logical_and(mask[..., :, None], mask[..., None, :])
            adjacency = ops.where(pairs, adjacency, 0.0)
        return DenseEdges(adjacency)
    nodes = _Nodes(nodes_shape, mask)
    if layout is None:
        senders, receivers = nodes.table(edges[..., :1], edges[..., 1])
        if edge_weights is not None:
            edge_weights = ops.reshape(edge_weights, (-1, 1))
            edge_weights = nodes.zero_empty(edge_weights, senders, receivers)
        edges_shape = ops.shape(edges)[:-1]
        return EdgeRows(senders, receivers, nodes_shape, edges_shape, edge_weights)
    senders, receivers = nodes.table(layout["senders"], layout["receivers"])
    back = nodes.table(layout["back_receivers"], layout["back_senders"])
    weights = back_weights = None
    if edge_weights is not None:
        rank = len(nodes_shape)
        weights = take_edges(edge_weights, layout["edges"], rank)
        weights = nodes.zero_empty(weights, senders, receivers)
        back_weights = take_edges(edge_weights, layout["back_edges"], rank)
        back_weights = nodes.zero_empty(back_weights, *back)
    return EdgeRows(
        senders,
        receivers,
        nodes_shape,
        ops.shape(layout["senders"]),
        weights,
        layout["edges"],
        (*back, back_weights),
    )


class _Nodes:
    """The nodes of all graphs, counted through."""

    def __init__(self, shape, mask):
        self.shape = shape
        self.count = math.prod(shape)
        self.kept = None
        if mask is not None:  # and the empty slot is kept by none
            self.kept = ops.pad(ops.reshape(mask, (-1,)), [(0, 1)])

    def table(self, senders, receivers):
        """Senders `(r, k)` and receivers `(r,)`, of edges that are there."""
        senders = count_through(senders, self.shape, self.count)
        receivers = count_through(receivers, self.shape, -1)
        if self.kept is not None:
            senders = ops.where(ops.take(self.kept, senders), senders, self.count)
            owners = ops.where(receivers < 0, self.count, receivers)
            receivers = ops.where(ops.take(self.kept, owners), receivers, -1)
        return senders, receivers

    def zero_empty(self, weights, senders, receivers):
        """A zero in an empty slot, whatever stands there."""
        kept = ops.logical_and(senders < self.count, receivers[:, None] >= 0)
        return ops.where(kept, weights, 0.0)
