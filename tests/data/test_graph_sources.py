"""Graphs of other libraries: in, out, and the same to a layer of ours."""

import subprocess
import sys

import numpy as np
import pytest

from keras_attn.data import Graph
from keras_attn.data.graph_sources import (
    from_networkx,
    from_pyg,
    from_scipy,
    from_spektral,
    to_networkx,
    to_pyg,
    to_scipy,
    to_spektral,
)

SHAPES = {"graph": (2,), "node": (6, 2), "edge": (9,)}


@pytest.fixture(params=SHAPES)
def level(request):
    return request.param


@pytest.fixture
def graph(rng, level):
    """A directed graph with a loop, whose last node is isolated, receivers in order."""
    pairs = rng.permutation(25)[:8]
    pairs = np.stack([pairs % 5, pairs // 5], axis=1)
    edges = np.unique(np.concatenate([pairs, [[2, 2]]]), axis=0)
    edges = np.concatenate([edges, [[0, 4], [4, 1]]])[:9]
    edges = np.unique(edges, axis=0)
    edges = edges[np.lexsort(edges.T)]
    shapes = {**SHAPES, "edge": (len(edges),)}
    return Graph(
        nodes=rng.normal(size=(6, 3)),
        edges=edges,
        edge_features=rng.normal(size=(len(edges), 2)),
        edge_weights=rng.random(len(edges)),
        targets=rng.normal(size=shapes[level]),
    )


def assert_same(found, expected, names=tuple(Graph.__dataclass_fields__)):
    for name in names:
        array, other = getattr(found, name), getattr(expected, name)
        assert (array is None) == (other is None), name
        if array is not None:
            np.testing.assert_array_equal(array, other, err_msg=name)
            assert array.dtype == other.dtype


def in_order(graph, targets):
    """The graph with its edges sorted as SciPy does, by receivers."""
    order = np.lexsort(graph.edges.T)
    return Graph(
        graph.nodes,
        graph.edges[order],
        graph.edge_features[order],
        graph.edge_weights[order],
        graph.targets[order] if targets == "edge" else graph.targets,
    )


def test_scipy_and_back(graph):
    pytest.importorskip("scipy")
    found = from_scipy(to_scipy(graph), graph.nodes, graph.edge_features, graph.targets)
    assert_same(found, graph)


def test_a_matrix_has_what_a_receiver_collects_in_its_row(graph):
    pytest.importorskip("scipy")
    collected = np.zeros_like(graph.nodes)
    for (sender, receiver), weight in zip(graph.edges, graph.edge_weights, strict=True):
        collected[receiver] += weight * graph.nodes[sender]
    np.testing.assert_allclose(to_scipy(graph) @ graph.nodes, collected, atol=1e-6)


def test_forms_of_a_matrix():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 2.0, 0], [0, 0, 1], [3, 0, 4]])
    expected = Graph(
        np.ones((3, 1)), [[1, 0], [2, 1], [0, 2], [2, 2]], edge_weights=[2, 1, 3, 4]
    )
    for form in (dense, sparse.csr_matrix(dense), sparse.coo_array(dense)):
        assert_same(from_scipy(form), expected)
    columns = from_scipy(sparse.csc_array(dense), sparse.csr_matrix(np.eye(3)))
    assert_same(columns, expected, ("edges", "edge_weights"))
    np.testing.assert_array_equal(columns.nodes, np.eye(3))
    assert from_scipy(dense != 0).edge_weights is None


def test_entries_stored_twice_are_two_edges_that_add_up():
    sparse = pytest.importorskip("scipy.sparse")
    twice = sparse.coo_array(([1.0, 2, 0], ([0, 0, 1], [1, 1, 1])), shape=(2, 2))
    graph = from_scipy(twice)
    np.testing.assert_array_equal(graph.edges, [[1, 0], [1, 0], [1, 1]])
    np.testing.assert_array_equal(to_scipy(graph).toarray(), [[0, 3], [0, 0]])


def test_scipy_refuses_a_matrix_that_is_not_square():
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match=r"`adjacency`.*square.*shape=\(2, 3\)"):
        from_scipy(np.ones((2, 3)))


def test_networkx_and_back(graph, level):
    pytest.importorskip("networkx")
    found = from_networkx(to_networkx(graph, level), level)
    assert_same(in_order(found, level), graph)


def test_parallel_edges_of_networkx():
    networkx = pytest.importorskip("networkx")
    graph = Graph(np.ones((2, 1)), [[0, 1], [0, 1]], edge_weights=[1, 2])
    converted = to_networkx(graph)
    assert isinstance(converted, networkx.MultiDiGraph)
    assert_same(from_networkx(converted), graph)


def test_edges_of_an_undirected_graph_lead_both_ways():
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph([("a", "b", {"weight": 3}), ("c", "b"), ("b", "b")])
    found = from_networkx(graph)
    assert_same(
        found,
        Graph(
            np.ones((3, 1)),
            [[0, 1], [1, 2], [1, 1], [1, 0], [2, 1]],
            edge_weights=[3, 1, 1, 3, 1],
        ),
    )


def test_networkx_refuses_attributes_of_some_only():
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(3)
    graph.nodes[1]["features"] = [1.0]
    with pytest.raises(ValueError, match=r"'features' must be on all.*none on 0"):
        from_networkx(graph)
    with pytest.raises(ValueError, match=r"`targets` must be one of.*'nodes'"):
        from_networkx(graph, "nodes")


@pytest.fixture(scope="module")
def spektral():
    """The containers of Spektral alone; its layers do not import everywhere."""
    return pytest.importorskip("spektral.data")


def test_spektral_and_back(spektral, graph):
    converted = to_spektral(graph)
    assert isinstance(converted, spektral.Graph)
    np.testing.assert_array_equal(converted.a.toarray(), to_scipy(graph).toarray())
    assert_same(from_spektral(converted), graph)


def test_spektral_gets_edge_features_in_the_order_of_its_matrix(spektral, graph, rng):
    order = rng.permutation(graph.num_edges)
    shuffled = Graph(
        graph.nodes,
        graph.edges[order],
        graph.edge_features[order],
        graph.edge_weights[order],
    )
    assert_same(
        from_spektral(to_spektral(shuffled)),
        graph,
        ("nodes", "edges", "edge_features", "edge_weights"),
    )


def test_dense_edge_features_of_spektral(spektral, rng):
    adjacency = np.array([[0, 1.0], [0, 0]])
    features = rng.normal(size=(2, 2, 3)).astype("float32")
    found = from_spektral(spektral.Graph(a=adjacency, e=features, y=1))
    np.testing.assert_array_equal(found.edges, [[1, 0]])
    np.testing.assert_array_equal(found.edge_features, features[:1, 1])
    np.testing.assert_array_equal(found.nodes, [[1], [1]])
    assert found.targets == 1


def test_data_sets_of_spektral(spektral):
    class Pairs(spektral.Dataset):
        def read(self):
            self.a = np.array([[0, 1.0], [1, 0]])
            return [spektral.Graph(x=np.full((2, 1), float(i))) for i in range(3)]

    dataset = Pairs()
    graphs = [from_spektral(graph, dataset.a) for graph in dataset]
    assert [graph.nodes[0, 0] for graph in graphs] == [0, 1, 2]
    assert all(graph.num_edges == 2 for graph in graphs)
    with pytest.raises(ValueError, match=r"pass `adjacency=dataset.a`"):
        from_spektral(dataset[0])


def test_spektral_has_no_place_for_features_of_edges_that_occur_twice(spektral):
    graph = Graph(np.ones((2, 1)), [[0, 1], [0, 1]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="occur twice"):
        to_spektral(graph)


def test_pyg_and_back(graph, level):
    pytest.importorskip("torch_geometric")
    converted = to_pyg(graph, level)
    assert converted.validate()
    assert tuple(converted.edge_index.shape) == (2, graph.num_edges)
    assert_same(from_pyg(converted, level), graph)


def test_pyg_collects_what_our_matrix_does(graph):
    pytest.importorskip("scipy")
    nn = pytest.importorskip("torch_geometric.nn")
    data = to_pyg(graph)
    collected = nn.SimpleConv()(data.x, data.edge_index, data.edge_weight)
    np.testing.assert_allclose(collected, to_scipy(graph) @ graph.nodes, atol=1e-6)


def test_arrays_in_the_form_of_pyg():
    class Arrays:
        edge_index = np.array([[0, 1], [1, 2]])
        edge_attr = np.array([0.5, 1.5])
        y = np.array([[1.0, 2.0]])
        num_nodes = 3

    assert_same(
        from_pyg(Arrays()),
        Graph(np.ones((3, 1)), [[0, 1], [1, 2]], [[0.5], [1.5]], targets=[1.0, 2.0]),
    )
    with pytest.raises(ValueError, match=r"`data.y` must have one row.*\(3,\)"):
        Arrays.y = np.zeros(3)
        from_pyg(Arrays())
    with pytest.raises(ValueError, match=r"`data.edge_index`.*\(2, edges\).*\(3, 2\)"):
        Arrays.edge_index = np.zeros((3, 2), int)
        from_pyg(Arrays())


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("networkx", "to_networkx(graph)", "graphs"),
        ("scipy", "to_scipy(graph)", "graphs"),
        ("spektral", "to_spektral(graph)", "graphs"),
        ("torch", "to_pyg(graph)", "pyg"),
        ("torch_geometric", "to_pyg(graph)", "pyg"),
    ],
)
def test_a_missing_library_is_named_with_the_way_to_it(module, call, extra):
    program = (
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "from keras_attn.data.graph_sources import *\n"
        "from keras_attn.data import Graph\n"
        "graph = Graph([[1.0]], [])\n"
        f"try:\n    {call}\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"`{module}" in done.stdout and f"keras_attn[{extra}]" in done.stdout


def test_importing_imports_no_library():
    program = (
        "import sys\n"
        "from keras_attn.data import Graph, graph_sources, merge_graphs, planetoid\n"
        "heavy = {'keras', 'networkx', 'scipy', 'spektral', 'tensorflow', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
