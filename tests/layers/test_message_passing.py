import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import EdgeConv, MessagePassing
from tests.comparison import assert_same
from tests.graphs import FORMS, arguments, first, random_graph


@pytest.fixture
def sample(rng):
    return random_graph(rng, duplicates=False)


class Gated(MessagePassing):
    """Uses all that a message and an update may see."""

    def build(self, nodes_shape, edge_features_shape=None):
        self.gate = keras.layers.Dense(nodes_shape[-1], dtype=self.dtype_policy)
        self.gate.build((None, edge_features_shape[-1] + 2 * nodes_shape[-1]))

    def message(self, senders, receivers, edge_features=None):
        seen = ops.concatenate([senders, receivers, edge_features], axis=-1)
        return senders * ops.sigmoid(self.gate(seen))

    def update(self, nodes, messages):
        return ops.concatenate([nodes, messages], axis=-1)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_user_writes_sees_its_edges(sample, form):
    layer = Gated()
    given = arguments(sample, form, features=True)
    found = first(form, layer(**given))
    kernel, bias = (
        ops.convert_to_numpy(weight).astype("float64") for weight in layer.weights
    )
    expected = np.concatenate([sample.nodes, np.zeros((6, 3))], axis=1)
    for (sender, receiver), weight, features in zip(
        sample.edges, sample.edge_weights, sample.edge_features, strict=True
    ):
        ends = [sample.nodes[sender], sample.nodes[receiver], features]
        gates = 1 / (1 + np.exp(-(np.concatenate(ends) @ kernel + bias)))
        expected[receiver, 3:] += weight * sample.nodes[sender] * gates
    assert_same(found, expected)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "max"])
def test_by_default_the_senders_are_aggregated(sample, aggregation):
    layer = MessagePassing(aggregation)
    adjacency = sample.adjacency.astype("float64")
    sums = adjacency.sum(axis=1, keepdims=True)
    products = adjacency[..., None] * sample.nodes
    expected = {
        "sum": adjacency @ sample.nodes,
        "mean": adjacency @ sample.nodes / np.where(sums > 0, sums, 1),
        "max": np.where(
            sums > 0,
            np.where(adjacency[..., None] > 0, products, -np.inf).max(axis=1),
            0.0,
        ),
    }[aggregation]
    assert_same(layer(**arguments(sample, "edges")), expected)


@pytest.mark.parametrize("train_epsilon", [True, False])
@pytest.mark.parametrize("features", [True, False])
def test_edge_conv_matches_numpy(sample, rng, features, train_epsilon):
    layer = EdgeConv(4, 5, 0.3, train_epsilon, "tanh", "sigmoid")
    given = arguments(sample, "edges", features=features)
    layer(**given)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    weights = {
        weight.path.partition("/")[2]: ops.convert_to_numpy(weight).astype("float64")
        for weight in layer.weights
    }
    assert ("epsilon" in weights) == train_epsilon
    hidden = (1 + weights.get("epsilon", 0.3)) * sample.nodes.astype("float64")
    for (sender, receiver), weight, edge in zip(
        sample.edges, sample.edge_weights, sample.edge_features, strict=True
    ):
        message = sample.nodes[sender].astype("float64")
        if features:
            message = message + edge @ weights["edge/kernel"] + weights["edge/bias"]
        hidden[receiver] += weight * np.maximum(message, 0)
    hidden = np.tanh(hidden @ weights["widen/kernel"] + weights["widen/bias"])
    hidden = hidden @ weights["narrow/kernel"] + weights["narrow/bias"]
    assert_same(layer(**given), 1 / (1 + np.exp(-hidden)))
