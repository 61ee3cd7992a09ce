from keras import ops

from keras_attn.ops.graph.normalization import propagate


def chebyshev_filter(edges, terms, normalization="symmetric", largest_eigenvalue=2.0):
    """Sums `T_k(L~) X_k`, Chebyshev polynomials of the scaled Laplacian.

    `L~ = 2 L / largest_eigenvalue - I`, with `L = I - D^-1/2 A D^-1/2`, `I - D^-1 A`
    or, without normalisation, `D - A`. Clenshaw's recurrence: as many propagations as
    the order, of tensors as wide as the result.

    Args:
        edges: `DenseEdges` or `EdgeRows`.
        terms: List of the `X_k`, tensors `(..., n, f)` laid out by `edges`.
        normalization: `"symmetric"`, `"random_walk"` or `None`.
        largest_eigenvalue: Float, of the Laplacian.

    Returns:
        Tensor `(..., n, f)`.

    Reference:
        Defferrard et al., 2016, https://arxiv.org/abs/1606.09375, section 2.1.
    """

    def scaled_laplacian(nodes):
        kept = nodes
        if normalization is None:
            kept = nodes * ops.cast(edges.degrees(), nodes.dtype)[..., None]
        laplacian = kept - propagate(edges, nodes, normalization)
        return laplacian * (2.0 / largest_eigenvalue) - nodes

    if len(terms) == 1:
        return terms[0]
    following, last = terms[-1], 0.0
    for term in terms[-2:0:-1]:
        following, last = term + 2.0 * scaled_laplacian(following) - last, following
    return terms[0] + scaled_laplacian(following) - last
