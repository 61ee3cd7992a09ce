"""Formulas of physics papers as LaTeX tokens, and some of them as pictures."""

import io
import zipfile
from typing import NamedTuple

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data.fetch import fetch, open_content

COMMIT = "8e25d7ec2097e2c6515bbb5b41e8f16b79339967"
ADDRESS = f"https://raw.githubusercontent.com/guillaumegenthial/im2latex/{COMMIT}/data/"
# Of the uncompressed content.
FORMULAS = {
    "val": "edc09f24cc2e200be1cf34ae1c9d5982058897fdef7d2b6377582586eaf5b8fa",
    "test": "5a6d74eec90b9cb95ca7ca957241ab35eca22d6cf0bd5636fa3c1e3c3754233b",
}
RENDERINGS = "d4bf8945cd41db214c00bba756a91320f564dddaf478afd5a5f92ebf72820ed4"
RENDERINGS_ADDRESS = "https://im2markup.yuntiandeng.com/data/sample.zip"


class Renderings(NamedTuple):
    """Formulas set by LaTeX, cut out and halved.

    images: List of uint8 arrays `(height, width)`, black on white.
    formulas: List of strings as they stand in the papers, not normalised.
    splits: List of `"train"`, `"validate"` and `"test"`.
    """

    images: list[np.ndarray]
    formulas: list[str]
    splits: list[str]


def load(split: str) -> list[str]:
    """Loads normalised formulas, tokens separated by spaces.

    Those of im2latex-100k (Kanervisto, 2016): `"val"` has 8,475, `"test"` 9,444. The
    formulas are from arXiv; the lists are published under Apache 2.0.

    Raises:
        ValueError: If there is no such split.
        FetchError: If the file cannot be had or is not the expected one.
    """
    if split not in FORMULAS:
        raise ValueError(
            f"`split` must be one of {tuple(FORMULAS)}. Received: split={split!r}"
        )
    name = f"{split}.formulas.norm.txt"
    path = fetch(
        f"im2latex/{name}.gz", ADDRESS + name, FORMULAS[split], True, other_edition=True
    )
    with open_content(path) as file:
        return file.read().decode().splitlines()


def load_renderings() -> Renderings:
    """Loads the sample of real renderings of im2markup, 1,198 pictures (MIT)."""
    image_module = import_extra("PIL.Image", "plot")
    path = fetch("im2latex/im2markup_sample_1200.zip", RENDERINGS_ADDRESS, RENDERINGS)
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("formulas.tsv").decode().splitlines()
        rows = [line.split("\t", 2) for line in lines]
        images = [
            np.asarray(
                image_module.open(
                    io.BytesIO(archive.read(f"images/{name}.png"))
                ).convert("L")
            )
            for _, name, _ in rows
        ]
    return Renderings(images, [row[2] for row in rows], [row[0] for row in rows])
