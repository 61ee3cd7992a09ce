"""Dropout as a function of its seed, which a backward pass can draw again."""

from keras import ops

from keras_attn.ops.stateless_random import random_bits


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
    bits = random_bits(seed, index, shape)
    return bits >= ops.cast(int(rate * 2**32), ops.dtype(bits))


def dropout_factors(seed, index, shape, rate):
    """Factors of dropout: 0 where `dropout_keep` drops, 1 / (1 - rate) elsewhere.

    Takes the arguments of `dropout_keep`, returns a float32 tensor of `shape`.
    """
    keep = dropout_keep(seed, index, shape, rate)
    return ops.cast(keep, "float32") / (1.0 - rate)
