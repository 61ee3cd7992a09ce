"""The Free Spoken Digit Dataset: six speakers, the ten digits fifty times each."""

import io
import wave
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_attn.data.fetch import fetch

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
ADDRESS = (
    f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.zip"
)
SHA256 = "65099ef89e997464d79c3a48eb05e3d02765e181f18ecde030faf63561e72960"
RATE = 8000  # samples a second
WORDS = "zero one two three four five six seven eight nine".split()
TEST_TAKES = 5  # the official test part: the first recordings of each digit


class Recordings(NamedTuple):
    """Recordings of spoken digits.

    audio: List of float32 arrays in [-1, 1], 8,000 samples a second.
    digits: int32 `(recordings,)`.
    speakers: Array of the speakers' names.
    takes: int32 `(recordings,)`, the number among the speaker's recordings of a digit.
    """

    audio: list[np.ndarray]
    digits: np.ndarray
    speakers: np.ndarray
    takes: np.ndarray

    def __len__(self) -> int:
        return len(self.audio)

    def at(self, places: np.ndarray) -> "Recordings":
        """The recordings at `places`, indices or a boolean array."""
        places = np.arange(len(self))[places]
        return Recordings(
            [self.audio[place] for place in places],
            *(part[places] for part in self[1:]),
        )


def load() -> Recordings:
    """Loads all recordings, 3,000 in the public set.

    The official test part is `takes < TEST_TAKES`, 300 recordings; all six speakers
    are in both parts. A harder one leaves a speaker out.

    Licence: CC BY-SA 4.0, https://github.com/Jakobovski/free-spoken-digit-dataset.

    Raises:
        FetchError: If the file cannot be had or is not the expected one.
    """
    path = fetch("fsdd/fsdd.npz", ADDRESS, SHA256, other_edition=True)
    with zipfile.ZipFile(path) as archive:
        recordings = [n for n in archive.namelist() if n.endswith(".wav")]
        if recordings:
            return _read_waves(archive, sorted(recordings))
    return _read_arrays(path)


def _read_arrays(path: Path) -> Recordings:
    """The recordings in one array, one after the other."""
    with np.load(path, allow_pickle=False) as arrays:
        samples = arrays["pcm"].astype("float32") / 2**15
        return Recordings(
            np.split(samples, arrays["offsets"][1:-1]),
            arrays["digit"].astype("int32"),
            arrays["speakers"][arrays["speaker"]],
            arrays["index"].astype("int32"),
        )


def _read_waves(archive: zipfile.ZipFile, names: list[str]) -> Recordings:
    """The recordings as they are published, `<digit>_<speaker>_<take>.wav`."""
    audio = []
    for name in names:
        with wave.open(io.BytesIO(archive.read(name))) as recording:
            samples = recording.readframes(recording.getnframes())
            form = recording.getframerate(), recording.getnchannels()
            if form != (RATE, 1) or recording.getsampwidth() != 2:
                raise ValueError(
                    f"`{name}` must have {RATE} samples a second of 16 bits in one "
                    f"channel. Received: {recording.getparams()}"
                )
        audio.append(np.frombuffer(samples, "<i2").astype("float32") / 2**15)
    digits, speakers, takes = zip(
        *(Path(name).stem.split("_") for name in names), strict=True
    )
    return Recordings(
        audio,
        np.array(digits, "int32"),
        np.array(speakers),
        np.array(takes, "int32"),
    )
