"""MoleculeNet: editions of our own, and the known files if present."""

import gzip
import hashlib
import os

import numpy as np
import pytest

from keras_attn.data import moleculenet
from keras_attn.data.fetch import FetchError
from keras_attn.data.moleculenet import Source

KNOWN = "smiles,A,B\nCCO,1,\nC,,0\n"
OTHER = "id,B,smiles,extra,A\n7,,CCO,x,1.0\n8,0,C ,y,\n"
TASKS = ("A", "B")


def sources(text=KNOWN, public="set.csv"):
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"set": Source("set.csv.gz", public, digest, TASKS)}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder of data sets, which comes before the cache."""
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path / "mirror"))
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mirror" / "moleculenet").mkdir(parents=True)
    return tmp_path / "mirror" / "moleculenet" / "set.csv.gz"


@pytest.fixture
def public(tmp_path, monkeypatch, mirror):
    """A folder that stands for the public address."""
    folder = tmp_path / "public"
    folder.mkdir()
    monkeypatch.setattr(moleculenet, "ADDRESS", folder.as_uri() + "/")
    return folder


def assert_loaded(found):
    assert found.smiles == ["CCO", "C"]
    assert found.tasks == TASKS
    np.testing.assert_array_equal(found.targets, [[1.0, np.nan], [np.nan, 0.0]])
    assert found.targets.dtype == "float32"


def test_reads_the_known_edition(mirror):
    mirror.write_bytes(gzip.compress(KNOWN.encode()))
    assert_loaded(moleculenet.load("set", sources()))


def test_refuses_a_mirror_with_other_content(mirror):
    mirror.write_bytes(gzip.compress(OTHER.encode()))
    with pytest.raises(FetchError, match="is not the expected file"):
        moleculenet.load("set", sources())


@pytest.mark.parametrize("zipped", [False, True])
def test_another_edition_is_read_by_its_columns_and_held_to(public, tmp_path, zipped):
    content = OTHER.encode()
    (public / "set.csv").write_bytes(gzip.compress(content) if zipped else content)
    with pytest.warns(UserWarning, match=r"set\.csv\.gz.* could not be verified"):
        assert_loaded(moleculenet.load("set", sources()))
    assert_loaded(moleculenet.load("set", sources()))  # from the cache, no warning
    cached = tmp_path / "cache" / "moleculenet" / "set.csv.gz"
    cached.write_bytes(KNOWN.encode())
    with pytest.raises(FetchError, match=r"Delete it to have it downloaded again"):
        moleculenet.load("set", sources())


def test_the_known_edition_at_the_public_address_needs_no_warning(public):
    (public / "set.csv").write_text(KNOWN)
    assert_loaded(moleculenet.load("set", sources()))
    assert_loaded(moleculenet.load("set", sources()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smiles,A\nC,1\n", r"must have the columns \['B'\].*Received: columns"),
        ("", "must have the columns"),
        (
            "smiles,A,B\nC,1,0\nC,y,0\n",
            "Line 3 has a target that is no number: 'y'",
        ),
    ],
)
def test_refuses_files_that_lack_something(mirror, text, message):
    mirror.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ValueError, match=message):
        moleculenet.load("set", sources(text))


def test_refuses_what_the_collection_does_not_have():
    with pytest.raises(ValueError, match=r"one of esol, tox21, bbbp, clintox.*'qm9'"):
        moleculenet.load("qm9")


@pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the known files in the folder KERAS_ATTN_DATA",
)
@pytest.mark.parametrize(
    ("name", "size", "tasks", "missing", "positive"),
    [
        ("esol", 1128, 1, 0, None),
        ("tox21", 7831, 12, 16_026, 5_862),
        ("bbbp", 2039, 1, 0, 1560),
        ("clintox", 1478, 2, 0, 1384 + 112),
    ],
)
def test_known_files(name, size, tasks, missing, positive):
    found = moleculenet.load(name)
    assert len(found.smiles) == size and found.targets.shape == (size, tasks)
    assert int(np.isnan(found.targets).sum()) == missing
    if positive is not None:
        assert int(np.nansum(found.targets)) == positive
        assert set(np.unique(found.targets[~np.isnan(found.targets)])) == {0.0, 1.0}
