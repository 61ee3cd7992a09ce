"""Filters of a graph's frequencies, the eigenvalues of its Laplacian."""

from keras import ops


def spectral_filter(nodes, eigenvectors, response):
    """`U (g * (U^T X))`: into frequencies, through the filter, and back.

    Args:
        nodes: Tensor `(..., n, f)`.
        eigenvectors: Tensor `(..., n, m)`, `U`.
        response: Tensor `(..., m, f, u)`, what each frequency makes of each feature.

    Returns:
        Tensor `(..., n, u)`.
    """
    spectrum = ops.matmul(ops.swapaxes(eigenvectors, -1, -2), nodes)
    filtered = ops.matmul(ops.expand_dims(spectrum, -2), response)
    return ops.matmul(eigenvectors, ops.squeeze(filtered, -2))


def interpolate(values, knots, highest):
    """Weights `(..., knots)` of the knots at 0 to `highest` that a value lies between.

    Linear interpolation; a value beyond the last knot is worth that knot.
    """
    step = highest / (knots - 1)
    places = ops.clip(ops.cast(values, "float32") / step, 0.0, knots - 1.0)
    distances = ops.abs(places[..., None] - ops.arange(knots, dtype="float32"))
    return ops.maximum(1.0 - distances, 0.0)
