"""Random factors that a backward pass can draw again."""

import keras
from keras import ops


def dropout_factors(seed, index, shape, rate):
    """Factors of dropout, a function of their arguments alone.

    Args:
        seed: State of a `keras.random.SeedGenerator`, `(2,)`.
        index: Int tensor; every index has factors of its own.
        shape: Tuple of the result's shape.
        rate: Float in [0, 1), the share of zeros.

    Returns:
        Float32 tensor of `shape`: 0, or 1 / (1 - rate).
    """
    uniform = _BACKENDS[keras.backend.backend()](seed, index, shape)
    return ops.cast(uniform >= rate, "float32") / (1.0 - rate)


def _tensorflow(seed, index, shape):
    import tensorflow as tf

    seed = tf.cast(seed, "int32") + tf.stack([0, index * 7919])
    return tf.random.stateless_uniform(shape, seed)


def _jax(seed, index, shape):
    import jax

    key = jax.random.fold_in(jax.random.PRNGKey(0), seed[0])
    for number in (seed[1], index):
        key = jax.random.fold_in(key, number)
    return jax.random.uniform(key, shape)


def _torch(seed, index, shape):
    import torch

    numbers = [int(number) for number in (*seed, index)]
    generator = torch.Generator(seed.device)
    generator.manual_seed(hash(tuple(numbers)) % 2**63)
    return torch.rand(shape, generator=generator, device=seed.device)


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
