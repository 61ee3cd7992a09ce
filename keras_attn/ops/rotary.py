"""Rotary positions: what an angle does to a pair of coordinates."""

import numpy as np
from keras import ops


def rotate(tensor, positions, max_wavelength=10_000.0):
    """Turns each pair of coordinates by an angle that grows with the position.

    Coordinate i is paired with i + k / 2, so that inner products of rotated queries
    and keys depend on the distance of their positions alone.

    Args:
        tensor: Tensor `(b, h, t, k)` with an even k.
        positions: Int or float `(b or 1, t)`.
        max_wavelength: Float, the period of the slowest pair over 2 pi.

    Returns:
        Tensor of the shape and dtype of `tensor`.

    Reference:
        Su et al., 2021, https://arxiv.org/abs/2104.09864, equation 34.
    """
    half = tensor.shape[-1] // 2
    frequencies = max_wavelength ** (-np.arange(half, dtype="float32") / half)
    positions = ops.cast(positions, "float32")
    angles = ops.multiply(positions[:, None, :, None], frequencies)
    sine, cosine = ops.sin(angles), ops.cos(angles)
    x = ops.cast(tensor, "float32")
    first, second = x[..., :half], x[..., half:]
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return ops.cast(ops.concatenate(turned, axis=-1), tensor.dtype)
