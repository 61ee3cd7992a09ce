"""Graphs in one set of arrays, and taken out of it again."""

import numpy as np
import pytest

from keras_attn.data import Graph, GraphBatch, merge_graphs, pad_graphs

from .random_graphs import random_graphs

NAMES = ("nodes", "edges", "edge_features", "edge_weights")


def assert_same(graph, arrays):
    for name in NAMES:
        np.testing.assert_array_equal(arrays[name], getattr(graph, name))
        assert arrays[name].dtype == getattr(graph, name).dtype


def test_padded_graphs_are_in_their_rows():
    graphs = random_graphs(8)
    batch = pad_graphs(graphs, num_nodes=12, num_edges=40, num_graphs=10)
    assert batch["nodes"].shape == (10, 12, 3) and batch["edges"].shape == (10, 40, 2)
    assert batch["nodes_mask"].dtype == np.bool_
    sizes = [graph.num_nodes for graph in graphs] + [0, 0]
    np.testing.assert_array_equal(
        batch["nodes_mask"], np.arange(12) < np.array(sizes)[:, None]
    )
    for i, graph in enumerate(graphs):
        inside = {name: slice(graph.num_edges) for name in NAMES}
        inside["nodes"] = slice(graph.num_nodes)
        assert_same(graph, {name: batch[name][i, inside[name]] for name in NAMES})
        assert not batch["nodes"][i, graph.num_nodes :].any()
        assert not batch["edge_weights"][i, graph.num_edges :].any()
        assert not batch["edge_features"][i, graph.num_edges :].any()
        np.testing.assert_array_equal(
            batch["edges"][i, graph.num_edges :],
            np.tile(np.int32([0, -1]), (40 - graph.num_edges, 1)),
        )
    assert (batch["edges"][8:, :, 1] == -1).all()


def test_merged_graphs_come_back_one_by_one():
    graphs = random_graphs(8)
    batch = merge_graphs(graphs, num_nodes=90, num_edges=200)
    assert batch["nodes"].shape == (90, 3) and batch["edges"].shape == (200, 2)
    real = batch["edges"][:, 1] != -1
    for i, graph in enumerate(graphs):
        members = np.flatnonzero(batch["graph_ids"] == i)
        inside = real & np.isin(batch["edges"][:, 1], members)
        start = members[0] if len(members) else 0
        found = {name: batch[name][inside] for name in NAMES[1:]}
        found["edges"] = found["edges"] - np.int32(start)
        found["nodes"] = batch["nodes"][members]
        assert_same(graph, found)
    assert real.sum() == sum(graph.num_edges for graph in graphs)
    assert (batch["graph_ids"] == -1).sum() == 90 - sum(g.num_nodes for g in graphs)
    np.testing.assert_array_equal(batch["edges"][~real, 0], 0)
    assert not batch["nodes"][batch["graph_ids"] == -1].any()
    assert not batch["edge_weights"][~real].any()


def test_sizes_are_no_larger_than_needed_unless_asked_for():
    graphs = random_graphs(5)
    nodes, edges = zip(*((g.num_nodes, g.num_edges) for g in graphs), strict=True)
    assert pad_graphs(graphs)["nodes"].shape == (5, max(nodes), 3)
    assert pad_graphs(graphs)["edges"].shape == (5, max(edges), 2)
    assert merge_graphs(graphs)["nodes"].shape == (sum(nodes), 3)
    assert merge_graphs(graphs)["edges"].shape == (sum(edges), 2)


def test_has_what_the_graphs_have():
    bare = Graph(np.ones((2, 1)), [[0, 1]])
    assert set(pad_graphs([bare])) == {"nodes", "edges", "nodes_mask"}
    assert set(merge_graphs([bare])) == {"nodes", "edges", "graph_ids"}


@pytest.mark.parametrize("collate", [pad_graphs, merge_graphs])
def test_refuses_graphs_that_do_not_fit(collate):
    graph = Graph(np.ones((3, 1)), [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match=r"`num_nodes` must be at least 3.*=2"):
        collate([graph], num_nodes=2)
    with pytest.raises(ValueError, match=r"`num_edges` must be at least 2.*=1"):
        collate([graph], num_edges=1)
    with pytest.raises(ValueError, match="at least one graph"):
        collate([])


def test_refuses_more_graphs_than_rows():
    with pytest.raises(ValueError, match=r"`num_graphs` must be at least 4.*=3"):
        pad_graphs(random_graphs(4), num_graphs=3)


@pytest.mark.parametrize("collate", [pad_graphs, merge_graphs])
@pytest.mark.parametrize(
    "other",
    [
        Graph(np.ones((2, 4)), [[0, 1]], [[1.0]]),
        Graph(np.ones((2, 3)), [[0, 1]], [[1.0, 2.0]]),
        Graph(np.ones((2, 3)), [[0, 1]]),
    ],
)
def test_refuses_graphs_with_different_features(collate, other):
    graph = Graph(np.ones((2, 3)), [[0, 1]], [[1.0]])
    with pytest.raises(ValueError, match=r"same features.*graph 1 is Graph"):
        collate([graph, other])


def test_a_graph_without_weights_among_others_has_ones():
    """As sources give none where all are 1; and one without edges has no features."""
    graphs = [
        Graph(np.ones((2, 1)), [[0, 1]], [[7.0]]),
        Graph(np.ones((2, 1)), [[1, 0]], [[8.0]], [0.5]),
        Graph(np.ones((1, 1)), []),
    ]
    padded = pad_graphs(graphs)
    np.testing.assert_array_equal(padded["edge_weights"], [[1.0], [0.5], [0.0]])
    np.testing.assert_array_equal(padded["edge_features"], [[[7.0]], [[8.0]], [[0.0]]])
    merged = merge_graphs(graphs)
    np.testing.assert_array_equal(merged["edge_weights"], [1.0, 0.5])
    for batch in GraphBatch(graphs, 1):  # also where a batch has none that has any
        assert set(batch[0]) == set(padded)
    assert "edge_weights" not in pad_graphs(graphs[::2])
