"""A policy that draws vectors from a normal distribution with independent entries."""

import math

from keras import ops


def gaussian_sample(mean, std, noise):
    """Draws `mean + std * noise`, as data: no gradient runs through a draw.

    Args:
        mean: Tensor `(..., d)`.
        std: Float, or tensor that broadcasts to `mean`: the standard deviation.
        noise: Standard normal numbers of the shape of `mean`; zeros give the mean.

    Returns:
        Tensor `(..., d)`.
    """
    return ops.stop_gradient(mean + std * noise)


def gaussian_log_prob(action, mean, std):
    """Logarithm of the density of a draw, whose gradient runs to `mean` and `std`.

    Args:
        action: What was drawn, `(..., d)`; data, without gradient.
        mean: Tensor `(..., d)`.
        std: Float, or tensor that broadcasts to `mean`.

    Returns:
        Tensor `(...)`, the sum over the `d` entries.
    """
    std = ops.convert_to_tensor(std, mean.dtype)
    action = ops.cast(ops.stop_gradient(action), mean.dtype)
    distance = (action - mean) / std
    return -ops.sum(
        0.5 * ops.square(distance) + ops.log(std) + 0.5 * math.log(2.0 * math.pi),
        axis=-1,
    )


def gaussian_entropy(mean, std):
    """Entropy of the distribution, `(...)` for a mean `(..., d)`."""
    std = ops.convert_to_tensor(std, mean.dtype)
    each = ops.log(std) + 0.5 * math.log(2.0 * math.pi * math.e)
    return ops.sum(each + ops.zeros_like(mean), axis=-1)
