import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.data import (
    grid_graph,
    laplacian_basis,
    neighbor_layout,
    sparse_features,
)


@st.composite
def graphs(draw):
    nodes = draw(st.integers(1, 7))
    index = st.integers(0, nodes - 1)
    edge = st.tuples(index, index) | st.tuples(st.integers(-9, 99), st.just(-1))
    edges = np.array(draw(st.lists(edge, max_size=30)), "int64").reshape(-1, 2)
    return nodes, edges


def edges_in(tables, owners, others, edges):
    """What the tables say: (edge, other, owner) of each slot that is not empty."""
    return sorted(
        (int(edge), int(other), int(owner))
        for owner, row, edge_row in zip(
            tables[owners], tables[others], tables[edges], strict=True
        )
        for other, edge in zip(row, edge_row, strict=True)
        if owner != -1
    )


@given(graphs(), st.integers(1, 4), st.integers(0, 3))
def test_every_edge_is_in_both_tables_once(graph, width, more):
    nodes, edges = graph
    least = neighbor_layout(edges, nodes, width)
    rows = len(least["receivers"]) + more
    layout = neighbor_layout(edges, nodes, width, rows=rows)
    assert all(table.dtype == np.int32 for table in layout.values())
    assert layout["senders"].shape == layout["edges"].shape == (rows, width)
    assert layout["back_receivers"].shape == least["back_receivers"].shape
    real = sorted((i, int(s), int(r)) for i, (s, r) in enumerate(edges) if r != -1)
    empty = (len(edges), nodes)
    found = edges_in(layout, "receivers", "senders", "edges")
    assert [slot for slot in found if slot[:2] != empty] == real
    back = edges_in(layout, "back_senders", "back_receivers", "back_edges")
    turned = [(i, s, r) for i, r, s in back if (i, r) != empty]
    assert sorted(turned) == real
    # No more rows than it takes, and owners in order.
    counts = np.bincount([r for _, _, r in real], minlength=nodes)
    assert len(least["receivers"]) == max(1, (-(-counts // width)).sum())
    owners = layout["receivers"][layout["receivers"] != -1]
    np.testing.assert_array_equal(owners, np.sort(owners))


def test_a_small_graph_by_hand():
    layout = neighbor_layout(np.array([[1, 0], [2, 0], [0, 2], [3, 0]]), 4, width=2)
    np.testing.assert_array_equal(layout["receivers"], [0, 0, 2])
    np.testing.assert_array_equal(layout["senders"], [[1, 2], [3, 4], [0, 4]])
    np.testing.assert_array_equal(layout["edges"], [[0, 1], [3, 4], [2, 4]])
    np.testing.assert_array_equal(layout["back_senders"], [0, 1, 2, 3])
    np.testing.assert_array_equal(
        layout["back_receivers"], [[2, 4], [0, 4], [0, 4], [0, 4]]
    )


@pytest.mark.parametrize(
    ("edges", "options", "message"),
    [
        ([[0, 4]], {}, r"nodes 0 to 3.*Received: edges\[0\]=\[0, 4\]"),
        ([[0, -1], [0, -2]], {}, r"Received: edges\[1\]=\[0, -2\]"),
        ([[-3, 1]], {}, r"Received: edges\[0\]=\[-3, 1\]"),
        ([[0.0, 1.0]], {}, "dtype=float64"),
        ([[0, 1, 2]], {}, r"shape=\(1, 3\)"),
        ([[0, 1]], {"width": 0}, "width=0"),
        ([[0, 1], [0, 2]], {"rows": 1}, "`rows` must be at least 2"),
        ([[1, 0], [2, 0]], {"back_rows": 1}, "`back_rows` must be at least 2"),
    ],
)
def test_what_is_no_graph_is_refused(edges, options, message):
    with pytest.raises(ValueError, match=message):
        neighbor_layout(np.array(edges), 4, **options)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (1, 1)])
def test_pixels_that_touch_are_joined(shape, diagonal):
    pixels = list(np.ndindex(shape))
    expected = {
        (i, j)
        for i, first in enumerate(pixels)
        for j, second in enumerate(pixels)
        if 0 < sum(d**2 for d in np.subtract(first, second)) <= (2 if diagonal else 1)
    }
    edges = grid_graph(*shape, diagonal=diagonal)
    assert edges.dtype == np.int32
    assert len(edges) == len(expected)
    assert {*map(tuple, edges)} == expected


def test_an_image_has_pixels():
    with pytest.raises(ValueError, match="height=0, width=3"):
        grid_graph(0, 3)


@pytest.mark.parametrize("normalization", ["symmetric", None])
def test_the_basis_diagonalizes_the_laplacian(rng, normalization):
    weights = np.triu(rng.uniform(size=(5, 5)), 1)
    weights[:, 3] = weights[3] = 0.0
    adjacency = weights + weights.T
    degrees = adjacency.sum(axis=1)
    laplacian = np.diag(degrees) - adjacency
    if normalization:
        roots = np.divide(1, np.sqrt(degrees), where=degrees > 0, out=np.zeros(5))
        laplacian = np.eye(5) - roots[:, None] * adjacency * roots
    vectors, values = laplacian_basis(adjacency, normalization)
    np.testing.assert_allclose(
        vectors @ np.diag(values) @ vectors.T, laplacian, atol=1e-6
    )
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-6)
    assert (np.diff(values) >= 0).all()
    low, lowest = laplacian_basis(adjacency, normalization, frequencies=2)
    np.testing.assert_array_equal(low, vectors[:, :2])
    np.testing.assert_array_equal(lowest, values[:2])


@pytest.mark.parametrize(
    ("adjacency", "options", "message"),
    [
        (np.ones((2, 3)), {}, r"adjacency.shape=\(2, 3\)"),
        (np.triu(np.ones((3, 3))), {}, "symmetric"),
        (np.full((3, 3), np.nan), {}, "finite"),
        (np.ones((3, 3)), {"normalization": "random_walk"}, "'random_walk'"),
        (np.ones((3, 3)), {"frequencies": 4}, "frequencies=4"),
    ],
)
def test_no_basis_of_what_has_none(adjacency, options, message):
    with pytest.raises(ValueError, match=message):
        laplacian_basis(adjacency, **options)


@pytest.mark.parametrize("as_scipy", [True, False])
def test_sparse_features_hold_the_matrix_both_ways(rng, as_scipy):
    matrix = np.where(rng.random((6, 8)) > 0.6, rng.normal(size=(6, 8)), 0.0)
    matrix[2] = matrix[:, 5] = 0.0
    given = matrix
    if as_scipy:
        sparse = pytest.importorskip("scipy.sparse")
        rows, columns = np.nonzero(matrix)
        halves = np.tile(matrix[rows, columns] / 2, 2)  # every entry twice
        places = (np.tile(rows, 2), np.tile(columns, 2))
        given = sparse.coo_matrix((halves, places), matrix.shape)
    features = sparse_features(given, width=2)
    most = (matrix != 0).sum(axis=1).max()
    assert features["indices"].shape == features["values"].shape == (6, most)
    found = np.zeros_like(matrix)
    for node, slot in np.argwhere(features["indices"] >= 0):
        found[node, features["indices"][node, slot]] = features["values"][node, slot]
    np.testing.assert_array_equal(found, matrix.astype("float32"))
    turned = np.zeros_like(matrix)
    values = [*features["values"].ravel(), 0.0]
    for feature, row in zip(
        features["back_features"], features["back_slots"], strict=True
    ):
        for slot in row[row < 6 * most]:
            turned[slot // most, feature] = values[slot]
    np.testing.assert_array_equal(turned, found)


def test_sparse_features_are_finite_numbers():
    with pytest.raises(ValueError, match=r"Received: nan at \[1, 0\]"):
        sparse_features(np.array([[0.0, 1.0], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match=r"shape=\(3,\)"):
        sparse_features(np.ones(3))
    empty = sparse_features(np.zeros((3, 4)))
    np.testing.assert_array_equal(empty["indices"], [[-1]] * 3)
