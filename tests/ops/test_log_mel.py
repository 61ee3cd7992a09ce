import numpy as np
import pytest
from keras import ops

from keras_attn import LogMel
from keras_attn.ops.log_mel import log_mel, mel_weights

RATE, HOP, BANDS = 8000, 80, 12


def features(audio, lengths, **options):
    arguments = {"bands": BANDS, "rate": RATE, "hop": HOP, "hops_per_window": 3}
    audio, lengths = (ops.convert_to_tensor(x) for x in (audio, lengths))
    found = log_mel(audio, lengths, **{**arguments, **options})
    return [ops.convert_to_numpy(x) for x in found]


def reference(sound):
    """The Fourier transform of NumPy, one window at a time."""
    size = 3 * HOP
    padded = np.concatenate([sound, np.zeros(size)]).astype("float64")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    rows = []
    for begin in range(0, len(sound), HOP):
        power = np.abs(np.fft.rfft(window * padded[begin : begin + size])) ** 2
        rows.append(np.log(np.maximum(power @ mel_weights(BANDS, RATE, size), 1e-6)))
    rows = np.array(rows)
    return (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-3)


def test_equals_the_fourier_transform(rng):
    audio, lengths = rng.normal(size=(3, 1000)).astype("float32"), [1000, 417, 80]
    found, mask = features(audio, np.int32(lengths))
    assert found.shape == (3, 13, BANDS)
    for row, length, sound, kept in zip(found, lengths, audio, mask, strict=True):
        expected = reference(sound[:length])
        assert kept.sum() == len(expected) == -(-length // HOP)
        np.testing.assert_allclose(row[kept], expected, atol=2e-3)
        assert not row[~kept].any()


def test_a_tone_is_loudest_in_its_band():
    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    centres = 700 * (10 ** (np.linspace(0, highest, BANDS + 2)[1:-1] / 2595) - 1)
    weights = mel_weights(BANDS, RATE, 240)
    peaks = [weights[round(centre * 240 / RATE)].argmax() for centre in centres[5:]]
    assert peaks == list(range(5, BANDS))
    assert (weights >= 0).all() and (weights.sum(axis=0) > 0).all()


def test_loudness_does_not_matter_and_silence_is_no_nan(rng):
    sound = rng.normal(size=(1, 800)).astype("float32")
    quiet = features(0.25 * sound, np.int32([800]))[0]
    np.testing.assert_allclose(quiet, features(sound, np.int32([800]))[0], atol=1e-3)
    for length in (0, 800):
        silent = features(np.zeros((1, 800), "float32"), np.int32([length]))[0]
        np.testing.assert_allclose(silent, np.zeros((1, 10, BANDS)), atol=1e-4)


@pytest.mark.parametrize("name", ["num_bands", "rate", "hop", "hops_per_window"])
def test_refuses(name):
    with pytest.raises(ValueError, match=f"`{name}` must be an int .*{name}=0"):
        LogMel(**{name: 0})


@pytest.mark.parametrize("length", [-1, 101])
def test_refuses_lengths_that_do_not_fit(length):
    lengths = np.int32([100, length])
    message = rf"`lengths` must lie between 0 .* 100\. .*lengths=\[100, {length}\]"
    with pytest.raises(ValueError, match=message):
        LogMel()(np.zeros((2, 100), "float32"), lengths)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_a_hiss_is_heard_behind_a_tone_whatever_the_policy(rng, dtype):
    time = np.arange(4000) / 8000
    audio = 0.5 * np.sin(2 * np.pi * 400 * time) + 1e-3 * rng.normal(size=4000)
    audio, lengths = np.float32([audio]), np.int32([4000])
    found = ops.cast(LogMel(20, 8000, dtype=dtype)(audio, lengths), "float32")
    np.testing.assert_allclose(found, LogMel(20, 8000)(audio, lengths), atol=0.03)
