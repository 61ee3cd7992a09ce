"""Emoji and their names: small pictures with captions, in two drawing styles."""

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data.fetch import fetch

ADDRESS = "https://cdn.jsdelivr.net/npm/emoji-datasource-{style}@16.0.0/"
CAPTIONS = "4cdff03f5105a716c3499f18f6b54ad046ea9614b4ea60692ba64d9dc8fa1e47"
SHEETS = {
    "google": "d84ade799c1905c8046c6446b14143aabe142a496bd47d27787c36769b0b87b4",
    "twitter": "3823598464719ad7cb3a7ba14537b7852c8a323e18b39f7ca4fa9b1e98e9cc68",
}
SPLITS = ("train", "validation", "test")
SIZE, PITCH = 64, 66  # pixels of a glyph, and from one to the next on the sheet
SKINS = {f"1F3F{digit}" for digit in "BCDEF"}


class Captioned(NamedTuple):
    """Pictures with captions.

    images: uint8 `(glyphs, 64, 64, 3)`, on white.
    captions: List of strings, in lower case.
    """

    images: np.ndarray
    captions: list[str]


def load(split: str, style: str = "google", skins: bool = False) -> Captioned:
    """Loads the glyphs of a split in a drawing style.

    A glyph is in the same split in both styles, and so are its skin tones, so a test
    split in another style holds pictures and captions that no training has seen.

    Licences: captions MIT; pictures of `"google"` (Noto) Apache 2.0, of `"twitter"`
    (Twemoji) CC BY 4.0.

    Args:
        split: `"train"`, `"validation"` or `"test"`: 80, 10 and 10 % of the glyphs.
        style: `"google"` or `"twitter"`.
        skins: Boolean, whether glyphs come in all their skin tones too.

    Raises:
        ValueError: If there is no such split or style.
        FetchError: If a file cannot be had or is not the expected one.
    """
    if split not in SPLITS or style not in SHEETS:
        raise ValueError(
            f"`split` must be one of {SPLITS} and `style` one of {tuple(SHEETS)}. "
            f"Received: split={split!r}, style={style!r}"
        )
    address = ADDRESS.format(style="google") + "emoji.json"
    path = fetch(
        "captions/emoji/captions.tsv.gz", address, CAPTIONS, other_edition=True
    )
    glyphs = [
        glyph
        for glyph in _read_captions(path)
        if split_of(glyph.code) == split and (skins or not _skins(glyph.code))
    ]
    sheet = _read_sheet(style)
    images = [
        sheet[PITCH * g.y + 1 : PITCH * g.y + 65, PITCH * g.x + 1 : PITCH * g.x + 65]
        for g in glyphs
    ]
    return Captioned(np.stack(images), [glyph.caption for glyph in glyphs])


class _Glyph(NamedTuple):
    code: str
    caption: str
    x: int
    y: int


def split_of(code: str) -> str:
    """The split of a glyph, by a hash of its code without skin tones."""
    base = "-".join(part for part in code.split("-") if part not in SKINS | {"FE0F"})
    place = hashlib.sha256(base.encode()).digest()[0] / 256
    return SPLITS[0] if place < 0.8 else SPLITS[1] if place < 0.9 else SPLITS[2]


def _skins(code: str) -> set[str]:
    return SKINS & set(code.split("-"))


def _read_captions(path: Path) -> list[_Glyph]:
    """A table of our own, or the list of the package."""
    content = path.read_bytes()
    if content.startswith(b"["):
        return list(_from_package(json.loads(content)))
    table = gzip.decompress(content).decode().splitlines()
    return [
        _Glyph(row["unified"], row["caption"], int(row["sheet_x"]), int(row["sheet_y"]))
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
    ]


def _from_package(entries: list[dict]) -> Iterator[_Glyph]:
    for entry in entries:
        if not (entry["has_img_google"] and entry["has_img_twitter"]):
            continue
        caption = entry["name"].lower()
        for glyph in (entry, *entry.get("skin_variations", {}).values()):
            yield _Glyph(glyph["unified"], caption, glyph["sheet_x"], glyph["sheet_y"])


def _read_sheet(style: str) -> np.ndarray:
    """All glyphs of a style, uint8 `(height, width, 3)`, on white."""
    image_module = import_extra("PIL.Image", "plot")
    address = ADDRESS.format(style=style) + f"img/{style}/sheets-256/64.png"
    path = fetch(f"captions/emoji/{style}_64.png", address, SHEETS[style])
    sheet = image_module.open(path).convert("RGBA")
    white = image_module.new("RGBA", sheet.size, (255, 255, 255, 255))
    return np.asarray(image_module.alpha_composite(white, sheet).convert("RGB"))
