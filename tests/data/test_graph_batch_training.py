"""Batches of graphs in `fit`, `evaluate` and `predict`, in each form."""

import keras
import numpy as np
import pytest

from keras_attn import GraphConv, GraphPooling
from keras_attn.data import GraphBatch

from .random_graphs import random_graphs

BACKEND = keras.backend.backend()
BATCH_SIZE = 8
FORMS = {
    "padded": {"buckets": 2},
    "padded tables": {"buckets": 2, "layout_width": 2},
    "disjoint": {"mode": "disjoint"},
    "disjoint tables": {"mode": "disjoint", "layout_width": 2},
}


def inputs_like(batch, name=None):
    """Keras inputs for arrays whose sizes vary, but for their last axis."""
    if isinstance(batch, dict):
        return {name: inputs_like(array, name) for name, array in batch.items()}
    variable = name in ("nodes_mask", "graph_ids", "edge_weights", "receivers")
    variable = variable or name == "back_senders"
    inner = [None] * (batch.ndim - 1) if variable else [None] * (batch.ndim - 2)
    last = [] if variable else [batch.shape[-1]]
    return keras.Input((*inner, *last), dtype=str(batch.dtype), name=name)


def make_model(batches, level="graph"):
    """A convolution of what a batch holds; as always with the same weights."""
    keras.utils.set_random_seed(0)
    inputs = inputs_like(batches[0][0])
    edges = {name: inputs[name] for name in ("edges", "layout") if name in inputs}
    members = {name: inputs[name] for name in ("nodes_mask",) if name in inputs}
    nodes = GraphConv(4)(
        inputs["nodes"], edge_weights=inputs["edge_weights"], **edges, **members
    )
    if level == "node":
        return keras.Model(inputs, keras.layers.Dense(1)(nodes))
    if level == "edge":
        return keras.Model(inputs, keras.layers.Dense(1)(inputs["edge_features"]))
    if "graph_ids" in inputs:
        members = {"graph_ids": inputs["graph_ids"], "num_graphs": BATCH_SIZE}
    pooled = GraphPooling("mean")(nodes, **members)
    return keras.Model(inputs, keras.layers.Dense(1)(pooled))


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


# Functional models name all they are given, which they do not all use here.
pytestmark = pytest.mark.filterwarnings("ignore:.*not connected.*:UserWarning")


def make(form, level="graph", **options):
    return GraphBatch(
        random_graphs(29, level), BATCH_SIZE, targets=level, **form, **options
    )


def test_every_form_predicts_the_same_in_order(form):
    batches = make(form, shuffle=False)
    model = make_model(batches)
    model.compile(jit_compile=BACKEND != "torch")
    found = batches.in_order(model.predict(batches, verbose=0))
    weights = [weight.astype("float64") for weight in model.get_weights()]
    expected = [reference(graph, *weights) for graph in batches.graphs]
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def reference(graph, bias, kernel, dense_kernel, dense_bias):
    """The model in NumPy, by the adjacency matrix of one graph."""
    adjacency = np.eye(graph.num_nodes)
    np.add.at(adjacency, tuple(graph.edges.T[::-1]), graph.edge_weights)
    scale = adjacency.sum(axis=1) ** -0.5
    nodes = scale[:, None] * adjacency * scale @ graph.nodes @ kernel + bias
    pooled = nodes.mean(axis=0) if len(nodes) else np.zeros(len(bias))
    return pooled @ dense_kernel + dense_bias


@pytest.mark.parametrize("level", ["graph", "node", "edge"])
@pytest.mark.parametrize("form", [{"buckets": 1}, {"mode": "disjoint"}])
def test_weighted_metrics_are_those_of_all_that_counts(form, level):
    graphs = random_graphs(29, level)
    batches = make(form, level)
    model = make_model(batches, level)
    model.set_weights([0.0 * weight for weight in model.get_weights()])  # predicts 0
    model.compile(loss="mse", weighted_metrics=["mse"], jit_compile=BACKEND != "torch")
    metrics = model.evaluate(batches, verbose=0, return_dict=True)
    values = np.concatenate([graph.targets.reshape(-1) for graph in graphs])
    expected = np.mean(values.astype("float64") ** 2)
    np.testing.assert_allclose(metrics["mse"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "level"),
    [
        ("padded", "graph"),
        ("padded tables", "node"),
        ("disjoint", "edge"),
        ("disjoint tables", "graph"),
    ],
)
def test_trains_with_workers_and_several_steps_a_call(form, level):
    batches = make(FORMS[form], level, workers=2)
    model = make_model(batches, level)
    model.compile(
        keras.optimizers.Adam(0.3),
        keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
        jit_compile=BACKEND != "torch",
        steps_per_execution=1 if BACKEND == "torch" else 2,
    )
    history = model.fit(
        batches,
        epochs=15,
        shuffle=False,
        callbacks=[batches.epoch_callback()],
        verbose=0,
    )
    assert BACKEND == "torch" or model.jit_compile
    losses = history.history["loss"]
    assert losses[-1] < 0.3 * losses[0]


def test_workers_hand_over_the_same_batches_in_order():
    seen = []
    for workers in (1, 3):
        batches = make(FORMS["disjoint"], workers=workers)
        adapter = keras.src.trainers.data_adapters.get_data_adapter(batches)
        rows = []
        for epoch in range(2):
            batches.set_epoch(epoch)
            adapter.on_epoch_begin()
            rows.append([targets for _, targets, _ in adapter.get_numpy_iterator()])
            adapter.on_epoch_end()
        seen.append(rows)
    np.testing.assert_array_equal(*seen)
