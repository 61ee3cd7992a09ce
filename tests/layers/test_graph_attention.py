import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import GraphAttention
from tests.comparison import assert_same
from tests.gradients import MODES
from tests.graphs import FORMS, arguments, first, random_graph
from tests.layers.graph_layers import compiled_call


@pytest.fixture
def sample(rng):
    return random_graph(rng, duplicates=False)


def random_layer(sample, rng, **options):
    layer = GraphAttention(2, 3, **options)
    layer(**arguments(sample, "edges", weights=False, features=True))
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def reference(layer, sample):
    """The docstring's formulas in float64, one edge and one head at a time."""
    weights = {
        weight.path.partition("/")[2]: ops.convert_to_numpy(weight).astype("float64")
        for weight in layer.weights
    }
    count = len(sample.nodes)
    senders = (sample.nodes @ weights["sender/kernel"]).reshape(count, 3, 2)
    receivers = sample.nodes @ weights["receiver/kernel"] + weights["receiver/bias"]
    receivers = receivers.reshape(count, 3, 2)
    features = (sample.edge_features @ weights["edge/kernel"]).reshape(-1, 3, 2)
    outputs, own = np.zeros((count, 3, 2)), np.zeros((count, 3))
    scores = np.zeros((len(sample.edges), 3))
    for node, head in np.ndindex(count, 3):
        incoming = np.flatnonzero(sample.edges[:, 1] == node)
        values = [senders[sample.edges[edge, 0], head] for edge in incoming]
        seen = [
            value + receivers[node, head] + features[edge, head]
            for edge, value in zip(incoming, values, strict=True)
        ]
        if layer.self_loops:
            values.append(senders[node, head])
            seen.append(senders[node, head] + receivers[node, head])
        if not seen:
            continue
        seen = np.stack(seen)
        bent = np.where(seen > 0, seen, layer.negative_slope * seen)
        powers = np.exp(bent @ weights["scale"][head])
        shares = powers / powers.sum()
        outputs[node, head] = shares @ np.stack(values)
        scores[incoming, head] = shares[: len(incoming)]
        own[node, head] = shares[len(incoming) :].sum()
    joined = outputs.reshape(count, 6) if layer.concatenate else outputs.mean(axis=1)
    return joined + weights["bias"], scores, own


@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("concatenate", [True, False])
def test_matches_numpy(sample, rng, self_loops, concatenate):
    layer = random_layer(
        sample,
        rng,
        self_loops=self_loops,
        concatenate=concatenate,
        negative_slope=0.4,
    )
    given = arguments(sample, "edges", weights=False, features=True)
    found = layer(**given, return_attention_scores=True)
    assert_same(found, reference(layer, sample))


@pytest.mark.parametrize("form", FORMS)
def test_weights_come_as_the_edges_do(sample, rng, form):
    layer = random_layer(sample, rng)
    _, scores, own = reference(layer, sample)
    given = arguments(sample, form, weights=False, features=True)
    flags = {"return_attention_scores": True}
    outputs = [
        ops.convert_to_numpy(x)
        for x in compiled_call(lambda **x: layer(**x, **flags), given, MODES[-1])()
    ]
    assert_same(first(form, outputs[2]), own)
    found = outputs[1][0] if form.startswith("batched_") else outputs[1]
    assert np.isfinite(outputs[1]).all()
    if form.endswith("adjacency"):
        expected = np.zeros((*found.shape[:2], 3))
        expected[sample.edges[:, 1], sample.edges[:, 0]] = scores
    elif form.endswith("edges"):
        expected = np.zeros((len(found), 3))
        expected[: len(scores)] = scores
    else:
        slots = arguments(sample, "layout")["layout"]["edges"]
        padded = np.concatenate([scores, np.zeros((1, 3))])
        expected = padded[np.minimum(slots, len(scores))]
    assert_same(found, expected)


def test_an_edge_of_weight_zero_is_none(sample):
    layer = GraphAttention(4, self_loops=False)
    weights = (np.arange(len(sample.edges)) % 2).astype("float32")
    kept = sample.edges[weights > 0]
    expected = layer(sample.nodes, edges=kept)
    found = layer(sample.nodes, edges=sample.edges, edge_weights=3 * weights)
    assert_same(found, expected)


def test_large_scores_do_not_overflow(sample, rng):
    layer = random_layer(sample, rng)
    layer.scale.assign(np.full(layer.scale.shape, 1e4))
    given = arguments(sample, "edges", weights=False, features=True)
    outputs, scores, own = (
        ops.convert_to_numpy(x) for x in layer(**given, return_attention_scores=True)
    )
    assert np.isfinite(outputs).all()
    totals = own.copy()
    np.add.at(totals, sample.edges[:, 1], scores)
    np.testing.assert_allclose(totals, 1.0, atol=1e-5)


def test_dropout_drops_weights_in_training_only(sample):
    nodes = np.ones((6, 3), "float32")  # a mean of ones is one, with all its weights
    layer = GraphAttention(4, 2, dropout=0.5, seed=3)
    plain = ops.convert_to_numpy(layer(nodes, edges=sample.edges))
    means = np.mean(
        [
            ops.convert_to_numpy(layer(nodes, edges=sample.edges, training=True))
            for _ in range(200)
        ],
        axis=0,
    )
    dropped = layer(nodes, edges=sample.edges, training=True)
    assert np.abs(ops.convert_to_numpy(dropped) - plain).max() > 0.1
    np.testing.assert_allclose(means, plain, atol=0.35 * np.abs(plain).max())
    assert_same(layer(nodes, edges=sample.edges, training=False), plain)
    _, scores, _ = layer(
        nodes, edges=sample.edges, training=True, return_attention_scores=True
    )
    assert (ops.convert_to_numpy(scores) > 0).all()  # those before dropout


def test_a_twin_has_the_same_options():
    layer = GraphAttention(
        2, 3, False, False, 0.1, 0.3, "elu", False, 7, kernel_initializer="ones"
    )
    twin = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert twin.get_config() == layer.get_config()


def test_symbolic_weights_have_the_shape_of_the_real_ones(sample):
    layer = GraphAttention(2, 3)
    flags = {"return_attention_scores": True}
    for form in ("edges", "batched_adjacency", "batched_edges"):
        given = arguments(sample, form, weights=False)
        symbols = {
            name: keras.Input(value.shape[1:], dtype=value.dtype.name)
            for name, value in given.items()
        }
        for symbol, real in zip(
            layer(**symbols, **flags), layer(**given, **flags), strict=True
        ):
            assert symbol.shape == (None, *tuple(real.shape)[1:])
