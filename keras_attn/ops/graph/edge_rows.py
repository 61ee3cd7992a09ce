import math

from keras import ops

from keras_attn.ops.graph.aggregation import highest, inverse, lowest
from keras_attn.ops.graph.indices import take_edges
from keras_attn.ops.graph.row_sums import mirrored_row_sums, row_sums, with_empty_row
from keras_attn.ops.graph.segments import segment_max, segment_sum


class EdgeRows:
    """Edges in rows of `k` slots, those of a row with one receiver.

    An edge list is a table with one slot a row. A batch of graphs lies side by side,
    its nodes counted through. What an edge carries has shape `(r, k, ...)`.

    Args:
        senders: Int tensor `(r, k)`, n in an empty slot.
        receivers: Int tensor `(r,)`, -1 for an empty row.
        nodes_shape: `(n,)`, or `(b, n)` of a batch.
        slots_shape: Shape of the edges as the caller knows them.
        weights: Optional tensor `(r, k)`, zero in an empty slot.
        edges: Optional int tensor of `slots_shape`: which edge of the list lies in a
            slot, the number of edges in an empty one. `None` for an edge list.
        back: Optional tuple of `senders`, `receivers` and, with weights, `weights` of
            the same edges turned around, through which the gradient then goes.
    """

    def __init__(
        self,
        senders,
        receivers,
        nodes_shape,
        slots_shape,
        weights=None,
        edges=None,
        back=None,
    ):
        self.senders, self.receivers = senders, receivers
        self.nodes_shape, self.slots_shape = nodes_shape, slots_shape
        self.num_nodes = math.prod(nodes_shape)
        self.weights = weights
        self.edges = edges
        self.back = back
        exists = ops.logical_and(senders < self.num_nodes, receivers[:, None] >= 0)
        if weights is not None:
            exists = ops.logical_and(exists, weights != 0)
        self.exists = exists

    def lay_out(self, nodes):
        """The nodes, or what lies on them, `(..., n, f)`, as the rest wants them."""
        if len(self.nodes_shape) == 1:
            return nodes
        return ops.reshape(nodes, (-1, *nodes.shape[2:]))

    def restore(self, nodes):
        """Undoes `lay_out`."""
        if len(self.nodes_shape) == 1:
            return nodes
        return ops.reshape(nodes, (*self.nodes_shape, *nodes.shape[1:]))

    def restore_edges(self, values):
        """What lies on the edges `(r, k, ...)` in the order and shape of the caller."""
        return ops.reshape(values, (*self.slots_shape, *values.shape[2:]))

    def degrees(self):
        """Float32 tensor `(n,)`: the sum of the weights of what a node receives."""
        values = ops.cast(self.exists, "float32")
        if self.weights is not None:
            values = values * ops.cast(self.weights, "float32")
        return segment_sum(ops.sum(values, axis=1), self.receivers, self.num_nodes)

    def propagate(self, nodes):
        """`A X`: each node's sum of its senders `(n, f)`, times the edges' weights."""
        tables = (self.senders, self.receivers)
        weights = self.weights
        if weights is not None:
            weights = ops.cast(weights, nodes.dtype)
        if self.back is None:
            return row_sums(nodes, *tables, self.num_nodes, weights)
        *back_tables, back_weights = self.back
        if weights is not None:
            back_weights = ops.stop_gradient(ops.cast(back_weights, nodes.dtype))
        return mirrored_row_sums(nodes, tables, back_tables, weights, back_weights)

    def from_senders(self, nodes):
        """What the sender of each edge holds, `(r, k, ...)`."""
        return ops.take(with_empty_row(nodes), self.senders, axis=0)

    def from_receivers(self, nodes):
        """What the receiver of each edge holds, `(r, 1, ...)`."""
        owners = ops.where(self.receivers < 0, self.num_nodes, self.receivers)
        return ops.take(with_empty_row(nodes), owners, axis=0)[:, None]

    def on_edges(self, features):
        """The features of the edges, in the order of the list, `(r, k, g)`."""
        if self.edges is None:
            return ops.reshape(features, (-1, 1, features.shape[-1]))
        return take_edges(features, self.edges, len(self.nodes_shape))

    def weighted(self, messages):
        """Messages `(r, k, f)` times the weights of their edges."""
        if self.weights is None:
            return messages
        return messages * ops.cast(self.weights, messages.dtype)[..., None]

    def sum(self, messages):
        """Adds the messages `(r, k, f)` that a node receives, `(n, f)`."""
        messages = ops.sum(self.kept(messages, 0.0), axis=1)
        return segment_sum(messages, self.receivers, self.num_nodes)

    def largest(self, messages):
        """The largest messages that a node receives, without a gradient.

        A very low number where it receives none.
        """
        rows = highest(self.kept(messages, lowest(messages)), axis=1)
        return segment_max(rows, self.receivers, self.num_nodes)

    def softmax(self, scores, own=None):
        """Softmax over what a node receives, of each of `h` columns, in float32.

        Args:
            scores: Tensor `(r, k, h)`.
            own: Optional tensor `(n, h)`, the score of each node's loop to itself.

        Returns:
            Weights `(r, k, h)`, and those of the loops `(n, h)` or `None`.
        """
        dtype = scores.dtype
        scores = ops.cast(scores, "float32")
        highest = self.largest(scores)
        if own is not None:
            own = ops.cast(own, "float32")
            highest = ops.maximum(highest, ops.stop_gradient(own))
        powers = ops.exp(self.kept(scores - self.from_receivers(highest), -1e30))
        total = self.sum(powers)
        if own is not None:
            own = ops.exp(own - highest)
            total = total + own
        shares = inverse(total)
        weights = ops.cast(powers * self.from_receivers(shares), dtype)
        return weights, own if own is None else ops.cast(own * shares, dtype)

    def attend(self, weights, nodes):
        """Sums what the senders hold, `(n, h, f)`, times weights `(r, k, h)`."""
        return self.sum(weights[..., None] * self.from_senders(nodes))

    def kept(self, values, empty):
        """Values `(r, k, ...)`, or `empty` where there is no edge."""
        axes = tuple(range(2, len(values.shape)))
        return ops.where(ops.expand_dims(self.exists, axes), values, empty)
