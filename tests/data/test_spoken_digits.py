"""Spoken digits: both forms of the file, of recordings of our own."""

import hashlib
import io
import wave
import zipfile

import numpy as np
import pytest

from keras_attn.data import spoken_digits
from keras_attn.data.fetch import FetchError

SAMPLES = [np.int16([0, 16384, -32768]), np.int16([1, 2]), np.int16([-8192])]
DIGITS, SPEAKERS, TAKES = [7, 0, 7], ["theo", "george", "theo"], [0, 12, 5]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Puts a file where that of the data set is expected."""
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    (tmp_path / "fsdd").mkdir()

    def put(content):
        (tmp_path / "fsdd" / "fsdd.npz").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(spoken_digits, "SHA256", digest)

    return put


def arrays():
    file = io.BytesIO()
    np.savez(
        file,
        pcm=np.concatenate(SAMPLES),
        offsets=np.cumsum([0, *map(len, SAMPLES)]),
        digit=np.uint8(DIGITS),
        speakers=np.array(["george", "theo"]),
        speaker=np.uint8([1, 0, 1]),
        index=np.uint8(TAKES),
    )
    return file.getvalue()


def waves(rate=8000):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("set/README.md", "no recording")
        for samples, *name in zip(SAMPLES, DIGITS, SPEAKERS, TAKES, strict=True):
            sound = io.BytesIO()
            with wave.open(sound, "wb") as recording:
                recording.setnchannels(1)
                recording.setsampwidth(2)
                recording.setframerate(rate)
                recording.writeframes(samples.astype("<i2").tobytes())
            stem = "_".join(map(str, name))
            archive.writestr(f"set/recordings/{stem}.wav", sound.getvalue())
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "order"), [(arrays, [0, 1, 2]), (waves, [1, 0, 2])]
)
def test_a_recording_has_a_digit_a_speaker_and_a_take(mirror, content, order):
    mirror(content())
    found = spoken_digits.load()
    assert len(found) == 3
    np.testing.assert_array_equal(found.digits, np.array(DIGITS)[order])
    np.testing.assert_array_equal(found.speakers, np.array(SPEAKERS)[order])
    np.testing.assert_array_equal(found.takes, np.array(TAKES)[order])
    for sound, place in zip(found.audio, order, strict=True):
        assert sound.dtype == np.float32
        np.testing.assert_array_equal(sound, SAMPLES[place] / 2**15)


def test_a_part_is_chosen_by_places_or_by_what_is_true_of_it(mirror):
    mirror(arrays())
    recordings = spoken_digits.load()
    tests = recordings.at(recordings.takes < spoken_digits.TEST_TAKES)
    assert tests.takes.tolist() == [0] and len(tests.audio) == 1
    assert recordings.at(np.array([2, 1])).speakers.tolist() == ["theo", "george"]


def test_a_recording_of_another_rate_is_named(mirror):
    mirror(waves(rate=16000))
    with pytest.raises(ValueError, match=r"0_george_12\.wav` must have 8000 samples"):
        spoken_digits.load()


def test_another_file_is_refused(mirror, monkeypatch):
    mirror(arrays())
    monkeypatch.setattr(spoken_digits, "SHA256", "0" * 64)
    with pytest.raises(FetchError, match=r"fsdd\.npz"):
        spoken_digits.load()
