import dataclasses
import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import KnownLabelsLoss, MolecularGraphNet
from keras_attn.data import Graph, GraphBatch, pad_graphs
from tests.comparison import assert_same, to_numpy
from tests.gradients import BACKEND, MODES, gradients, in_mode, weighted_sum

WIDTHS = {"node_features": 5, "edge_features": 3}
SIZES = {**WIDTHS, "units": 6, "num_layers": 2, "dropout": 0.0}


def molecule(rng, atoms, targets=None):
    """A chain of atoms, each bond both ways."""
    there = np.stack([np.arange(atoms - 1), np.arange(1, atoms)], axis=1)
    bonds = rng.normal(size=(atoms - 1, WIDTHS["edge_features"]))
    return Graph(
        nodes=rng.normal(size=(atoms, WIDTHS["node_features"])),
        edges=np.concatenate([there, there[:, ::-1]]),
        edge_features=np.concatenate([bonds, bonds]),
        targets=targets,
    )


def make(num_tasks=2, **options):
    model = MolecularGraphNet(num_tasks, **{**SIZES, **options})
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


@pytest.fixture
def graphs(rng):
    return [molecule(rng, atoms) for atoms in (4, 1, 6)]


@pytest.fixture
def inputs(graphs):
    return pad_graphs(graphs)


def reference(model, graph):
    """One molecule without padding, in float64: the outputs and the attention."""
    found = {
        weight.path: ops.convert_to_numpy(weight).astype("float64")
        for weight in model.weights
    }

    def dense(name, x):
        return x @ found[f"{name}/kernel"] + found.get(f"{name}/bias", 0.0)

    def norm(name, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-3)
        return scaled * found[f"{name}/gamma"] + found[f"{name}/beta"]

    atoms = dense("atom", graph.nodes.astype("float64"))
    for i in range(model.num_layers):
        normal = norm(f"norm_{i}", atoms)
        heard = (1 + found[f"conv_{i}/epsilon"]) * normal
        shifts = dense(f"conv_{i}/edge", graph.edge_features.astype("float64"))
        for (sender, receiver), shift in zip(graph.edges, shifts, strict=True):
            heard[receiver] += np.maximum(normal[sender] + shift, 0)
        hidden = np.maximum(dense(f"conv_{i}/widen", heard), 0)
        atoms = atoms + dense(f"conv_{i}/narrow", hidden)
    atoms = norm("norm", atoms)
    scores = None
    poolings = [model.pooling] if isinstance(model.pooling, str) else model.pooling
    pooled = [getattr(atoms, mode)(axis=0) for mode in poolings if mode != "attention"]
    if "attention" in poolings:
        scores = dense("pooling/score", np.tanh(dense("pooling/hidden", atoms)))[:, 0]
        scores = np.exp(scores) / np.exp(scores).sum()
        pooled.append(scores @ atoms)
    pooled = np.concatenate(pooled)
    return dense("outputs", np.maximum(dense("hidden", pooled), 0)), scores


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [(pooling, MODES[0]) for pooling in ("sum", "mean", "max", ("attention", "sum"))]
    + [("attention", mode) for mode in MODES],
)
def test_matches_numpy(graphs, inputs, pooling, mode):
    model = make(pooling=pooling)
    expected = np.stack([reference(model, graph)[0] for graph in graphs])
    tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    assert_same(in_mode(lambda x: model(x), mode)(tensors), expected)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_explains_by_the_attention_of_the_atoms(graphs, inputs, task):
    model = make(task=task)
    answer = {name: to_numpy(x)[0] for name, x in model.explain(inputs).items()}
    scores = answer.pop("attention_scores")
    ((name, found),) = answer.items()
    assert name == {"regression": "values", "classification": "probabilities"}[task]
    for row, graph in enumerate(graphs):
        outputs, weights = reference(model, graph)
        if task == "classification":
            outputs = 1 / (1 + np.exp(-outputs))
        np.testing.assert_allclose(found[row], outputs, atol=1e-5)
        np.testing.assert_allclose(scores[row, : len(weights)], weights, atol=1e-5)
        assert not scores[row, len(weights) :].any()
    assert set(make(pooling="mean").explain(inputs)) == {"values"}


def test_padding_never_matters(graphs, inputs):
    """Slots of nodes and of edges, an empty molecule included."""
    model = make()
    larger = pad_graphs(graphs, num_nodes=9, num_edges=17, num_graphs=4)
    nodes, bonds = ~larger["nodes_mask"], larger["edges"][..., 1] < 0

    def run(filler):
        filled = dict(larger)
        for name, padding in (("nodes", nodes), ("edge_features", bonds)):
            filled[name] = np.where(padding[..., None], filler, larger[name])
        tensors = {k: ops.convert_to_tensor(v) for k, v in filled.items()}

        def loss(nodes, edge_features):
            features = {"nodes": nodes, "edge_features": edge_features}
            return weighted_sum(model({**tensors, **features})[:3])

        features = [tensors[name] for name in ("nodes", "edge_features")]
        return model(tensors), gradients(loss, features, model.trainable_variables)

    values, expected = run(np.float32(0.0))
    assert_same(values[:3], model(inputs))
    for filler in (1e30, np.inf, np.nan):
        found, slopes = run(np.float32(filler))
        assert_same(found, values)
        assert_same(slopes, expected)
        assert not slopes[0][nodes].any() and not slopes[1][bonds].any()


def test_the_order_of_atoms_and_bonds_does_not_matter(rng):
    model = make()
    graph = molecule(rng, 5)
    atoms, bonds = rng.permutation(5), rng.permutation(8)
    twin = Graph(
        graph.nodes[atoms],
        np.argsort(atoms)[graph.edges][bonds],
        graph.edge_features[bonds],
    )
    assert_same(model(pad_graphs([twin])), model(pad_graphs([graph])))


def test_a_keras_file_and_a_config_hold_it(inputs, tmp_path):
    pooling = ["mean", "attention"]
    options = {"task": "classification", "pooling": pooling, "dropout": 0.25}
    model = make(**options, name="toxicity")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(loaded(inputs), model(inputs))
    config = model.get_config()
    assert loaded.get_config() == config
    parameters = set(inspect.signature(MolecularGraphNet).parameters)
    assert parameters - {"kwargs"} <= set(config)
    assert {**config, **SIZES, **options, "num_tasks": 2} == config


def test_learns_with_labels_missing(rng):
    """What is to be told: how many atoms there are, or how odd the first feature is."""
    graphs = []
    for _ in range(64):
        graph = molecule(rng, int(rng.integers(1, 8)))
        targets = np.float32([graph.num_nodes > 3, graph.nodes[:, 0].sum() > 0])
        targets[rng.integers(3) :][:1] = np.nan  # the first, the second or none
        graphs.append(dataclasses.replace(graph, targets=targets))
    batches = GraphBatch(graphs, 16, buckets=1)
    options = {**SIZES, "units": 16, "pooling": "sum"}
    model = MolecularGraphNet(2, "classification", **options)
    model.compile(
        keras.optimizers.Adam(0.02),
        KnownLabelsLoss(keras.losses.BinaryCrossentropy(from_logits=True)),
        jit_compile=BACKEND != "torch",
    )
    history = model.fit(batches, epochs=12, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.3 < history[0]


def test_sixteen_bits(inputs):
    model = make(dtype="mixed_bfloat16")
    full = make()
    full.set_weights(model.get_weights())
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    found = model(inputs)
    assert ops.dtype(found) == "bfloat16"
    expected = to_numpy(full(inputs))[0]
    bound = 0.1 * np.abs(expected).max()
    np.testing.assert_allclose(to_numpy(found)[0], expected, atol=bound)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "ranking"}, "`task` must be one of"),
        ({"pooling": "median"}, "`pooling` must be one of"),
        ({"pooling": ("sum", "median")}, "`pooling` must be one of .*'median'"),
        ({"pooling": ()}, "`pooling` must be one of .*None"),
        ({"num_layers": 0}, "`num_layers` must be an int of at least 1"),
        ({"num_tasks": 0}, "`num_tasks` must be an int of at least 1"),
    ],
)
def test_refuses_arguments_that_mean_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        MolecularGraphNet(**{"num_tasks": 1, **options})


def test_its_widths_are_those_of_the_data():
    molecules = pytest.importorskip("keras_attn.data.molecules")
    model = MolecularGraphNet(1, units=4, num_layers=1)
    assert model.node_features == molecules.ATOM_WIDTH
    assert model.edge_features == molecules.BOND_WIDTH
