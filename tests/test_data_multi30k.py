"""Multi30k: its layout on a sample of our own, and the public files if present."""

import gzip
import hashlib
import os
import subprocess
import sys

import pytest

from keras_attn.data import multi30k

SAMPLE = {
    "val.en.gz": "A dog runs.\nTwo  girls, one ball.\u2028\n",
    "val.de.gz": "Ein Hund rennt.\nZwei Mädchen, ein Ball.\n",
    "train.de.gz": "Ein Hund.\n",
    "train.en.gz": "A dog.\nA cat.\n",
}
MANIFEST = {
    name: hashlib.sha256(text.encode()).hexdigest() for name, text in SAMPLE.items()
}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    (tmp_path / "multi30k").mkdir()
    for name, text in SAMPLE.items():
        (tmp_path / "multi30k" / name).write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))


def test_a_line_is_a_sentence_in_every_language(mirror):
    english, german = multi30k.load("val", manifest=MANIFEST)
    assert english == ["A dog runs.", "Two  girls, one ball.\u2028"]
    assert german == ["Ein Hund rennt.", "Zwei Mädchen, ein Ball."]


def test_languages_come_in_the_order_asked_for(mirror):
    german, english = multi30k.load("val", ("de", "en"), manifest=MANIFEST)
    assert german[0] == "Ein Hund rennt." and english[0] == "A dog runs."


def test_refuses_files_that_are_not_aligned(mirror):
    with pytest.raises(ValueError, match=r"not aligned: they have \[2, 1\] lines"):
        multi30k.load("train", manifest=MANIFEST)


@pytest.mark.parametrize(
    ("split", "languages"), [("test", ("en", "de")), ("val", ("cs",)), ("val", ())]
)
def test_refuses_what_the_set_does_not_have(split, languages):
    with pytest.raises(ValueError, match=r"test_2016_flickr.de.*Received: split="):
        multi30k.load(split, languages)


@pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the public files in the folder KERAS_ATTN_DATA",
)
@pytest.mark.parametrize(
    ("split", "size"),
    [
        ("train", 29_000),
        ("val", 1_014),
        ("test_2016_flickr", 1_000),
        ("test_2017_flickr", 1_000),
        ("test_2018_flickr", 1_071),
    ],
)
def test_public_files(split, size):
    texts = multi30k.load(split, ("en", "de", "fr"))
    assert [len(sentences) for sentences in texts] == [size] * 3
    assert all(sentence.strip() for sentences in texts for sentence in sentences)


def test_reading_imports_no_framework():
    program = (
        "import sys\n"
        "from keras_attn.data import dates, multi30k\n"
        "dates.sample(3)\n"
        "print(sorted({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
