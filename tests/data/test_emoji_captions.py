"""Emoji and their names, of sheets of our own."""

import gzip
import hashlib
import json

import numpy as np
import pytest

from keras_attn.data import emoji_captions
from keras_attn.data.fetch import FetchError

Image = pytest.importorskip("PIL.Image")
CODES = [f"1F6{i:02X}" for i in range(30)]
SKIN = "1F600-1F3FB"  # a tone of the first one


def entries():
    """As the package lists them: the first glyph comes in another tone, too."""
    rows = []
    for place, code in enumerate(CODES):
        images = {"has_img_google": True, "has_img_twitter": place != 1}
        name = {"name": f"GLYPH {place}", "unified": code}
        rows.append({**name, **images, "sheet_x": place % 6, "sheet_y": place // 6})
    tone = {"unified": SKIN, "sheet_x": 0, "sheet_y": 5}
    rows[0]["skin_variations"] = {"1F3FB": tone}
    return rows


def table():
    lines = ["unified\tcaption\tsheet_x\tsheet_y"]
    for entry in entries():
        for glyph in (entry, *entry.get("skin_variations", {}).values()):
            if entry["has_img_twitter"]:
                place = f"{glyph['sheet_x']}\t{glyph['sheet_y']}"
                lines.append(f"{glyph['unified']}\t{entry['name'].lower()}\t{place}")
    return gzip.compress("\n".join(lines).encode())


@pytest.fixture(params=["package", "table"])
def folder(request, tmp_path, monkeypatch):
    """Two sheets whose glyphs are of one colour each, half of it see-through."""
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    folder = tmp_path / "captions" / "emoji"
    folder.mkdir(parents=True)
    listed = json.dumps(entries()).encode() if request.param == "package" else table()
    (folder / "captions.tsv.gz").write_bytes(listed)
    monkeypatch.setattr(emoji_captions, "CAPTIONS", hashlib.sha256(listed).hexdigest())
    for style, blue in (("google", 10), ("twitter", 20)):
        sheet = np.zeros((6 * 66, 6 * 66, 4), "uint8")
        for y, x in np.ndindex(6, 6):
            inside = sheet[66 * y + 1 : 66 * y + 65, 66 * x + 1 : 66 * x + 65]
            inside[:, :32] = 40 * y, 40 * x, blue, 255
        path = folder / f"{style}_64.png"
        Image.fromarray(sheet).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(emoji_captions.SHEETS, style, digest)
    return folder


def loaded(style, **options):
    parts = [emoji_captions.load(s, style, **options) for s in emoji_captions.SPLITS]
    captions = [caption for part in parts for caption in part.captions]
    return captions, np.concatenate([part.images for part in parts])


@pytest.mark.parametrize(("style", "blue"), [("google", 10), ("twitter", 20)])
def test_each_caption_has_its_glyph_on_white(folder, style, blue):
    captions, images = loaded(style)
    numbers = [int(caption.removeprefix("glyph ")) for caption in captions]
    # The second glyph is drawn in one style only.
    assert sorted(numbers) == [0, *range(2, 30)]
    assert images.shape == (29, 64, 64, 3) and images.dtype == np.uint8
    assert (images[:, :, 32:] == 255).all()
    for number, image in zip(numbers, images, strict=True):
        color = 40 * (number // 6), 40 * (number % 6), blue
        assert (image[:, :32] == color).all()


def test_a_tone_is_in_the_split_of_its_glyph(folder):
    assert emoji_captions.split_of(SKIN) == emoji_captions.split_of(CODES[0])
    captions, _ = loaded("google", skins=True)
    assert captions.count("glyph 0") == 2 and len(captions) == 30


def test_what_there_is_not_is_named(folder):
    for wrong in ({"split": "val"}, {"split": "test", "style": "apple"}):
        with pytest.raises(ValueError, match=r"`split` must be one of .*Received"):
            emoji_captions.load(**wrong)


def test_another_sheet_is_refused(folder):
    (folder / "google_64.png").write_bytes(b"other")
    with pytest.raises(FetchError, match=r"google_64\.png"):
        emoji_captions.load("test")
