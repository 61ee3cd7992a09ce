"""MNIST: its layout on a sample of our own, and the public files if present."""

import gzip
import hashlib
import os

import numpy as np
import pytest

from keras_attn.data import mnist

IMAGES = np.arange(24, dtype="uint8").reshape(2, 4, 3) * 10
LABELS = np.uint8([7, 1])
HEAD = bytes([0, 0, 8])


def idx(array):
    lengths = np.array(array.shape, ">u4").tobytes()
    return HEAD + bytes([array.ndim]) + lengths + array.tobytes()


def write(folder, **content):
    """Writes files of the test split, and returns their manifest."""
    names = {
        "images": "t10k-images-idx3-ubyte.gz",
        "labels": "t10k-labels-idx1-ubyte.gz",
    }
    (folder / "mnist").mkdir()
    for kind, name in names.items():
        (folder / "mnist" / name).write_bytes(gzip.compress(content[kind]))
    return {
        name: hashlib.sha256(content[kind]).hexdigest() for kind, name in names.items()
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    return tmp_path


def test_an_image_has_a_channel_and_a_label(folder):
    manifest = write(folder, images=idx(IMAGES), labels=idx(LABELS))
    images, labels = mnist.load("test", manifest)
    np.testing.assert_array_equal(images, IMAGES[..., None])
    np.testing.assert_array_equal(labels, [7, 1])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize(
    "content",
    [
        idx(IMAGES)[:-1],
        idx(IMAGES) + b"\0",
        idx(LABELS),
        b"\0\0\x09" + idx(IMAGES)[3:],
        idx(IMAGES)[:6],
        b"",
    ],
    ids=["short", "long", "axes", "type", "head", "empty"],
)
def test_a_file_that_is_no_idx_file_is_named(folder, content):
    manifest = write(folder, images=content, labels=idx(LABELS))
    with pytest.raises(ValueError, match=r"t10k-images.* an idx file of bytes with 3"):
        mnist.load("test", manifest)


def test_images_without_a_label_are_refused(folder):
    manifest = write(folder, images=idx(IMAGES), labels=idx(LABELS[:1]))
    with pytest.raises(ValueError, match="2 images, 1 labels"):
        mnist.load("test", manifest)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match=r"`split` must be one of.*'validation'"):
        mnist.load("validation")


@pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the public files in the folder KERAS_ATTN_DATA",
)
@pytest.mark.parametrize(("split", "digits"), [("train", 60_000), ("test", 10_000)])
def test_the_public_files_are_the_expected_ones(split, digits):
    images, labels = mnist.load(split)
    assert images.shape == (digits, 28, 28, 1) and labels.shape == (digits,)
    assert np.bincount(labels, minlength=10).min() > digits / 12
    assert 0.12 < images.mean() / 255 < 0.14
