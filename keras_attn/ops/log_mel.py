"""Sound as its energy in bands of frequency, by matrix products alone."""

import math

import numpy as np
from keras import ops


def log_mel(audio, lengths, bands, rate, hop, hops_per_window):
    """Log-energies of overlapping windows, each utterance at mean 0 and deviation 1.

    A window begins every `hop` samples. What lies after an utterance counts as
    silence, and it has `ceil(length / hop)` windows.

    Args:
        audio: Float tensor `(b, samples)`.
        lengths: Int tensor `(b,)`, numbers of samples.
        bands: Int, number of bands, evenly spaced on the mel scale.
        rate: Int, samples a second.
        hop: Int, samples between the beginnings of two windows.
        hops_per_window: Int, how many of these a window is long.

    Returns:
        Features `(b, windows, bands)`, zeros after the utterance, and their bool mask
        `(b, windows)`.
    """
    rows, samples = ops.shape(audio)
    inside = ops.arange(samples, dtype="int32")[None] < lengths[:, None]
    audio = ops.where(inside, audio, 0.0)
    number = (samples + hop - 1) // hop
    missing = (number + hops_per_window - 1) * hop - samples
    audio = ops.concatenate([audio, ops.zeros((rows, missing), audio.dtype)], axis=1)
    blocks = ops.reshape(audio, (rows, number + hops_per_window - 1, hop))
    windows = ops.concatenate(
        [blocks[:, shift : number + shift] for shift in range(hops_per_window)], axis=-1
    )
    waves, weights = (
        spectrum(hop * hops_per_window),
        mel_weights(bands, rate, hop * hops_per_window),
    )
    cosine, sine = (ops.matmul(windows, ops.cast(w, audio.dtype)) for w in waves)
    energies = ops.matmul(cosine**2 + sine**2, ops.cast(weights, audio.dtype))
    features = ops.log(ops.maximum(energies, 1e-6))
    mask = hop * ops.arange(number, dtype="int32")[None] < lengths[:, None]
    return standardize(features, mask), mask


def standardize(features, mask):
    """Mean 0 and deviation 1 over the kept steps; zeros at the others."""
    kept = ops.cast(mask, features.dtype)[..., None]
    count = ops.maximum(ops.sum(kept, axis=1, keepdims=True), 1.0)
    centred = features - ops.sum(features * kept, axis=1, keepdims=True) / count
    variance = ops.sum(centred**2 * kept, axis=1, keepdims=True) / count
    return ops.where(mask[..., None], centred / ops.sqrt(variance + 1e-3), 0.0)


def spectrum(size):
    """Matrices of cosine and sine, `(size, size // 2 + 1)`, under a Hann window."""
    time, frequency = np.arange(size)[:, None], np.arange(size // 2 + 1)
    phase = 2 * math.pi * time * frequency / size
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * time / size)
    return [(hann * wave(phase)).astype("float32") for wave in (np.cos, np.sin)]


def mel_weights(bands, rate, size):
    """Triangles that overlap by half, `(size // 2 + 1, bands)`."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    frequency = np.arange(size // 2 + 1)[:, None] * rate / size
    rising = (frequency - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequency) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype("float32")
