import keras
from keras import ops

from keras_attn.layers._checks import check_counts, check_width
from keras_attn.layers._graph_arguments import read_edges
from keras_attn.layers._graph_layer import GraphLayer, check_choice
from keras_attn.ops.graph.chebyshev import chebyshev_filter
from keras_attn.ops.graph.normalization import NORMALIZATIONS
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class ChebyshevConv(GraphLayer):
    """Graph convolution with filters that reach several edges far.

    `activation(sum_k T_k(2 L / largest_eigenvalue - I) X W_k + b)`, k from 0 to
    `order`, with the Chebyshev polynomials `T_k` of the Laplacian `L = I - D^-1/2 A
    D^-1/2`: a filter of the graph's frequencies that is a polynomial, computed without
    them. A node without edges has a 1 on the diagonal of `L`.

    The edges come in the forms of `GraphConv`, and count as they do there.

    Args:
        units: Int, width of the output.
        order: Int of at least 0, the order of the polynomial: how many edges far a
            node sees.
        normalization: `"symmetric"`, `"random_walk"` for `L = I - D^-1 A`, or `None`
            for `L = D - A`.
        largest_eigenvalue: Float, of `L`. Defaults to 2, which no eigenvalue of a
            normalised Laplacian exceeds; without normalisation it must be given.
        activation: Activation function.
        use_bias: Bool. Adds a bias.
        **kwargs: Initializers, regularizers and constraints as of `GraphConv`; the
            rest is forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`.
        adjacency, edges, edge_weights, layout, nodes_mask: See `GraphConv`.

    Returns:
        Tensor `(nodes, units)` or `(batch, nodes, units)`.

    Raises:
        ValueError: If an argument has the wrong rank, size or value.

    Example:
        >>> convolution = keras_attn.ChebyshevConv(16, order=3)
        >>> hidden = convolution(nodes, edges=edges)

    Reference:
        Defferrard et al., 2016, https://arxiv.org/abs/1606.09375.
    """

    def __init__(
        self,
        units,
        order=2,
        normalization="symmetric",
        largest_eigenvalue=None,
        activation=None,
        use_bias=True,
        **kwargs,
    ):
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        check_counts(least=0, order=order)
        check_choice("normalization", normalization, NORMALIZATIONS)
        if largest_eigenvalue is None and normalization is None:
            raise ValueError(
                "`largest_eigenvalue` must be given without normalization. "
                "Received: largest_eigenvalue=None"
            )
        if largest_eigenvalue is not None and not largest_eigenvalue > 0:
            raise ValueError(
                "`largest_eigenvalue` must be positive. "
                f"Received: largest_eigenvalue={largest_eigenvalue}"
            )
        self.order = order
        self.normalization = normalization
        self.largest_eigenvalue = largest_eigenvalue

    def build(self, nodes_shape):
        self._dim = nodes_shape[-1]
        self.projection = self._dense("projection", (self.order + 1) * self.units)
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
        connected = read_edges(
            nodes, adjacency, edges, edge_weights, layout, nodes_mask
        )
        check_width("nodes", nodes.shape, self._dim)
        values = connected.lay_out(zero_masked(nodes, nodes_mask))
        terms = ops.split(self.projection(values), self.order + 1, axis=-1)
        outputs = chebyshev_filter(
            connected, terms, self.normalization, self.largest_eigenvalue or 2.0
        )
        return zero_masked(connected.restore(self._finish(outputs)), nodes_mask)

    def get_config(self):
        return {
            **super().get_config(),
            "order": self.order,
            "normalization": self.normalization,
            "largest_eigenvalue": self.largest_eigenvalue,
        }
