"""The container of one graph: what it makes of its arguments, and what it refuses."""

import dataclasses

import numpy as np
import pytest

from keras_attn.data import Graph


def make(**changes):
    values = {
        "nodes": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "edges": [[0, 1], [1, 2]],
        "edge_features": [[0.5], [1.5]],
        "edge_weights": [2, 3],
        **changes,
    }
    return Graph(**values)


def test_holds_arrays_of_the_types_that_layers_take():
    graph = make(targets=[True, False, True])
    assert graph.nodes.dtype == graph.edge_features.dtype == np.float32
    assert graph.edge_weights.dtype == np.float32
    assert graph.edges.dtype == graph.targets.dtype == np.int32
    assert (graph.num_nodes, graph.num_edges) == (3, 2)
    np.testing.assert_array_equal(graph.edges, [[0, 1], [1, 2]])
    np.testing.assert_array_equal(graph.edge_weights, [2, 3])


def test_shows_shapes_instead_of_numbers():
    assert repr(Graph(np.ones((2, 3)), [[0, 1]], targets=1.0)) == (
        "Graph(nodes=(2, 3), edges=(1, 2), targets=())"
    )


def test_is_not_changed_once_checked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().nodes = np.zeros((1, 2))


@pytest.mark.parametrize("edges", [[], np.zeros((0, 2), "int64")])
@pytest.mark.parametrize("num_nodes", [0, 4])
def test_may_have_no_edges_and_no_nodes(num_nodes, edges):
    graph = Graph(np.zeros((num_nodes, 2)), edges)
    assert graph.edges.shape == (0, 2) and graph.edges.dtype == np.int32
    assert (graph.num_nodes, graph.num_edges) == (num_nodes, 0)


def test_missing_targets_stay_missing():
    graph = make(targets=[1.0, np.nan])
    np.testing.assert_array_equal(graph.targets, np.float32([1, np.nan]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [[0, 1], [1, 3]]}, r"`edges`.*0 to 2.*edge 1 is \[1, 3\]"),
        ({"edges": [[0, 1], [-1, 0]]}, r"`edges`.*edge 1 is \[-1, 0\]"),
        ({"edges": [[0, 1], [1, 2**32]]}, r"`edges`.*edge 1 is \[1, 4294967296\]"),
        ({"edges": [[0.0, 1.0], [1.0, 2.0]]}, r"`edges`.*integers.*float64"),
        ({"edges": [[0, 1, 2]]}, r"`edges`.*\(edges, 2\).*shape=\(1, 3\)"),
        ({"edges": [0, 1]}, r"`edges`.*shape=\(2,\)"),
        ({"nodes": [1.0, 2.0, 3.0]}, r"`nodes`.*\(nodes, features\).*shape=\(3,\)"),
        ({"nodes": [["a"], ["b"], ["c"]]}, r"`nodes`.*numbers.*dtype=<U1"),
        ({"nodes": [[0.0], [np.nan], [0.0]]}, r"`nodes`.*finite.*nan at \[1, 0\]"),
        ({"nodes": [[0.0], [0.0], [1e39]]}, r"`nodes`.*finite.*inf at \[2, 0\]"),
        (
            {"edge_features": [[1.0]]},
            r"`edge_features`.*\(2, edge_features\).*\(1, 1\)",
        ),
        ({"edge_features": [[1.0], [np.inf]]}, r"`edge_features`.*inf at \[1, 0\]"),
        ({"edge_weights": [1.0]}, r"`edge_weights`.*\(2,\).*shape=\(1,\)"),
        ({"edge_weights": [[1.0], [2.0]]}, r"`edge_weights`.*\(2,\).*shape=\(2, 1\)"),
        ({"edge_weights": [1.0, np.nan]}, r"`edge_weights`.*nan at \[1\]"),
        ({"targets": "active"}, r"`targets` must be numbers.*<U6"),
    ],
)
def test_refuses_what_contradicts_itself(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
