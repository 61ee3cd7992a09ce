"""Filters of a graph's frequencies: through its eigenvectors, and without them."""

import numpy as np
import pytest
from keras import ops

from keras_attn import ChebyshevConv, SpectralConv
from keras_attn.data import laplacian_basis
from tests.comparison import assert_same
from tests.gradients import MODES, in_mode


@pytest.fixture
def graph(rng):
    """An undirected graph with weights; its last node has no edge."""
    weights = np.triu(rng.uniform(0.5, 2.0, (6, 6)), 1)
    weights *= np.triu(rng.random((6, 6)) > 0.4, 1)
    weights[:, -1] = 0.0
    adjacency = (weights + weights.T).astype("float32")
    return rng.normal(size=(6, 3)).astype("float32"), adjacency


def laplacian(adjacency, normalization):
    matrix = adjacency.astype("float64")
    degrees = matrix.sum(axis=1)
    shares = np.where(degrees > 0, 1 / np.where(degrees > 0, degrees, 1), 0)
    if normalization is None:
        return np.diag(degrees) - matrix
    if normalization == "random_walk":
        return np.eye(len(matrix)) - shares[:, None] * matrix
    roots = np.sqrt(shares)
    return np.eye(len(matrix)) - roots[:, None] * matrix * roots


@pytest.mark.parametrize("normalization", ["symmetric", "random_walk", None])
@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_chebyshev_matches_numpy(graph, rng, order, normalization):
    nodes, adjacency = graph
    layer = ChebyshevConv(2, order, normalization, 7.0, "tanh")
    layer(nodes, adjacency=adjacency)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(scale=0.3, size=weight.shape))
    scaled = 2 / 7 * laplacian(adjacency, normalization) - np.eye(6)
    polynomials = [np.eye(6), scaled]
    while len(polynomials) <= order:
        polynomials.append(2 * scaled @ polynomials[-1] - polynomials[-2])
    kernels = np.split(ops.convert_to_numpy(layer.projection.kernel), order + 1, axis=1)
    expected = sum(
        polynomial @ nodes @ kernel
        for polynomial, kernel in zip(polynomials, kernels, strict=False)
    )
    expected = np.tanh(expected + ops.convert_to_numpy(layer.bias))
    assert_same(layer(nodes, adjacency=adjacency), expected)


@pytest.mark.parametrize("normalization", ["symmetric", None])
def test_chebyshev_of_order_n_less_1_is_any_spectral_filter(graph, normalization):
    """Also one that a node without edges is seen by; a sharp filter of frequencies."""
    nodes, adjacency = graph
    eigenvectors, eigenvalues = laplacian_basis(adjacency, normalization)
    highest = 2.0 if normalization else float(eigenvalues[-1])
    response = np.exp(-3 * (eigenvalues.astype("float64") - 0.7) ** 2)
    spectral = SpectralConv(3)
    spectral(nodes, eigenvectors)
    spectral.kernel.assign(response[:, None, None] * np.eye(3))
    chebyshev = ChebyshevConv(3, len(nodes) - 1, normalization, highest)
    chebyshev(nodes, adjacency=adjacency)
    # The polynomial through the response at the eigenvalues, which may repeat.
    powers = np.polynomial.chebyshev.chebvander(2 * eigenvalues / highest - 1, 5)
    factors = np.linalg.lstsq(powers.astype("float64"), response, rcond=1e-9)[0]
    chebyshev.projection.kernel.assign(
        np.concatenate([factor * np.eye(3) for factor in factors], axis=1)
    )
    expected = spectral(nodes, eigenvectors)
    assert np.abs(ops.convert_to_numpy(expected)).max() > 0.5
    np.testing.assert_allclose(
        chebyshev(nodes, adjacency=adjacency), expected, atol=1e-4
    )


def test_spectral_matches_numpy(graph, rng):
    nodes, adjacency = graph
    eigenvectors, _ = laplacian_basis(adjacency, frequencies=4)
    layer = SpectralConv(2, activation="tanh")
    layer(nodes, eigenvectors)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    kernel = ops.convert_to_numpy(layer.kernel).astype("float64")
    expected = np.zeros((6, 2)) + ops.convert_to_numpy(layer.bias)
    for frequency, vector in enumerate(eigenvectors.T.astype("float64")):
        expected += np.outer(vector, vector @ nodes @ kernel[frequency])
    assert_same(layer(nodes, eigenvectors), np.tanh(expected))


def test_knots_are_a_curve_over_the_eigenvalues(graph, rng):
    """One filter for graphs of all sizes; beyond the last knot it stays constant."""
    nodes, adjacency = graph
    layer = SpectralConv(2, knots=4, largest_eigenvalue=1.5, use_bias=False)
    eigenvectors, eigenvalues = laplacian_basis(adjacency)
    assert eigenvalues[-1] > 1.5
    layer(nodes, eigenvectors, eigenvalues)
    kernel = rng.normal(size=layer.kernel.shape)
    layer.kernel.assign(kernel)
    for count in (6, 4):
        basis = laplacian_basis(adjacency[:count, :count])
        response = np.stack(
            [
                np.interp(basis[1], [0, 0.5, 1, 1.5], column)
                for column in kernel.reshape(4, -1).T
            ],
            axis=1,
        ).reshape(count, 3, 2)
        expected = sum(
            np.outer(vector, vector @ nodes[:count] @ matrix)
            for vector, matrix in zip(basis[0].T, response, strict=True)
        )
        assert_same(layer(nodes[:count], *basis), expected)


@pytest.mark.parametrize("mode", MODES[-1:])
@pytest.mark.parametrize("knots", [None, 3])
def test_padded_batches_answer_alike(graph, knots, mode):
    nodes, adjacency = graph
    eigenvectors, eigenvalues = laplacian_basis(adjacency)
    values = () if knots is None else (eigenvalues,)
    layer = SpectralConv(2, knots)
    expected = ops.convert_to_numpy(layer(nodes, eigenvectors, *values))
    padding = np.full((2, 9), np.nan, "float32")
    batch = [
        np.concatenate([nodes, padding[:, :3]])[None],
        np.concatenate([eigenvectors, padding[:, :6]])[None],
        *(value[None] for value in values),
    ]
    mask = ops.convert_to_tensor((np.arange(8) < 6)[None])
    tensors = [ops.convert_to_tensor(array) for array in batch]
    found = in_mode(lambda *x: layer(*x, nodes_mask=mask), mode)(*tensors)
    assert_same(found, np.concatenate([expected, np.zeros((2, 2))])[None])


def test_a_renamed_graph_has_renamed_outputs(graph, rng):
    nodes, adjacency = graph
    order = rng.permutation(6)
    layer = SpectralConv(2, knots=4)
    expected = ops.convert_to_numpy(layer(nodes, *laplacian_basis(adjacency)))
    renamed = laplacian_basis(adjacency[np.ix_(order, order)])
    np.testing.assert_allclose(
        layer(nodes[order], *renamed), expected[order], atol=1e-5
    )


def test_arguments_that_contradict_each_other(graph):
    nodes, adjacency = graph
    eigenvectors, eigenvalues = laplacian_basis(adjacency)
    with pytest.raises(ValueError, match="`eigenvalues` must be given with `knots`"):
        SpectralConv(2, knots=3)(nodes, eigenvectors)
    with pytest.raises(ValueError, match="`eigenvalues` must be given with `knots`"):
        SpectralConv(2)(nodes, eigenvectors, eigenvalues)
    with pytest.raises(ValueError, match=r"`eigenvectors` must have shape \(6, "):
        SpectralConv(2)(nodes, eigenvectors[:4])
    with pytest.raises(ValueError, match="`largest_eigenvalue` must be given"):
        ChebyshevConv(2, normalization=None)
    with pytest.raises(ValueError, match="`order`"):
        ChebyshevConv(2, order=-1)
