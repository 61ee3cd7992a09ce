"""Random numbers as functions of a seed, of an index and of their own place.

Every number hashes its place with the seed. Under XLA that is one fused pass, where
TensorFlow's generators cost ten to hundreds of times as much on a CPU, and the same
numbers come in every mode of compilation, on TensorFlow and on JAX.
"""

import math

import keras
from keras import ops

# Shifts and multipliers of a 32-bit finalizer of low bias, found by Chris Wellons'
# search (github.com/skeeto/hash-prospector).
_ROUNDS = ((16, 0x21F0AAAD), (15, 0xD35A2D97))
_LAST_SHIFT = 15
_FRACTION_BITS = 23  # so many, and a half more, float32 holds exactly


def random_bits(seed, index, shape):
    """Integers of 32 random bits, a function of the arguments alone.

    Args:
        seed: State of a `keras.random.SeedGenerator`, `(2,)`.
        index: Int or int tensor; every index has numbers of its own.
        shape: Tuple of the result's shape, of ints or int tensors.

    Returns:
        Tensor of `shape`, uint32, on torch int64.
    """
    if keras.backend.backend() == "torch":
        return _torch_bits(seed, index, shape)
    first, second = ops.unstack(ops.cast(seed, "uint32"), 2)
    places = ops.cast(ops.arange(math.prod(shape)), "uint32") + _mix(first)
    hashed = _mix(_mix(places) ^ (second + _mix(ops.cast(index, "uint32"))))
    return ops.reshape(hashed, shape)


def random_uniform(seed, index, shape):
    """Numbers in (0, 1), never 0 or 1. Takes the arguments of `random_bits`."""
    bits = random_bits(seed, index, shape)
    shift = ops.cast(32 - _FRACTION_BITS, ops.dtype(bits))
    fraction = ops.cast(ops.right_shift(bits, shift), "int32")
    return (ops.cast(fraction, "float32") + 0.5) * 2.0**-_FRACTION_BITS


def random_normal(seed, index, shape):
    """Standard normal numbers. Takes the arguments of `random_bits`.

    Reference:
        Box and Muller, 1958, https://doi.org/10.1214/aoms/1177706645.
    """
    radius, angle = ops.unstack(random_uniform(seed, index, (2, *shape)), 2)
    return ops.sqrt(-2.0 * ops.log(radius)) * ops.cos(2.0 * math.pi * angle)


def random_gumbel(seed, index, shape):
    """Gumbel numbers: the largest of scores plus these is a draw of their softmax.

    Takes the arguments of `random_bits`.
    """
    return -ops.log(-ops.log(random_uniform(seed, index, shape)))


def _mix(bits):
    """A permutation of the 32-bit integers in which every bit depends on all."""
    for shift, multiplier in _ROUNDS:
        bits = bits ^ ops.right_shift(bits, ops.cast(shift, "uint32"))
        bits = bits * ops.cast(multiplier, "uint32")
    return bits ^ ops.right_shift(bits, ops.cast(_LAST_SHIFT, "uint32"))


def _torch_bits(seed, index, shape):
    import torch

    if seed.device.type == "meta":  # Keras asks for the shape alone
        return torch.empty(shape, dtype=torch.int64, device="meta")
    numbers = [int(number) for number in (*seed, index)]
    generator = torch.Generator(seed.device)
    generator.manual_seed(hash(tuple(numbers)) % 2**63)
    return torch.randint(2**32, shape, generator=generator, device=seed.device)
