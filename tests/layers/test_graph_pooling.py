import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import AttentionPooling, GraphPooling
from keras_attn.ops.graph_pooling import MODES
from tests.comparison import assert_same, to_numpy
from tests.gradients import MODES as RUNS
from tests.gradients import gradients, in_mode, weighted_sum
from tests.layers.padded_graphs import SIZES, WIDTH, PaddedGraphs

REDUCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max}


@pytest.fixture
def graphs(rng):
    return PaddedGraphs(rng)


def make(kind):
    """A layer with random weights."""
    layer = AttentionPooling(3) if kind == "attention" else GraphPooling(kind)
    layer.build((None, None, WIDTH))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def reference(layer, nodes):
    """The docstring's formula for one graph without padding, in float64."""
    nodes = nodes.astype("float64")
    if not len(nodes):
        return np.zeros(WIDTH)
    if isinstance(layer, GraphPooling):
        return REDUCTIONS[layer.mode](nodes, axis=0)
    kernel, bias, vector = (ops.convert_to_numpy(w) for w in layer.weights)
    scores = np.tanh(nodes @ kernel + bias) @ vector[:, 0]
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ nodes


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("kind", [*MODES, "attention"])
def test_both_forms_match_numpy(graphs, kind, mode):
    layer = make(kind)
    expected = np.stack(
        [reference(layer, graphs.nodes[i, :size]) for i, size in enumerate(SIZES)]
    )
    padded = in_mode(lambda nodes, mask: layer(nodes, nodes_mask=mask), mode)
    found = padded(*map(ops.convert_to_tensor, (graphs.nodes, graphs.mask)))
    assert_same(found, expected)
    count = len(SIZES)
    disjoint = in_mode(lambda nodes, ids: layer(nodes, ids, num_graphs=count), mode)
    found = disjoint(*map(ops.convert_to_tensor, graphs.side_by_side()))
    assert_same(found, expected)


@pytest.mark.parametrize("kind", [*MODES, "attention"])
def test_both_forms_have_equal_gradients(graphs, kind):
    layer = make(kind)
    nodes, ids = graphs.side_by_side()
    mask = ops.convert_to_tensor(graphs.mask)

    def padded(nodes):
        return weighted_sum(layer(nodes, nodes_mask=mask))

    def disjoint(nodes):
        return weighted_sum(layer(nodes, ids, num_graphs=len(SIZES)))

    variables = layer.trainable_variables
    found = gradients(disjoint, [nodes], variables)
    expected = gradients(padded, [graphs.filled(np.nan)[0]], variables)
    assert_same(found[0], graphs.shuffled(expected[0], 0.0))
    assert_same(found[1:], expected[1:])
    np.testing.assert_array_equal(found[0][ids < 0], 0.0)
    np.testing.assert_array_equal(expected[0][~graphs.mask], 0.0)
    assert all(np.isfinite(gradient).all() for gradient in [*found, *expected])


def test_attention_weights_sum_to_one_in_every_graph(graphs):
    layer = make("attention")
    scores = {"return_attention_scores": True}
    _, padded = layer(graphs.nodes, nodes_mask=graphs.mask, **scores)
    padded = to_numpy(padded)[0]
    np.testing.assert_allclose(padded.sum(axis=1), [1, 1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(padded > 0, graphs.mask)
    nodes, ids = graphs.side_by_side()
    _, disjoint = layer(nodes, ids, num_graphs=len(SIZES), **scores)
    disjoint = to_numpy(disjoint)[0]
    for graph in range(len(SIZES)):
        assert_same(
            np.sort(disjoint[ids == graph]), np.sort(padded[graph, : SIZES[graph]])
        )


@pytest.mark.parametrize("kind", [*MODES, "attention"])
def test_a_mask_of_keras_is_taken(graphs, kind):
    layer = make(kind)
    nodes = ops.convert_to_tensor(graphs.nodes)
    nodes._keras_mask = ops.convert_to_tensor(graphs.mask)
    found = layer(nodes)
    assert_same(found, layer(graphs.nodes, nodes_mask=graphs.mask))
    assert getattr(found, "_keras_mask", None) is None


@pytest.mark.parametrize("kind", [*MODES, "attention"])
def test_large_scores_and_counts_survive_sixteen_bits(kind):
    """A count in bfloat16 would stop at 256."""
    layer = AttentionPooling(3) if kind == "attention" else GraphPooling(kind)
    twin = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    nodes = np.ones((600, 2), "float32")
    ids = np.zeros(600, "int32")
    expected = to_numpy(layer(nodes, ids, num_graphs=2))[0]
    np.testing.assert_allclose(
        to_numpy(twin(nodes, ids, num_graphs=2))[0], expected, rtol=0.01
    )


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("kind", [*MODES, "attention"])
def test_graphs_without_any_slot_pool_to_zeros(kind, mode):
    layer = make(kind)
    nothing = np.zeros((2, WIDTH), "float32")
    assert_same(in_mode(layer, mode)(ops.zeros((2, 0, WIDTH))), nothing)
    ids = ops.zeros((0,), "int32")
    disjoint = in_mode(lambda x: layer(x, ids, num_graphs=2), mode)
    assert_same(disjoint(ops.zeros((0, WIDTH))), nothing)


@pytest.mark.parametrize("mode", RUNS[1:] or RUNS)
def test_ids_beyond_the_graphs_count_for_nothing_where_they_cannot_be_seen(mode):
    nodes, ids = np.float32([[1.0], [2.0], [4.0]]), np.int32([0, 7, 1])
    layer = GraphPooling("sum")
    if mode == "eager":
        pytest.skip("everything is seen here")
    run = in_mode(lambda nodes, ids: layer(nodes, ids, num_graphs=2), mode)
    found = run(ops.convert_to_tensor(nodes), ops.convert_to_tensor(ids))
    assert_same(found, np.float32([[1.0], [4.0]]))


PADDED, FLAT = np.ones((2, 3, 4), "float32"), np.ones((3, 4), "float32")
IDS = np.int32([0, 1, 1])


@pytest.mark.parametrize(
    ("nodes", "arguments", "message"),
    [
        (FLAT, {}, r"`nodes` must have shape \(batch, nodes, dim\)"),
        (PADDED, {"graph_ids": IDS, "num_graphs": 2}, "with `graph_ids`"),
        (PADDED, {"num_graphs": 2}, "`num_graphs` goes with `graph_ids`"),
        (FLAT, {"graph_ids": IDS}, "Received: num_graphs=None"),
        (FLAT, {"graph_ids": IDS, "num_graphs": 0}, "Received: num_graphs=0"),
        (FLAT, {"graph_ids": IDS[1:], "num_graphs": 2}, r"shape \(3,\)"),
        (FLAT, {"graph_ids": IDS / 1, "num_graphs": 2}, "integers.*dtype=float"),
        (FLAT, {"graph_ids": IDS, "num_graphs": 1}, "graph_ids up to 1"),
        (PADDED, {"nodes_mask": np.ones((2, 4), bool)}, "`nodes_mask`"),
        (PADDED, {"nodes_mask": np.ones((2, 3))}, "boolean"),
    ],
)
@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_refuses_what_contradicts_itself(kind, nodes, arguments, message):
    layer = make(kind)
    with pytest.raises(ValueError, match=message):
        layer(nodes, **arguments)


def test_refuses_arguments_that_mean_nothing():
    with pytest.raises(ValueError, match=r"`mode` must be one of.*mode='median'"):
        GraphPooling("median")
    with pytest.raises(ValueError, match="units=0"):
        AttentionPooling(0)
    layer = make("attention")
    with pytest.raises(ValueError, match="`nodes` must have width 4"):
        layer(np.ones((2, 3, 5), "float32"))


def test_a_functional_model_pools_graphs_side_by_side(graphs, tmp_path):
    nodes = keras.Input((WIDTH,), name="nodes")
    ids = keras.Input((), dtype="int32", name="graph_ids")
    pooled = AttentionPooling(3)(nodes, ids, num_graphs=len(SIZES))
    model = keras.Model({"nodes": nodes, "graph_ids": ids}, pooled)
    values, numbers = graphs.side_by_side()
    inputs = {"nodes": values, "graph_ids": numbers}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(loaded(inputs), model(inputs))
    assert model.output.shape == (len(SIZES), WIDTH)
