"""Planetoid: its layout on a sample of our own, hostile files, and the public ones."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from keras_attn.data import planetoid
from keras_attn.data._planetoid_pickle import read_pickle

from .python2_pickle import Call, NewObject, dump_array, dump_rows, dumps

# Nodes 0 to 5 are those of `allx`; of 6 to 9, the tested, there is no node 8.
FEATURES = np.arange(30, dtype="float32").reshape(10, 3) % 4
CLASSES = np.eye(2, dtype="int32")[[0, 1, 0, 1, 1, 0, 1, 0, 0, 1]]
CLASSES[2] = 0  # a paper without a class
TEST = [9, 6, 7]
CITATIONS = {0: [1, 1, 0], 1: [2], 2: [1], 6: [9], 9: [7, 6], 5: [], 8: []}


def sample():
    """The files of a graph of ten papers, the eighth of which nobody describes."""
    lists = Call("collections", "defaultdict", Call.reference("__builtin__", "list"))
    lists.items = CITATIONS
    content = {
        "x": dump_rows(FEATURES[:2]),
        "y": dump_array(CLASSES[:2]),
        "tx": dump_rows(FEATURES[TEST]),
        "ty": dump_array(CLASSES[TEST]),
        "allx": dump_rows(FEATURES[:6]),
        "ally": dump_array(CLASSES[:6]),
        "graph": dumps(lists),
        "test.index": "".join(f"{node}\n" for node in TEST).encode(),
    }
    return {f"ind.tiny.{part}": text for part, text in content.items()}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    (tmp_path / "planetoid").mkdir()
    files = sample()
    for name, content in files.items():
        (tmp_path / "planetoid" / name).write_bytes(content)
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    return {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}


def test_every_row_goes_to_the_paper_it_is_of(manifest):
    graph, train, _, test, num_classes = planetoid.load("tiny", manifest)
    expected = FEATURES.copy()
    expected[8] = 0
    np.testing.assert_array_equal(graph.nodes, expected)
    np.testing.assert_array_equal(graph.targets, [0, 1, -1, 1, 1, 0, 1, 0, -1, 1])
    np.testing.assert_array_equal(train, [0, 1])
    np.testing.assert_array_equal(test, [6, 7, 9])
    assert num_classes == 2


def test_citations_are_two_edges_each_and_none_is_a_loop(manifest):
    graph = planetoid.load("tiny", manifest).graph
    pairs = {(0, 1), (1, 2), (6, 9), (7, 9)}
    expected = pairs | {(b, a) for a, b in pairs}
    assert sorted(map(tuple, graph.edges.tolist())) == sorted(expected)
    assert np.all(np.diff(graph.edges[:, 1]) >= 0)


def test_refuses_a_graph_that_is_not_of_the_set():
    with pytest.raises(
        ValueError, match=r"\['citeseer', 'cora', 'pubmed'\].*name='reddit'"
    ):
        planetoid.load("reddit")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<f4", ">f8", "|u1", "|b1"])
def test_reads_arrays_of_every_layout(tmp_path, dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4) % 7, dtype, order=order)
    (tmp_path / "file").write_bytes(dump_array(array))
    found = read_pickle(tmp_path / "file")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_reads_sparse_rows_with_empty_ones(tmp_path):
    dense = np.float32([[0, 0, 1.5], [0, 0, 0], [2, 0, 3], [0, 0, 0]])
    (tmp_path / "file").write_bytes(dump_rows(dense))
    np.testing.assert_array_equal(read_pickle(tmp_path / "file"), dense)


class Runs:
    """What a hostile pickle does: it has a function of its choice called."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_runs_nothing_that_a_file_names(tmp_path, protocol):
    victim, file = tmp_path / "victim", tmp_path / "file"
    content = pickle.dumps(Runs(victim), protocol)
    file.write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match=r"names (posix|nt)\.mkdir"):
        read_pickle(file)
    assert not victim.exists()
    pickle.loads(content)
    assert victim.exists()  # it would have


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("__builtin__", "getattr"),
        ("os", "system"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("scipy.sparse.csr", "csr_matrix.__init__"),
        ("collections", "defaultdict.__class__"),
        ("pickle", "loads"),
    ],
)
def test_refuses_every_name_but_those_of_the_set(tmp_path, module, name):
    (tmp_path / "file").write_bytes(dumps(Call(module, name, "x")))
    with pytest.raises(pickle.UnpicklingError, match=r"was not run.*names"):
        read_pickle(tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        dump_array(np.ones(5))[:-20],
        dumps(NewObject("scipy.sparse.csr", "csr_matrix", {"_shape": (2, 2)})),
        dump_array(np.ones(4)).replace(b"f8", b"O8"),
    ],
    ids=["empty", "other", "cut off", "incomplete", "objects"],
)
def test_refuses_damaged_files(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match=r"`.*file` is not a pickle of"):
        read_pickle(tmp_path / "file")


@pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the public files in the folder KERAS_ATTN_DATA",
)
def test_public_files_of_cora():
    graph, train, validation, test, num_classes = planetoid.load("cora")
    assert graph.nodes.shape == (2708, 1433) and num_classes == 7
    assert graph.num_edges == 2 * 5278
    assert set(np.unique(graph.nodes)) == {0.0, 1.0}
    np.testing.assert_array_equal(np.bincount(graph.targets[train]), [20] * 7)
    assert [len(part) for part in (train, validation, test)] == [140, 500, 1000]
    assert len(np.unique(np.concatenate([train, validation, test]))) == 1640
    senders, receivers = graph.edges.T
    same = graph.targets[senders] == graph.targets[receivers]
    assert 0.80 < same.mean() < 0.82  # papers cite papers of their own class
    in_test = np.isin(receivers, test)
    assert 0.78 < same[in_test].mean() < 0.86  # also those whose rows are permuted
