import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import MinCutPooling
from keras_attn.data import neighbor_layout
from tests.comparison import assert_same, to_numpy
from tests.gradients import BACKEND, gradients, in_mode, weighted_sum, with_gradients
from tests.gradients import MODES as RUNS
from tests.layers.padded_graphs import SIZES, SLOTS, WIDTH, PaddedGraphs

CLUSTERS = 3


@pytest.fixture
def graphs(rng):
    return PaddedGraphs(rng)


def make(**options):
    layer = MinCutPooling(CLUSTERS, **options)
    layer.build((None, None, WIDTH))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def reference(layer, nodes, adjacency):
    """One graph without padding, in float64: outputs and losses."""
    kernel, bias = (ops.convert_to_numpy(w).astype("float64") for w in layer.weights)
    scores = nodes @ kernel + bias
    clusters = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    between = clusters.T @ adjacency @ clusters
    degrees = np.diag(adjacency.sum(axis=1))
    ends = np.trace(clusters.T @ degrees @ clusters)
    cut = -np.trace(between) / ends if ends else 0.0
    overlap = clusters.T @ clusters
    balance = overlap / np.linalg.norm(overlap) - np.eye(CLUSTERS) / np.sqrt(CLUSTERS)
    np.fill_diagonal(between, 0.0)
    total = between.sum(axis=1)
    root = np.diag([1 / np.sqrt(t) if t > 0 else 0.0 for t in total])
    pooled = clusters.T @ nodes
    return pooled, root @ between @ root, clusters, cut, np.linalg.norm(balance)


@pytest.mark.parametrize("mode", RUNS)
def test_matches_numpy_whatever_the_padding_holds(graphs, mode):
    layer = make(loss_weight=0.5)
    rows = [
        reference(
            layer,
            graphs.nodes[i, :n].astype("float64"),
            graphs.adjacency[i, :n, :n].astype("float64"),
        )
        for i, n in enumerate(SIZES)
        if n
    ]

    def call(nodes, adjacency, mask):
        outputs = layer(nodes, adjacency, nodes_mask=mask, return_assignment=True)
        return *outputs, *layer.losses

    run = in_mode(call, mode)
    for filler in (0.0, 1e30, np.nan):
        inputs = (*graphs.filled(filler), graphs.mask)
        pooled, adjacency, clusters, *losses = to_numpy(
            run(*map(ops.convert_to_tensor, inputs))
        )
        for i, row in enumerate(rows):
            assert_same([pooled[i], adjacency[i]], list(row[:2]))
            assert_same(clusters[i, : SIZES[i]], row[2])
        assert not pooled[-1].any() and not adjacency[-1].any()
        np.testing.assert_array_equal(clusters[~graphs.mask], 0.0)
        expected = [0.5 * np.mean([row[k] for row in rows]) for k in (3, 4)]
        np.testing.assert_allclose(losses, expected, atol=1e-5)


@pytest.mark.parametrize("mode", RUNS[-1:])
def test_edges_and_tables_answer_as_the_adjacency_does(graphs, mode):
    """In outputs, losses and the gradients of both."""
    layer = make()
    nodes, adjacency = graphs.filled(np.nan)
    edges, weights = graphs.edge_lists()
    layout = stacked_layout(np.where(np.isnan(weights)[..., None], -1, edges))

    def answers(**given):
        given = keras.tree.map_structure(ops.convert_to_tensor, given)

        def loss(nodes):
            outputs = layer(nodes, nodes_mask=graphs.mask, **given)
            return weighted_sum([*outputs, *layer.losses])

        run = in_mode(with_gradients(loss, layer.trainable_variables), mode)
        return run(ops.convert_to_tensor(nodes))

    expected = answers(adjacency=adjacency)
    assert_same(answers(edges=edges, edge_weights=weights), expected)
    assert_same(answers(layout=layout, edge_weights=weights), expected)


def stacked_layout(edges):
    tables = [neighbor_layout(row, SLOTS, 2, 12, 12) for row in edges]
    return {name: np.stack([table[name] for table in tables]) for name in tables[0]}


def test_gradients_of_outputs_and_losses_do_not_see_the_padding(graphs):
    layer = make()
    mask = ops.convert_to_tensor(graphs.mask)

    def loss(nodes, adjacency):
        outputs = layer(nodes, adjacency, nodes_mask=mask)
        return weighted_sum(outputs) + sum(layer.losses)

    weights = layer.trainable_variables
    found = gradients(loss, graphs.filled(np.nan), weights)
    assert_same(found, gradients(loss, graphs.filled(0.0), weights))
    assert all(np.isfinite(gradient).all() for gradient in found)
    np.testing.assert_array_equal(found[0][~graphs.mask], 0.0)
    assert all(np.abs(gradient).max() > 1e-4 for gradient in found)


@pytest.mark.parametrize("nodes_mask", [None, np.zeros((2, 3), bool)])
def test_nothing_to_cluster_costs_nothing(nodes_mask):
    """No edges, or no nodes at all."""
    layer = make()
    nodes, adjacency = np.ones((2, 3, WIDTH), "float32"), np.zeros((2, 3, 3), "float32")
    outputs = layer(nodes, adjacency, nodes_mask=nodes_mask)
    cut, balance = (float(loss) for loss in layer.losses)
    assert cut == 0.0
    assert np.isfinite(balance) and (balance == 0.0) == (nodes_mask is not None)
    assert not to_numpy(outputs[1])[0].any()
    assert bool(to_numpy(outputs[0])[0].any()) == (nodes_mask is None)


def test_learns_the_two_halves_of_a_graph():
    """Two cliques that one edge joins; features tell next to nothing."""
    halves = np.repeat([0, 1], 6)
    adjacency = (halves[:, None] == halves).astype("float32") - np.eye(12)
    adjacency[5, 6] = adjacency[6, 5] = 1.0
    nodes = np.eye(12, dtype="float32")[None]
    layer = MinCutPooling(2, kernel_initializer=keras.initializers.RandomNormal(seed=4))
    inputs = keras.Input((12, 12)), keras.Input((12, 12))
    pooled, _ = layer(*inputs)
    model = keras.Model(inputs, 0.0 * ops.sum(pooled, axis=(1, 2)))
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=BACKEND != "torch")
    data = [nodes, adjacency[None].astype("float32")]
    history = model.fit(data, np.zeros(1), epochs=60, verbose=0).history["loss"]
    *_, clusters = layer(*data, return_assignment=True)
    found = to_numpy(clusters)[0][0].argmax(axis=1)
    assert np.array_equal(found, halves) or np.array_equal(found, 1 - halves)
    assert history[-1] < -0.8  # one edge of 31 is cut


def test_refuses_what_contradicts_itself(graphs):
    with pytest.raises(ValueError, match="`clusters` must be at least 2"):
        MinCutPooling(1)
    with pytest.raises(ValueError, match="`loss_weight` must not be negative"):
        MinCutPooling(2, loss_weight=-1.0)
    with pytest.raises(ValueError, match=r"`adjacency` must have shape \(4, 5, 5\)"):
        make()(graphs.nodes, graphs.adjacency[:, :, :4])
