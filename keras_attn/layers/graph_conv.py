import keras
from keras import ops

from keras_attn.layers._checks import check_counts, check_width
from keras_attn.layers._graph_arguments import read_edges
from keras_attn.layers._graph_layer import GraphLayer, check_choice
from keras_attn.layers._sparse_nodes import check_sparse_nodes, project_sparse_nodes
from keras_attn.ops.graph.normalization import NORMALIZATIONS, propagate
from keras_attn.ops.graph.wide_product import wide_product
from keras_attn.ops.memory import zero_masked

_WIDE = 256  # from here on turning the nodes costs more than the product


@keras.saving.register_keras_serializable("keras_attn")
class GraphConv(GraphLayer):
    """Graph convolution: a node becomes a mean of its neighbours, projected.

    `activation(D^-1/2 A D^-1/2 X W + b)`, with `A` the adjacency, a loop at each node
    included, and `D` the diagonal matrix of the sums of its rows. The sums are formed
    in the layer, with the weights of the edges as they come, so that gradients flow to
    those, too. Of `(A X) W` and `A (X W)` the one with the narrower `A` product is
    computed.

    The edges come in one of four forms, with equal results: a dense `adjacency`, an
    edge list `edges`, a padded batch of lists, or the tables of
    `keras_attn.data.neighbor_layout`, the fastest. Edges may be directed: a row of `A`
    holds what a node receives, and `D` counts that in the symmetric normalisation as
    well. Edges that occur twice count twice. A node that receives nothing, without a
    loop, has a sum of zero and yields the bias; so does one whose weights add up to
    less than zero. A NaN goes where its node sends to, and with an `adjacency` perhaps
    to the whole graph, as 0 * NaN is NaN, but to no other graph.

    Args:
        units: Int, width of the output.
        normalization: `"symmetric"`, `"random_walk"` for `D^-1 A`, or `None` for `A`.
        self_loops: Bool. Adds `I` to `A`, also to loops that are there.
        activation: Activation function.
        use_bias: Bool. Adds a bias.
        input_dim: Int, how many features there are, for nodes that are sparse.
        **kwargs: `kernel_initializer`, `bias_initializer`, `kernel_regularizer`,
            `bias_regularizer`, `kernel_constraint` and `bias_constraint`; the rest is
            forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`. Or, where few of many
            features are not zero, a dict that `keras_attn.data.sparse_features` makes:
            int `"indices"` `(nodes, k)` of the features of a node, -1 for none, and
            their `"values"` `(nodes, k)`, all with a batch in front, or none.
        adjacency: Tensor `(nodes, nodes)` or `(batch, nodes, nodes)`; the entry in row
            i and column j is the weight of the edge from j to i.
        edges: Int tensor `(edges, 2)` or `(batch, edges, 2)` of senders and receivers.
            A receiver of -1 makes an edge padding. An edge to or from a node that is
            not there is an error, or dropped where the values are not known, in a
            compiled function.
        edge_weights: Optional tensor `(edges,)` or `(batch, edges)`.
        layout: Dict of int tensors of `keras_attn.data.neighbor_layout`, in place of
            `edges`; each with a batch in front if `nodes` have one.
        nodes_mask: Optional bool tensor `(nodes,)` or `(batch, nodes)`. `False` nodes
            and their edges are not there and yield zeros. Defaults to the Keras mask
            of `nodes`.

    Returns:
        Tensor `(nodes, units)` or `(batch, nodes, units)`.

    Raises:
        ValueError: If an argument has the wrong rank, size or value, or there is not
            exactly one of `adjacency`, `edges` and `layout`.

    Example:
        >>> convolution = keras_attn.GraphConv(16, activation="relu")
        >>> hidden = convolution(nodes, edges=edges)

    Reference:
        Kipf and Welling, 2017, https://arxiv.org/abs/1609.02907, equation 2.
    """

    def __init__(
        self,
        units,
        normalization="symmetric",
        self_loops=True,
        activation=None,
        use_bias=True,
        input_dim=None,
        **kwargs,
    ):
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        check_choice("normalization", normalization, NORMALIZATIONS)
        if input_dim is not None:
            check_counts(input_dim=input_dim)
        self.normalization = normalization
        self.self_loops = self_loops
        self.input_dim = input_dim

    def build(self, nodes_shape):
        if isinstance(nodes_shape, dict):
            if self.input_dim is None:
                raise ValueError(
                    "`input_dim`, how many features there are, must be given for "
                    "sparse nodes. Received: input_dim=None"
                )
            self._dim = self.input_dim
        else:
            self._dim = nodes_shape[-1]
        self.projection = self._dense("projection", self.units)
        self.projection.build((None, self._dim))
        self._build_bias(self.units)

    def call(
        self,
        nodes,
        adjacency=None,
        edges=None,
        edge_weights=None,
        layout=None,
        nodes_mask=None,
    ):
        is_sparse = isinstance(nodes, dict)
        if is_sparse:
            check_sparse_nodes(nodes, self._dim)
        else:
            check_width("nodes", nodes.shape, self._dim)
        if isinstance(nodes_mask, dict):  # Keras' masks of sparse nodes
            nodes_mask = nodes_mask["values"]
        values = nodes["values"] if is_sparse else nodes
        connected = read_edges(
            values, adjacency, edges, edge_weights, layout, nodes_mask
        )
        values = connected.lay_out(zero_masked(values, nodes_mask))
        if is_sparse:
            outputs = project_sparse_nodes(nodes, values, self._kernel())
            outputs = self._propagate(connected, outputs)
        elif self._dim <= self.units:
            outputs = self.projection(self._propagate(connected, values))
        else:
            outputs = self._propagate(connected, self._project(values))
        return zero_masked(connected.restore(self._finish(outputs)), nodes_mask)

    def _propagate(self, connected, values):
        return propagate(connected, values, self.normalization, self.self_loops)

    def _project(self, values):
        is_plain = self.projection.quantization_mode is None
        if is_plain and self._dim >= _WIDE and len(values.shape) == 2:
            return wide_product(values, self._kernel())
        return self.projection(values)

    def _kernel(self):
        if self.projection.quantization_mode is not None:
            raise ValueError(
                "Sparse `nodes` need a kernel that is not quantized. Received: "
                f"quantization_mode={self.projection.quantization_mode!r}"
            )
        return ops.convert_to_tensor(self.projection.kernel)

    def get_config(self):
        return {
            **super().get_config(),
            "normalization": self.normalization,
            "self_loops": self.self_loops,
            "input_dim": self.input_dim,
        }
