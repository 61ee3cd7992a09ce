import keras

from keras_attn.layers._checks import check_counts, check_width
from keras_attn.layers._graph_arguments import check_given
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.layers.message_passing import MessagePassing


@keras.saving.register_keras_serializable("keras_attn")
class EdgeConv(MessagePassing, ProjectingLayer):
    """Graph convolution that sees what the edges are, as bonds of a molecule (GINE).

    `MLP((1 + epsilon) x_i + sum_j w_ij relu(x_j + W e_ij + c))`: a node adds up its
    neighbours, each shifted by the features of the edge to it, and a network with one
    hidden layer makes the output of that. Without features of edges it is the graph
    isomorphism network, `relu` included.

    Args:
        units: Int, width of the output.
        hidden_units: Int, width of the hidden layer. Defaults to `units`.
        epsilon: Float, how much more than a neighbour a node itself counts, at first.
        train_epsilon: Bool, whether `epsilon` is learned.
        activation: Activation function of the hidden layer.
        output_activation: Activation function of the output.
        use_bias: Bool. Adds biases to the projections.
        **kwargs: Initializers, regularizers and constraints as of `GraphConv`,
            `aggregation` as of `MessagePassing`; the rest is forwarded to
            `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`.
        adjacency, edges, edge_weights, layout, nodes_mask: See `GraphConv`.
        edge_features: See `MessagePassing`.

    Returns:
        Tensor `(nodes, units)` or `(batch, nodes, units)`.

    Raises:
        ValueError: If an argument has the wrong rank, size or value.

    Example:
        >>> convolution = keras_attn.EdgeConv(64)
        >>> atoms = convolution(atoms, edges=bonds, edge_features=bond_features)

    Reference:
        Hu et al., 2020, https://arxiv.org/abs/1905.12265, appendix; Xu et al., 2019,
        https://arxiv.org/abs/1810.00826.
    """

    def __init__(
        self,
        units,
        hidden_units=None,
        epsilon=0.0,
        train_epsilon=True,
        activation="relu",
        output_activation=None,
        use_bias=True,
        **kwargs,
    ):
        super().__init__(use_bias=use_bias, **kwargs)
        check_counts(units=units)
        if hidden_units is not None:
            check_counts(hidden_units=hidden_units)
        self.units = units
        self.hidden_units = hidden_units
        self.epsilon = epsilon
        self.train_epsilon = train_epsilon
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output_activation)

    def build(self, nodes_shape, edge_features_shape=None):
        self._dim = nodes_shape[-1]
        self.edge = None
        if edge_features_shape is not None:
            self.edge = self._dense("edge", self._dim, self.use_bias)
            self.edge.build(edge_features_shape)
        self.own = None
        if self.train_epsilon:
            self.own = self.add_weight(
                name="epsilon",
                shape=(),
                initializer=keras.initializers.Constant(self.epsilon),
            )
        hidden = self.hidden_units or self.units
        self.widen = self._dense("widen", hidden, self.use_bias, self.activation)
        self.widen.build((None, self._dim))
        self.narrow = self._dense(
            "narrow", self.units, self.use_bias, self.output_activation
        )
        self.narrow.build((None, hidden))

    def message(self, senders, receivers, edge_features=None):
        check_width("nodes", senders.shape, self._dim)
        check_given("edge_features", edge_features, self.edge)
        if self.edge is not None:
            senders = senders + self.edge(edge_features)
        return keras.ops.relu(senders)

    def update(self, nodes, messages):
        own = self.epsilon if self.own is None else self.own
        return self.narrow(self.widen((1.0 + own) * nodes + messages))

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "hidden_units": self.hidden_units,
            "epsilon": self.epsilon,
            "train_epsilon": self.train_epsilon,
            "activation": keras.activations.serialize(self.activation),
            "output_activation": keras.activations.serialize(self.output_activation),
        }
