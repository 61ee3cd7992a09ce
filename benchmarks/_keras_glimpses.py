"""Ours, for the pages `glimpse` and `glimpse_sensor`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_attn
from keras_attn.ops.glimpse import glimpse

CLASSES = 10


def training_step(
    batch: int, side: int, size: int, glimpses: int, units: int, jit: bool = True
) -> Callable[[], Any]:
    """What `fit` does with a batch, without what it does around it."""
    model = keras_attn.RecurrentAttentionModel(
        (side, side, 1),
        CLASSES,
        num_glimpses=glimpses,
        glimpse_size=size,
        units=units,
        what_units=units // 2,
        where_units=units // 2,
        num_samples=1,
        seed=0,
    )
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    rng = np.random.default_rng(0)
    images = rng.random((batch, side, side, 1), dtype="float32")
    labels = rng.integers(0, CLASSES, batch).astype("int32")
    model.train_on_batch(images, labels)  # makes optimizer and metrics
    if keras.backend.backend() == "jax":
        return _jax_step(model, images, labels)
    import tensorflow as tf

    data = tf.constant(images), tf.constant(labels)

    @tf.function(jit_compile=jit)
    def train():
        return model.train_step(data)["loss"]

    return lambda: train().numpy()


def _jax_step(model, images, labels):
    import jax

    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    # Donated buffers are gone after the call: the variables keep theirs.
    state = tuple([jax.numpy.copy(v.value) for v in group] for group in variables)
    train = jax.jit(model.train_step, donate_argnums=0)
    data = jax.device_put((images, labels))

    def step():
        nonlocal state
        logs, state = train(state, data)
        return jax.block_until_ready((logs, state))[0]

    return step


def sensor(
    batch: int, side: int, channels: int, size: int, scales: int, jit: bool = True
) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    arrays = (
        rng.random((batch, side, side, channels), dtype="float32"),
        rng.uniform(-1, 1, (batch, 1, 2)).astype("float32"),
    )

    def look(images, locations):
        return glimpse(images, locations, size, scales)

    if keras.backend.backend() == "jax":
        import jax

        compiled, on_device = jax.jit(look), jax.device_put(arrays)
        return lambda: jax.block_until_ready(compiled(*on_device))
    import tensorflow as tf

    function = tf.function(look, jit_compile=jit)
    tensors = [tf.constant(array) for array in arrays]
    return lambda: function(*tensors)[0, 0, 0, 0, 0, 0].numpy()
