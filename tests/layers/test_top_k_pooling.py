import numpy as np
import pytest
from keras import ops

from keras_attn import GraphConv, TopKPooling
from keras_attn.ops.graph_coarsening import share
from tests.comparison import assert_same, to_numpy
from tests.gradients import MODES as RUNS
from tests.gradients import gradients, in_mode, weighted_sum
from tests.layers.padded_graphs import SIZES, SLOTS, WIDTH, PaddedGraphs


@pytest.fixture
def graphs(rng):
    return PaddedGraphs(rng)


@pytest.fixture
def layer():
    made = TopKPooling(0.4)
    made.build((None, None, WIDTH))
    made.kernel.assign(np.random.default_rng(1).normal(size=(WIDTH, 1)))
    return made


def reference(layer, nodes, adjacency, slots):
    """One graph without padding, in float64; then padded with zeros to `slots`."""
    nodes, adjacency = nodes.astype("float64"), adjacency.astype("float64")
    kernel = ops.convert_to_numpy(layer.kernel)[:, 0]
    scores = nodes @ kernel / np.linalg.norm(kernel)
    places = np.argsort(-scores)[: int(np.ceil(layer.ratio * len(nodes) - 1e-9))]
    kept = nodes[places] * np.tanh(scores[places])[:, None]
    missing = slots - len(places)
    return (
        np.pad(kept, ((0, missing), (0, 0))),
        np.pad(adjacency[np.ix_(places, places)], (0, missing)),
        np.arange(slots) < len(places),
    )


@pytest.mark.parametrize("mode", RUNS)
def test_matches_numpy_whatever_the_padding_holds(graphs, layer, mode):
    rows = [
        reference(layer, graphs.nodes[i, :n], graphs.adjacency[i, :n, :n], 2)
        for i, n in enumerate(SIZES)
    ]
    run = in_mode(lambda x, a, mask: layer(x, a, nodes_mask=mask), mode)
    for filler in (0.0, 1e30, np.nan):
        inputs = (*graphs.filled(filler), graphs.mask)
        found = run(*map(ops.convert_to_tensor, inputs))
        for column, value in enumerate(found):
            expected = np.stack([row[column] for row in rows])
            assert_same(value, expected.astype(to_numpy(value)[0].dtype))


@pytest.mark.parametrize("mode", RUNS)
def test_edges_stay_where_they_are_and_say_what_the_adjacency_says(graphs, layer, mode):
    edges, weights = graphs.edge_lists()
    mask = ops.convert_to_tensor(graphs.mask)
    nodes, _ = map(ops.convert_to_tensor, graphs.filled(np.nan))
    run = in_mode(lambda x, e: layer(x, edges=e, nodes_mask=mask), mode)
    if mode != "eager":  # where no check sees them
        edges[0, -2:] = [[SLOTS, 0], [0, 10**9]]
    pooled, pairs, kept = run(nodes, ops.convert_to_tensor(edges))
    expected = layer(nodes, graphs.adjacency, nodes_mask=mask)
    assert_same([pooled, kept], [expected[0], expected[2]])
    assert ops.dtype(pairs) == "int32"
    found = np.zeros(expected[1].shape, "float32")
    for row, (pairs_of_row, of_row) in enumerate(zip(pairs, weights, strict=True)):
        senders, receivers = to_numpy(pairs_of_row)[0].T
        there = receivers != -1
        found[row, receivers[there], senders[there]] = of_row[there]
    assert_same(found, expected[1])


def test_a_convolution_goes_on_with_the_edges_that_stay(graphs, layer):
    """And with their weights, which need no new order."""
    edges, weights = graphs.edge_lists()
    nodes, _ = graphs.filled(0.0)
    convolution = GraphConv(3)
    pooled, adjacency, kept = layer(nodes, graphs.adjacency, nodes_mask=graphs.mask)
    expected = convolution(pooled, adjacency=adjacency, nodes_mask=kept)
    pooled, pairs, kept = layer(nodes, edges=edges, nodes_mask=graphs.mask)
    found = convolution(pooled, edges=pairs, edge_weights=weights, nodes_mask=kept)
    assert_same(found, expected)


def test_the_direction_learns_and_padding_does_not(graphs, layer):
    mask = ops.convert_to_tensor(graphs.mask)

    def loss(nodes, adjacency):
        return weighted_sum(layer(nodes, adjacency, nodes_mask=mask)[:2])

    weights = layer.trainable_variables
    found = gradients(loss, graphs.filled(np.nan), weights)
    expected = gradients(loss, graphs.filled(0.0), weights)
    assert_same(found, expected)
    assert np.abs(found[2]).max() > 1e-3
    np.testing.assert_array_equal(found[0][~graphs.mask], 0.0)


def test_the_worst_node_comes_before_padding(graphs, layer):
    """Whose score of zero is better than that of any node here."""
    kernel = ops.convert_to_numpy(layer.kernel)[:, 0]
    nodes = np.broadcast_to(-kernel, graphs.nodes.shape)
    pooled, _, kept = layer(nodes, graphs.adjacency, nodes_mask=graphs.mask)
    gate = np.tanh(-np.linalg.norm(kernel))
    expected = np.where(to_numpy(kept)[0][..., None], -kernel * gate, 0.0)
    assert_same(pooled, expected.astype("float32"))
    np.testing.assert_array_equal(to_numpy(kept)[0].sum(axis=1), [2, 2, 1, 0])


def test_without_a_mask_every_slot_is_a_node(graphs, layer):
    whole = slice(0, 1)  # the first graph fills its slots
    inputs = graphs.nodes[whole], graphs.adjacency[whole]
    found = layer(*inputs)
    assert_same(found[:2], layer(*inputs, nodes_mask=graphs.mask[whole])[:2])
    assert to_numpy(found[2])[0].all()


def test_the_order_of_the_nodes_does_not_matter(graphs, layer):
    order = np.array([3, 1, 4, 0, 2])
    shuffled = layer(
        graphs.nodes[:, order],
        graphs.adjacency[:, order][:, :, order],
        nodes_mask=graphs.mask[:, order],
    )
    expected = layer(graphs.nodes, graphs.adjacency, nodes_mask=graphs.mask)
    assert_same(shuffled[:2], expected[:2])


@pytest.mark.parametrize(
    ("ratio", "count", "kept"), [(0.7, 10, 7), (0.5, 5, 3), (1.0, 6, 6), (0.1, 0, 0)]
)
def test_a_share_is_rounded_up_alike_for_slots_and_nodes(ratio, count, kept):
    assert share(ratio, count) == kept
    assert int(share(ratio, ops.convert_to_tensor(count))) == kept


def test_refuses_what_contradicts_itself(graphs, layer):
    for ratio in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"`ratio` must be in \[0\.001, 1\]"):
            TopKPooling(ratio)
    with pytest.raises(ValueError, match=r"`adjacency` must have shape \(4, 5, 5\)"):
        layer(graphs.nodes, graphs.adjacency[:, :4])
    with pytest.raises(ValueError, match=r"`adjacency` must have shape"):
        layer(graphs.nodes, graphs.adjacency[0])
    edges, _ = graphs.edge_lists()
    with pytest.raises(ValueError, match="Exactly one"):
        layer(graphs.nodes, graphs.adjacency, edges)
    edges[2, 0] = [SLOTS, 0]
    with pytest.raises(ValueError, match=r"nodes 0 to 4, .* Received: the edge"):
        layer(graphs.nodes, edges=edges)
    with pytest.raises(ValueError, match="`nodes` must have width 4"):
        layer(graphs.nodes[..., :3], graphs.adjacency)
    with pytest.raises(ValueError, match="`nodes_mask` must have shape"):
        layer(graphs.nodes, graphs.adjacency, nodes_mask=np.ones((4, SLOTS + 1), bool))
