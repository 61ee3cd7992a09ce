import keras

from keras_attn.layers._checks import check_counts, check_width
from keras_attn.layers._graph_members import graph_members
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.ops.graph_pooling import pool_graphs, softmax_over_graphs
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class AttentionPooling(ProjectingLayer):
    """A weighted mean of the nodes of each graph, by learned attention.

    A node `x` is scored by `v . tanh(W x + b)`; a softmax over the nodes of a graph
    turns the scores into weights that sum to one. They say which nodes the answer
    comes from. The graphs are padded, or lie side by side with the id of its graph for
    each node.

    Args:
        units: Int, width of the projection that scores a node.
        use_bias: Bool. Adds the bias `b`.
        kernel_initializer, bias_initializer: Initializers of the projections.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(batch, nodes, dim)`, or `(nodes, dim)` with `graph_ids`.
        graph_ids, num_graphs, nodes_mask: As in `GraphPooling`.
        return_attention_scores: Bool. Also return the weights.

    Returns:
        Tensor `(batch, dim)` or `(num_graphs, dim)`, zeros for a graph without nodes.
        With `return_attention_scores=True` then the weights, of the shape of `nodes`
        but for `dim`, zeros for padding.

    Raises:
        ValueError: If an argument has the wrong rank, width, dtype or value.

    Example:
        >>> pooling = keras_attn.AttentionPooling(32)
        >>> pooled, weights = pooling(
        ...     nodes, nodes_mask=mask, return_attention_scores=True
        ... )

    Reference:
        Li et al., 2016, https://arxiv.org/abs/1511.05493. Ilse et al., 2018,
        https://arxiv.org/abs/1802.04712.
    """

    def __init__(self, units, use_bias=True, **kwargs):
        super().__init__(use_bias=use_bias, **kwargs)
        check_counts(units=units)
        self.units = units

    def build(self, nodes_shape):
        self._dim = nodes_shape[-1]
        self.hidden = self._dense("hidden", self.units, self.use_bias, "tanh")
        self.hidden.build(nodes_shape)
        self.score = self._dense("score", 1)
        self.score.build((*nodes_shape[:-1], self.units))

    def call(
        self,
        nodes,
        graph_ids=None,
        num_graphs=None,
        nodes_mask=None,
        return_attention_scores=False,
    ):
        members = graph_members(nodes, graph_ids, num_graphs, nodes_mask)
        check_width("nodes", nodes.shape, self._dim)
        nodes = zero_masked(nodes, members.kept())
        scores = self.score(self.hidden(nodes))[..., 0]
        weights = softmax_over_graphs(scores, members)
        pooled = pool_graphs(weights[..., None] * nodes, members, "sum")
        return (pooled, weights) if return_attention_scores else pooled

    def compute_mask(self, inputs, previous_mask):
        return None  # the axis of the nodes is gone

    def get_config(self):
        return {**super().get_config(), "units": self.units}
