import keras
from keras import ops

from keras_attn.layers._checks import (
    check_counts,
    check_mask,
    check_rank,
    check_shape,
    check_width,
)
from keras_attn.layers._graph_arguments import NODES_MEANING
from keras_attn.layers._graph_layer import GraphLayer
from keras_attn.layers._projecting import clone
from keras_attn.ops.graph.spectral import interpolate, spectral_filter
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class SpectralConv(GraphLayer):
    """Graph convolution in the graph's own frequencies.

    `activation(U (g * (U^T X)) + b)`, with `U` the eigenvectors of the Laplacian: the
    Fourier transform of a graph. The filter `g` has a coefficient for every frequency,
    feature and unit, or, with `knots`, is a curve over the eigenvalues, which is one
    filter for graphs of all sizes, and reaches less far the smoother it is. This is
    the convolution that `ChebyshevConv` and `GraphConv` approximate without `U`, which
    takes time O(n^3) to find; `keras_attn.data.laplacian_basis` finds it.

    Args:
        units: Int, width of the output.
        knots: Int of at least 2: the filter is linear between so many knots, evenly
            from 0 to `largest_eigenvalue`. `None` for a coefficient of each frequency.
        largest_eigenvalue: Float, where the last of the `knots` is; eigenvalues beyond
            it count as it does. 2 is the limit of a normalised Laplacian.
        activation: Activation function.
        use_bias: Bool. Adds a bias.
        **kwargs: Initializers, regularizers and constraints as of `GraphConv`; the
            rest is forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`.
        eigenvectors: Tensor `(nodes, frequencies)` or `(batch, nodes, frequencies)`.
        eigenvalues: Tensor `(frequencies,)` or `(batch, frequencies)`, with `knots`.
        nodes_mask: Optional bool tensor `(nodes,)` or `(batch, nodes)`. `False` nodes
            are not there and yield zeros. Defaults to the Keras mask of `nodes`.

    Returns:
        Tensor `(nodes, units)` or `(batch, nodes, units)`.

    Raises:
        ValueError: If an argument has the wrong rank, size or value.

    Example:
        >>> eigenvectors, eigenvalues = keras_attn.data.laplacian_basis(adjacency)
        >>> hidden = keras_attn.SpectralConv(16)(nodes, eigenvectors)

    Reference:
        Bruna et al., 2014, https://arxiv.org/abs/1312.6203, section 3.
    """

    def __init__(
        self,
        units,
        knots=None,
        largest_eigenvalue=2.0,
        activation=None,
        use_bias=True,
        **kwargs,
    ):
        super().__init__(units, activation, use_bias=use_bias, **kwargs)
        if knots is not None:
            check_counts(least=2, knots=knots)
        if not largest_eigenvalue > 0:
            raise ValueError(
                "`largest_eigenvalue` must be positive. "
                f"Received: largest_eigenvalue={largest_eigenvalue}"
            )
        self.knots = knots
        self.largest_eigenvalue = largest_eigenvalue

    def build(self, nodes_shape, eigenvectors_shape):
        self._dim = nodes_shape[-1]
        frequencies = self.knots or eigenvectors_shape[-1]
        if frequencies is None:
            raise ValueError(
                "`eigenvectors` must have a known number of frequencies without "
                f"`knots`. Received: eigenvectors.shape={tuple(eigenvectors_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(frequencies, self._dim, self.units),
            initializer=clone(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._build_bias(self.units)

    def call(self, nodes, eigenvectors, eigenvalues=None, nodes_mask=None):
        self._check(nodes, eigenvectors, eigenvalues, nodes_mask)
        response = ops.convert_to_tensor(self.kernel)
        if self.knots is not None:
            places = interpolate(eigenvalues, self.knots, self.largest_eigenvalue)
            response = ops.tensordot(ops.cast(places, response.dtype), response, 1)
        outputs = spectral_filter(
            zero_masked(nodes, nodes_mask),
            zero_masked(eigenvectors, nodes_mask),
            response,
        )
        return zero_masked(self._finish(outputs), nodes_mask)

    def _check(self, nodes, eigenvectors, eigenvalues, nodes_mask):
        check_rank("nodes", nodes.shape, (2, 3), NODES_MEANING)
        check_width("nodes", nodes.shape, self._dim)
        check_mask("nodes_mask", nodes_mask, nodes.shape[:-1])
        frequencies = None if self.knots else self.kernel.shape[0]
        shape = (*nodes.shape[:-1], frequencies)
        check_shape("eigenvectors", eigenvectors.shape, shape)
        if (eigenvalues is None) == (self.knots is not None):
            raise ValueError(
                "`eigenvalues` must be given with `knots`, and only then. Received: "
                f"knots={self.knots}, eigenvalues={eigenvalues}"
            )
        if eigenvalues is not None:
            shape = (*nodes.shape[:-2], eigenvectors.shape[-1])
            check_shape("eigenvalues", eigenvalues.shape, shape)

    def get_config(self):
        return {
            **super().get_config(),
            "knots": self.knots,
            "largest_eigenvalue": self.largest_eigenvalue,
        }
