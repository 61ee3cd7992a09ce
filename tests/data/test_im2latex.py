"""Formulas and their renderings, of files of our own."""

import gzip
import hashlib
import io
import zipfile

import numpy as np
import pytest

from keras_attn.data import im2latex
from keras_attn.data.fetch import FetchError

FORMULAS = "x ^ { 2 }\n\\frac { a } { b }\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    (tmp_path / "im2latex").mkdir()
    return tmp_path / "im2latex"


def test_a_formula_is_a_line(folder, monkeypatch):
    path = folder / "val.formulas.norm.txt.gz"
    path.write_bytes(gzip.compress(FORMULAS.encode()))
    digest = hashlib.sha256(FORMULAS.encode()).hexdigest()
    monkeypatch.setitem(im2latex.FORMULAS, "val", digest)
    assert im2latex.load("val") == ["x ^ { 2 }", "\\frac { a } { b }"]
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(FetchError, match=r"val\.formulas"):
        im2latex.load("val")


def test_another_split_is_named():
    with pytest.raises(ValueError, match=r"`split` must be one of .*split='train'"):
        im2latex.load("train")


def test_a_rendering_has_its_formula_and_split(folder, monkeypatch, rng):
    image_module = pytest.importorskip("PIL.Image")
    pictures = [rng.integers(0, 256, size).astype("uint8") for size in ((4, 9), (3, 2))]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, picture in zip("ab", pictures, strict=True):
            content = io.BytesIO()
            image_module.fromarray(picture).save(content, "png")
            archive.writestr(f"images/{name}.png", content.getvalue())
        archive.writestr("formulas.tsv", "train\ta\tx^2\ntest\tb\ty\t= 1\n")
    (folder / "im2markup_sample_1200.zip").write_bytes(file.getvalue())
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    monkeypatch.setattr(im2latex, "RENDERINGS", digest)
    found = im2latex.load_renderings()
    assert found.formulas == ["x^2", "y\t= 1"]
    assert found.splits == ["train", "test"]
    for image, picture in zip(found.images, pictures, strict=True):
        np.testing.assert_array_equal(image, picture)
