"""The operations on edges, in every form, against NumPy in float64."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_attn.ops.graph.aggregation import AGGREGATIONS, aggregate
from keras_attn.ops.graph.connect import connect
from keras_attn.ops.graph.normalization import NORMALIZATIONS, propagate
from tests.comparison import assert_same
from tests.gradients import MODES, gradients, in_mode, weighted_sum
from tests.graphs import FORMS, arguments, first, random_graph


def edges_of(given):
    """The edges, and the nodes laid out by them."""
    given = {name: value for name, value in given.items() if name != "edge_features"}
    mask = given.pop("nodes_mask", None)
    nodes = ops.convert_to_tensor(given.pop("nodes"))
    if mask is not None:
        mask = ops.convert_to_tensor(mask)
        nodes = ops.where(mask[..., None], nodes, 0.0)
    tensors = {
        name: {key: ops.convert_to_tensor(table) for key, table in value.items()}
        if isinstance(value, dict)
        else ops.convert_to_tensor(value)
        for name, value in given.items()
    }
    edges = connect(ops.shape(nodes)[:-1], mask=mask, **tensors)
    return edges, edges.lay_out(nodes)


def expected_propagation(adjacency, nodes, normalization, self_loops):
    matrix = adjacency.astype("float64")
    if self_loops:
        matrix = matrix + np.eye(len(matrix))
    degrees = matrix.sum(axis=1)
    with np.errstate(divide="ignore"):
        if normalization == "symmetric":
            roots = np.where(degrees > 0, degrees**-0.5, 0.0)
            matrix = roots[:, None] * matrix * roots
        elif normalization == "random_walk":
            matrix = np.where(degrees > 0, 1 / degrees, 0.0)[:, None] * matrix
    return matrix @ nodes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weights", [True, False])
def test_propagation_is_that_of_the_matrix(rng, form, weights):
    sample = random_graph(rng)
    edges, nodes = edges_of(arguments(sample, form, weights))
    adjacency = arguments(sample, "adjacency", weights)["adjacency"]
    for normalization, loops in itertools.product(NORMALIZATIONS, [True, False]):
        found = edges.restore(propagate(edges, nodes, normalization, loops))
        expected = expected_propagation(adjacency, sample.nodes, normalization, loops)
        assert_same(first(form, found), expected)
    degrees = first(form, edges.restore(edges.degrees()))
    assert_same(degrees, adjacency.sum(axis=1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["edges", "layout"])
def test_gradients_are_those_of_the_matrix(rng, form, mode):
    """Of the nodes and of the weights, which the degrees read too."""
    sample = random_graph(rng)
    given = arguments(sample, form)

    def by_edges(nodes, weights):
        edges, laid_out = edges_of({**given, "nodes": nodes, "edge_weights": weights})
        return weighted_sum(propagate(edges, laid_out, "symmetric", True))

    def by_matrix(nodes, weights):
        matrix = ops.segment_sum(
            weights, sample.edges[:, 1] * 6 + sample.edges[:, 0], 36
        )
        edges, laid_out = edges_of(
            {"nodes": nodes, "adjacency": ops.reshape(matrix, (6, 6))}
        )
        return weighted_sum(propagate(edges, laid_out, "symmetric", True))

    tensors = (sample.nodes, sample.edge_weights)
    expected = gradients(by_matrix, tensors)
    assert np.abs(expected[1]).max() > 0.01
    assert_same(gradients(by_edges, tensors, mode=mode), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_aggregation_is_that_of_the_received(rng, form, aggregation):
    sample = random_graph(rng, duplicates=False)
    edges, nodes = edges_of(arguments(sample, form))
    messages = edges.from_senders(nodes) - edges.from_receivers(nodes)
    found = first(form, edges.restore(aggregate(edges, messages, aggregation)))
    for node in range(6):
        sent = [
            (weight, weight * (sample.nodes[sender] - sample.nodes[node]))
            for (sender, receiver), weight in zip(
                sample.edges, sample.edge_weights, strict=True
            )
            if receiver == node
        ]
        if not sent:
            np.testing.assert_array_equal(found[node], 0.0)
            continue
        weights, values = zip(*sent, strict=True)
        expected = {
            "sum": np.sum(values, axis=0),
            "mean": np.sum(values, axis=0) / np.sum(weights),
            "max": np.max(values, axis=0),
        }[aggregation]
        np.testing.assert_allclose(found[node], expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loops", [True, False])
def test_softmax_is_over_what_a_node_receives(rng, form, loops):
    sample = random_graph(rng, duplicates=False)
    edges, nodes = edges_of(arguments(sample, form))
    scores = 40 * (edges.from_senders(nodes) + 0.5 * edges.from_receivers(nodes))
    own = 60 * nodes if loops else None
    weights, own_weights = edges.softmax(scores, own)
    found = edges.sum(weights * edges.from_senders(nodes))
    if loops:
        found = found + own_weights * nodes
    found = first(form, edges.restore(found))
    for node in range(6):
        senders = sample.edges[sample.edges[:, 1] == node, 0]
        values = sample.nodes[senders].astype("float64")
        powers = 40 * (values + 0.5 * sample.nodes[node])
        if loops:
            values = np.concatenate([values, sample.nodes[None, node]])
            powers = np.concatenate([powers, 60 * sample.nodes[None, node]])
        if not len(values):
            np.testing.assert_array_equal(found[node], 0.0)
            continue
        powers = np.exp(powers - powers.max(axis=0))
        expected = (powers / powers.sum(axis=0) * values).sum(axis=0)
        np.testing.assert_allclose(found[node], expected, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["adjacency", "edges", "layout"])
def test_the_largest_share_a_gradient(form, mode):
    """Nodes 1 and 2 send the same to node 0, node 3 less."""
    nodes = np.array([[9.0], [2.0], [2.0], [1.0]], "float32")
    sample = random_graph(np.random.default_rng(0), nodes=4)._replace(
        nodes=nodes, edges=np.array([[1, 0], [2, 0], [3, 0]], "int32")
    )
    sample = sample._replace(edge_weights=np.ones(3, "float32"))
    given = arguments(sample, form)

    def largest(nodes):
        edges, nodes = edges_of({**given, "nodes": nodes})
        received = aggregate(edges, edges.from_senders(nodes), "max")
        return ops.sum(received)

    assert float(in_mode(largest, mode)(ops.convert_to_tensor(nodes))) == 2.0
    (slope,) = gradients(largest, [nodes], mode=mode)
    np.testing.assert_array_equal(slope[:, 0], [0.0, 0.5, 0.5, 0.0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batched", [False, True])
def test_an_edge_that_leaves_its_graph_is_dropped(rng, batched, mode):
    """Where no check sees it: it must not reach another node, nor another graph."""
    sample = random_graph(rng)
    wild = np.array([[6, 0], [0, 6], [-1, 2], [2, -5], [700, 1]], "int32")
    edges = np.concatenate([sample.edges, wild])
    nodes = sample.nodes
    expected = expected_propagation(
        arguments(sample, "adjacency", weights=False)["adjacency"], nodes, None, False
    )
    if batched:
        nodes, edges = np.stack([nodes] * 2), np.stack([edges] * 2)
        expected = np.stack([expected] * 2)

    def call(nodes, edges):
        connected = connect(ops.shape(nodes)[:-1], edges=edges)
        return connected.restore(connected.propagate(connected.lay_out(nodes)))

    tensors = [ops.convert_to_tensor(x) for x in (nodes, edges)]
    assert_same(in_mode(call, mode)(*tensors), expected)


@pytest.mark.parametrize("form", ["adjacency", "edges", "layout"])
def test_edges_at_masked_nodes_are_gone(rng, form):
    """At both ends: the others do not see them, and they carry nothing."""
    sample = random_graph(rng, duplicates=False)
    mask = np.arange(6) != 2
    touching = (sample.edges == 2).any(axis=1)
    assert (sample.edges[touching, 0] == 2).any()
    assert (sample.edges[touching, 1] == 2).any()
    edges, nodes = edges_of({**arguments(sample, form), "nodes_mask": mask})
    adjacency = np.where(mask[:, None] & mask, sample.adjacency, 0.0)
    assert_same(edges.propagate(nodes), adjacency @ sample.nodes)
    assert_same(edges.degrees(), adjacency.sum(axis=1))
    assert ops.convert_to_numpy(edges.exists).sum() == (~touching).sum()
