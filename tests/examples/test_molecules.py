"""The examples on molecules in small: chains that oxygen makes soluble."""

import argparse

import numpy as np
import pytest

from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

pytest.importorskip("rdkit")
pytest.importorskip("sklearn")

from keras_attn.data import pad_graphs
from keras_attn.data.molecules import featurize

SMILES = [
    "C" * left + middle + "C" * right
    for left in range(1, 7)
    for right in range(1, 7)
    for middle in ("", "O", "C(O)")
]


@pytest.fixture
def runs(example, monkeypatch):
    module = example("molecule_runs")
    monkeypatch.setattr(module, "BUCKETS", 1)  # each is compiled
    return module


@pytest.fixture
def data(runs):
    values = [[text.count("O") - 0.5 * text.count("C")] for text in SMILES]
    smiles = [*SMILES, "C1CC"]  # which is no molecule
    return runs.Data(smiles, np.float32([*values, [0.0]]), ("solubility",))


@pytest.fixture
def trained(example, data, tmp_path):
    arguments = argparse.Namespace(epochs=50, output=tmp_path)
    return *example("solubility").run(data, "random", 0, arguments), arguments


def test_a_network_is_trained_served_and_explained(runs, data, trained, capsys):
    model, split, scores, arguments = trained
    assert model.jit_compile
    deviation = data.targets[split.test].std()
    assert scores["graph network"] < 0.4 * deviation
    assert scores["forest"] < deviation

    answer = runs.serve(model, "solubility", data, split.test[:5], arguments, {})
    graphs = [data.graphs[row] for row in split.test[:5]]
    expected = model.explain(pad_graphs(graphs))["values"]
    np.testing.assert_allclose(answer["values"], expected, atol=1e-5)

    found = runs.attributions(model, "CCO")
    assert found.shape == (3,)
    graph = pad_graphs([featurize("CCO")])
    less, more = (
        float(model({**graph, "nodes": np.float32(scale) * graph["nodes"]})[0, 0])
        for scale in (0.99, 1.01)
    )
    assert found.sum() == pytest.approx((more - less) / 0.02, rel=0.05, abs=0.02)
    runs.draw(model, {"CCO": "ethanol"}, arguments.output / "atoms.png")
    picture = (arguments.output / "atoms.png").read_bytes()
    assert picture.startswith(b"\x89PNG")

    runs.report({("random", "graph network"): [1.0, 2.0]}, "RMSE", arguments)
    row = "| random | graph network | 1.500 ± 0.500 | 1.000, 2.000 |"
    assert row in capsys.readouterr().out.splitlines()


def test_bad_rows_are_left_out_of_all_parts(data, capsys):
    assert data.smiles == SMILES
    assert len(data.graphs) == len(data.targets) == len(SMILES)
    parts = [*data.split("random", 1), *data.split("scaffold", 0)]
    assert sum(len(part) for part in parts) == 2 * len(SMILES)
    limited = type(data)(SMILES, data.targets, data.tasks, limit=7)
    for text, graph, target in zip(
        limited.smiles, limited.graphs, limited.targets, strict=True
    ):
        row = SMILES.index(text)
        assert graph.num_nodes == data.graphs[row].num_nodes
        assert target == data.targets[row]
