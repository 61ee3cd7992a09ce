import keras
from keras import ops

from keras_attn.layers._checks import check_counts, check_rates, check_width
from keras_attn.layers._graph_arguments import check_given, read_edges
from keras_attn.layers._graph_layer import GraphLayer
from keras_attn.layers._projecting import clone
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class GraphAttention(GraphLayer):
    """A node attends to its neighbours, with several heads (GATv2).

    A head scores each edge `a . leaky_relu(W_r x_i + W_s x_j + W_e e_ij + c)`, a
    softmax over what a node receives makes weights of the scores, and the node becomes
    the weighted sum of `W_s x_j`. The heads are joined, then come bias and activation.

    The edges come in the forms of `GraphConv`. Attention finds its own weights: of
    those given it only matters which are zero, as such an edge is none.

    Args:
        units: Int, width of a head.
        num_heads: Int.
        concatenate: Bool. Puts the heads side by side; else takes their mean.
        self_loops: Bool. A node attends to itself, too; its loop has no features.
        dropout: Float in [0, 1), share of the attention weights to drop in training.
        negative_slope: Float, slope of the leaky ReLU below zero.
        activation: Activation function.
        use_bias: Bool. Adds biases, one to the scores' projection, one at the end.
        seed: Int, seed of the dropout.
        **kwargs: Initializers, regularizers and constraints as of `GraphConv`; the
            rest is forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`.
        adjacency, edges, edge_weights, layout, nodes_mask: See `GraphConv`.
        edge_features: See `MessagePassing`.
        return_attention_scores: Bool. Also return the attention weights.
        training: Bool. Whether dropout is active.

    Returns:
        Tensor `(nodes, width)` or `(batch, nodes, width)` with a width of `units`, or
        of `num_heads * units` if concatenated; the bias where a node attends to
        nothing. With `return_attention_scores=True` then the weights of the edges
        before dropout, `(edges, heads)` in the order of the list, `(nodes, nodes,
        heads)` of an adjacency, `(rows, slots, heads)` of a layout; then those of the
        self-loops, `(nodes, heads)`, zeros without; all behind the batch, if any.

    Raises:
        ValueError: If an argument has the wrong rank, size or value.

    Example:
        >>> attention = keras_attn.GraphAttention(8, num_heads=4)
        >>> outputs, weights, own = attention(
        ...     nodes, edges=edges, return_attention_scores=True
        ... )

    Reference:
        Brody et al., 2022, https://arxiv.org/abs/2105.14491; Velickovic et al., 2018,
        https://arxiv.org/abs/1710.10903.
    """

    def __init__(
        self,
        units,
        num_heads=1,
        concatenate=True,
        self_loops=True,
        dropout=0.0,
        negative_slope=0.2,
        activation=None,
        use_bias=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        check_counts(num_heads=num_heads)
        check_rates(dropout=dropout)
        self.num_heads = num_heads
        self.concatenate = concatenate
        self.self_loops = self_loops
        self.dropout = dropout
        self.negative_slope = negative_slope
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, nodes_shape, edge_features_shape=None):
        self._dim = nodes_shape[-1]
        width = self.num_heads * self.units
        self.sender = self._dense("sender", width)
        self.sender.build((None, self._dim))
        self.receiver = self._dense("receiver", width, self.use_bias)
        self.receiver.build((None, self._dim))
        self.edge = None
        if edge_features_shape is not None:
            self.edge = self._dense("edge", width)
            self.edge.build(edge_features_shape)
        self.scale = self.add_weight(
            name="scale",
            shape=(self.num_heads, self.units),
            initializer=clone(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._build_bias(width if self.concatenate else self.units)

    def call(
        self,
        nodes,
        adjacency=None,
        edges=None,
        edge_weights=None,
        layout=None,
        edge_features=None,
        nodes_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        connected = read_edges(
            nodes, adjacency, edges, edge_weights, layout, nodes_mask, edge_features
        )
        check_width("nodes", nodes.shape, self._dim)
        check_given("edge_features", edge_features, self.edge)
        values = connected.lay_out(zero_masked(nodes, nodes_mask))
        senders, receivers = (
            self._heads(project(values)) for project in (self.sender, self.receiver)
        )
        seen = connected.from_senders(senders) + connected.from_receivers(receivers)
        if self.edge is not None:
            features = connected.kept(connected.on_edges(edge_features), 0.0)
            seen = seen + self._heads(self.edge(features))
        own = self._scores(senders + receivers) if self.self_loops else None
        weights, own = connected.softmax(self._scores(seen), own)
        outputs = connected.attend(self._drop(weights, training), senders)
        if own is not None:
            outputs = outputs + self._drop(own, training)[..., None] * senders
        outputs = self._finish(self._join(outputs))
        outputs = zero_masked(connected.restore(outputs), nodes_mask)
        if not return_attention_scores:
            return outputs
        if own is None:
            own = ops.zeros_like(senders[..., 0])
        own = zero_masked(connected.restore(own), nodes_mask)
        return outputs, connected.restore_edges(weights), own

    def _heads(self, values):
        shape = (*ops.shape(values)[:-1], self.num_heads, self.units)
        return ops.reshape(values, shape)

    def _scores(self, seen):
        bent = ops.leaky_relu(seen, self.negative_slope)
        return ops.sum(bent * self.scale, axis=-1)

    def _join(self, outputs):
        if not self.concatenate:
            return ops.mean(outputs, axis=-2)
        width = self.num_heads * self.units
        return ops.reshape(outputs, (*ops.shape(outputs)[:-2], width))

    def _drop(self, weights, training):
        if not training or self.dropout == 0:
            return weights
        return keras.random.dropout(weights, self.dropout, seed=self.seed_generator)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "concatenate": self.concatenate,
            "self_loops": self.self_loops,
            "dropout": self.dropout,
            "negative_slope": self.negative_slope,
            "seed": self.seed,
        }
