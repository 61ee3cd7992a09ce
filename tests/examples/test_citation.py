"""The citation example in small: a graph of two circles of friends."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_attn.data import Graph
from keras_attn.data.planetoid import Planetoid
from keras_attn.serving import Client, InvalidArgumentError, Server, export
from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

NODES = 40


@pytest.fixture
def citation(example):
    return example("citation")


@pytest.fixture
def circles(rng):
    """Nodes know their circle by whom they are joined to; words tell of a few."""
    classes = np.repeat([0, 1], NODES // 2)
    pairs = rng.integers(0, NODES, (200, 2))
    pairs = pairs[classes[pairs[:, 0]] == classes[pairs[:, 1]]]
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    edges = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    words = (rng.random((NODES, 12)) < 0.2).astype("float32")
    words[:, 0], words[:, 1] = classes == 0, classes == 1
    words[rng.permutation(NODES)[: NODES // 2], :2] = 0.0
    train, validation, test = np.split(rng.permutation(NODES).astype("int32"), [16, 28])
    return Planetoid(Graph(words, edges, targets=classes), train, validation, test, 2)


def test_node_ids_go_in_and_classes_come_out(citation, circles, tmp_path):
    recipe = dataclasses.replace(citation.PAPER, epochs=60, patience=60)
    model, (_, accuracy) = citation.run(circles, recipe, "planetoid", seed=0)
    assert model.jit_compile
    assert accuracy > 0.8
    path = export(model, tmp_path / "citation", allowed_batch_sizes=[1])
    expected = ops.convert_to_numpy(ops.softmax(model(np.arange(NODES))))
    with (
        Server(path.parent) as server,
        Client(server.address, model="citation") as client,
    ):
        for nodes in ([3], [39, 0, 39], range(NODES)):
            answer = client.predict({"node": np.int32(nodes)})
            np.testing.assert_allclose(
                answer["probabilities"], expected[list(nodes)], atol=1e-5
            )
            np.testing.assert_array_equal(
                answer["label"], answer["probabilities"].argmax(axis=1)
            )
        for node in (NODES, -1):
            with pytest.raises(InvalidArgumentError, match=rf"{node} is not in \[0, "):
                client.predict({"node": np.int32([0, node])})


def test_a_random_split_has_the_sizes_of_the_other(citation, rng):
    classes = np.append(rng.integers(0, 3, 1700), [-1] * 50)
    parts = citation.random_split(classes, seed=1)
    assert [len(part) for part in parts] == [60, 500, 1000]
    assert len(np.unique(np.concatenate(parts))) == 1560
    np.testing.assert_array_equal(np.bincount(classes[parts[0]]), [20, 20, 20])
    assert (classes[np.concatenate(parts)] >= 0).all()
    assert not np.array_equal(parts[2], citation.random_split(classes, seed=2)[2])


def test_what_cannot_be_had_stays_blank(citation, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("sys.argv", ["citation.py", "--datasets", "citeseer", "pubmed"])
    citation.main()
    printed = capsys.readouterr().out
    assert "citeseer cannot be had" in printed
    for name, row in zip(
        ("citeseer", "pubmed"), printed.splitlines()[-2:], strict=True
    ):
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert cells == [name, "paper", "planetoid", "10", "", "", ""]


@pytest.mark.parametrize("split", ["random", "luo"])
def test_a_split_has_20_nodes_of_each_class_and_500_and_1000_others(citation, split):
    if split == "luo":
        pytest.importorskip("torch")
    classes = np.arange(2000) % 7
    classes[:50] = -1
    parts = citation.SPLITS[split](classes, seed=3)
    assert [len(part) for part in parts] == [140, 500, 1000]
    np.testing.assert_array_equal(np.bincount(classes[parts[0]]), [20] * 7)
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together) and (classes[together] >= 0).all()
    other = citation.SPLITS[split](classes, seed=4)
    assert np.array_equal(parts[2], other[2]) == (split == "luo")
