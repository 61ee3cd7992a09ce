from keras import ops

from keras_attn.ops.graph.aggregation import highest, lowest
from keras_attn.ops.softmax import masked_softmax


class DenseEdges:
    """Edges as a matrix: the operations of `EdgeRows` for one graph or a batch.

    What an edge carries has shape `(..., n, n, f)`, receivers first. An entry of zero
    is no edge.

    Args:
        adjacency: Tensor `(n, n)` or `(b, n, n)`; row i holds the weights of what node
            i receives.
    """

    def __init__(self, adjacency):
        self.weights = adjacency
        self.exists = adjacency != 0

    def lay_out(self, nodes):
        return nodes

    def restore(self, nodes):
        return nodes

    def restore_edges(self, values):
        return values

    def degrees(self):
        return ops.sum(ops.cast(self.weights, "float32"), axis=-1)

    def propagate(self, nodes):
        weights = ops.cast(self.weights, nodes.dtype)
        if len(nodes.shape) == 2:
            # A batch of one: TensorFlow fuses a bias into a product of two matrices,
            # and then aborts where they are those of an empty graph.
            return ops.matmul(weights[None], nodes[None])[0]
        return ops.matmul(weights, nodes)

    def from_senders(self, nodes):
        return ops.expand_dims(nodes, self._nodes_axis)

    def from_receivers(self, nodes):
        return ops.expand_dims(nodes, self._nodes_axis + 1)

    def on_edges(self, features):
        return features

    def weighted(self, messages):
        return messages * ops.cast(self.weights, messages.dtype)[..., None]

    def sum(self, messages):
        return ops.sum(self.kept(messages, 0.0), axis=self._senders_axis)

    def largest(self, messages):
        return highest(self.kept(messages, lowest(messages)), self._senders_axis)

    def softmax(self, scores, own=None):
        scores = ops.swapaxes(scores, -1, -2)  # (..., n, h, n)
        mask = ops.expand_dims(self.exists, -2)
        if own is None:
            return ops.swapaxes(masked_softmax(scores, mask), -1, -2), None
        loop = ops.ones_like(own[..., :1, None], dtype="bool")
        scores = ops.concatenate([scores, own[..., None]], axis=-1)
        mask = ops.concatenate([mask, loop], axis=-1)
        weights = masked_softmax(scores, mask)
        return ops.swapaxes(weights[..., :-1], -1, -2), weights[..., -1]

    def attend(self, weights, nodes):
        return ops.einsum("...ijh,...jhf->...ihf", weights, nodes)

    @property
    def _nodes_axis(self):
        return len(self.weights.shape) - 2

    @property
    def _senders_axis(self):
        return len(self.weights.shape) - 1

    def kept(self, values, empty):
        axes = tuple(range(len(self.exists.shape), len(values.shape)))
        return ops.where(ops.expand_dims(self.exists, axes), values, empty)
