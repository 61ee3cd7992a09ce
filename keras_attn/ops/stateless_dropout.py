"""Chance as a function of its seed, such as dropout that a backward pass draws again.

Every element hashes its own place with the seed. Under XLA that is one fused pass,
where TensorFlow's generators cost ten to hundreds of times as much on a CPU, and the
same elements fall in every mode of compilation, on TensorFlow and on JAX.
"""

import math

import keras
from keras import ops

# Shifts and multipliers of a 32-bit finalizer of low bias, found by Chris Wellons'
# search (github.com/skeeto/hash-prospector).
_ROUNDS = ((16, 0x21F0AAAD), (15, 0xD35A2D97))
_LAST_SHIFT = 15


def dropout_keep(seed, index, shape, rate):
    """Which elements stay, a function of the arguments alone.

    Args:
        seed: State of a `keras.random.SeedGenerator`, `(2,)`.
        index: Int or int tensor; every index has elements of its own.
        shape: Tuple of the result's shape, of ints or int tensors.
        rate: Float in [0, 1), the share that falls.

    Returns:
        Bool tensor of `shape`.
    """
    if keras.backend.backend() == "torch":
        return _torch_uniform(seed, index, shape) >= rate
    hashed = _hash(seed, index, shape)
    return ops.reshape(hashed >= ops.cast(int(rate * 2**32), "uint32"), shape)


def dropout_factors(seed, index, shape, rate):
    """Factors of dropout: 0 where `dropout_keep` drops, 1 / (1 - rate) elsewhere.

    Takes the arguments of `dropout_keep`, returns a float32 tensor of `shape`.
    """
    keep = dropout_keep(seed, index, shape, rate)
    return ops.cast(keep, "float32") / (1.0 - rate)


def stateless_uniform(seed, index, shape):
    """Numbers between 0 and 1, neither included, a function of the arguments alone.

    Takes the arguments of `dropout_keep` but for `rate`, returns a float32 tensor of
    `shape`.
    """
    if keras.backend.backend() == "torch":
        return ops.clip(_torch_uniform(seed, index, shape), 2.0**-24, 1 - 2.0**-24)
    hashed = ops.right_shift(_hash(seed, index, shape), ops.cast(9, "uint32"))
    # 23 bits and half of the last one, which is as much as a float32 holds.
    uniform = (ops.cast(hashed, "float32") + 0.5) * 2.0**-23
    return ops.reshape(uniform, shape)


def _hash(seed, index, shape):
    """Random bits, uint32, for each element of a tensor of `shape`, in one axis."""
    first, second = ops.unstack(ops.cast(seed, "uint32"), 2)
    places = ops.cast(ops.arange(math.prod(shape)), "uint32") + _mix(first)
    return _mix(_mix(places) ^ (second + _mix(ops.cast(index, "uint32"))))


def _mix(bits):
    """A permutation of the 32-bit integers in which every bit depends on all."""
    for shift, multiplier in _ROUNDS:
        bits = bits ^ ops.right_shift(bits, ops.cast(shift, "uint32"))
        bits = bits * ops.cast(multiplier, "uint32")
    return bits ^ ops.right_shift(bits, ops.cast(_LAST_SHIFT, "uint32"))


def _torch_uniform(seed, index, shape):
    import torch

    numbers = [int(number) for number in (*seed, index)]
    generator = torch.Generator(seed.device)
    generator.manual_seed(hash(tuple(numbers)) % 2**63)
    return torch.rand(shape, generator=generator, device=seed.device)
