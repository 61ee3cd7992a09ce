import keras
from keras import ops

from keras_attn.layers._checks import check_rank, check_width
from keras_attn.layers._graph_arguments import read_edges
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.ops.graph_coarsening import (
    clustered,
    minimum_cut_loss,
    orthogonality_loss,
)
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class MinCutPooling(ProjectingLayer):
    """Gathers the nodes of each graph in learned clusters, a smaller graph.

    `S = softmax(X W + b)` says how much of a node belongs to each cluster. The clusters
    are the nodes `S^T X`, and `S^T A S` without its diagonal, normalised on both sides,
    is the adjacency between them. Two losses are added to those of the model: the cut,
    `-Tr(S^T A S) / Tr(S^T D S)`, which wants neighbours in one cluster, and
    `|S^T S / |S^T S| - I / sqrt(clusters)|`, which wants clusters of equal size.

    Args:
        clusters: Int, number of clusters.
        loss_weight: Float, factor of both losses.
        use_bias: Bool. Adds the bias `b`.
        kernel_initializer, bias_initializer: Initializers of the projection.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(batch, nodes, dim)`.
        adjacency, edges, edge_weights, layout: See `GraphConv`, with a batch; of every
            edge the one back, too, and no negative weight.
        nodes_mask: Optional bool tensor `(batch, nodes)`, `False` for padding.
        return_assignment: Bool. Also return `S`.

    Returns:
        Tuple of the clusters `(batch, clusters, dim)` and their adjacency `(batch,
        clusters, clusters)`, zeros for a graph without nodes. With
        `return_assignment=True` then `S`, `(batch, nodes, clusters)`, zeros for
        padding.

    Raises:
        ValueError: If an argument has the wrong rank, width, size or value.

    Example:
        >>> pooling = keras_attn.MinCutPooling(clusters=8)
        >>> nodes, adjacency = pooling(nodes, adjacency, nodes_mask=mask)

    Reference:
        Bianchi et al., 2020, https://arxiv.org/abs/1907.00481.
    """

    def __init__(self, clusters, loss_weight=1.0, use_bias=True, **kwargs):
        super().__init__(use_bias=use_bias, **kwargs)
        if clusters < 2:
            raise ValueError(
                "`clusters` must be at least 2; `GraphPooling` makes one row a graph. "
                f"Received: clusters={clusters}"
            )
        if loss_weight < 0:
            raise ValueError(
                f"`loss_weight` must not be negative. Received: {loss_weight}"
            )
        self.clusters = clusters
        self.loss_weight = loss_weight

    def build(self, nodes_shape):
        self._dim = nodes_shape[-1]
        self.assignment = self._dense("assignment", self.clusters, self.use_bias)
        self.assignment.build(nodes_shape)

    def call(
        self,
        nodes,
        adjacency=None,
        edges=None,
        edge_weights=None,
        layout=None,
        nodes_mask=None,
        return_assignment=False,
    ):
        check_rank("nodes", nodes.shape, (3,), "(batch, nodes, dim)")
        check_width("nodes", nodes.shape, self._dim)
        connected = read_edges(
            nodes, adjacency, edges, edge_weights, layout, nodes_mask
        )
        nodes = zero_masked(nodes, nodes_mask)
        scores = ops.cast(self.assignment(nodes), "float32")  # sums outgrow 16 bits
        assignment = zero_masked(ops.softmax(scores, axis=-1), nodes_mask)
        reached = connected.propagate(connected.lay_out(assignment))
        between = ops.einsum("bnk,bnl->bkl", assignment, connected.restore(reached))
        degrees = connected.restore(connected.degrees())
        self._add_losses(assignment, between, degrees, nodes_mask)
        outputs = clustered(ops.cast(nodes, "float32"), assignment, between)
        if return_assignment:
            outputs = (*outputs, assignment)
        return tuple(ops.cast(output, nodes.dtype) for output in outputs)

    def _add_losses(self, assignment, between, degrees, mask):
        """The mean over the graphs that have nodes."""
        graphs = ops.cast(ops.shape(assignment)[0], "float32")
        if mask is not None:
            graphs = ops.sum(ops.cast(ops.any(mask, axis=-1), "float32"))
        weight = self.loss_weight / ops.maximum(graphs, 1.0)
        cut = minimum_cut_loss(assignment, between, degrees)
        self.add_loss(weight * ops.sum(cut))
        self.add_loss(weight * ops.sum(orthogonality_loss(assignment)))

    def compute_mask(self, inputs, previous_mask):
        return None  # the axis of the nodes is gone

    def get_config(self):
        return {
            **super().get_config(),
            "clusters": self.clusters,
            "loss_weight": self.loss_weight,
        }
