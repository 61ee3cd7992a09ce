"""The attention layers and blocks that the pages of benchmarks time."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_attn
from benchmarks._keras_steps import training_step


def self_attention(
    batch: int, time: int, dim: int, heads: int, jit: bool = True, **options: Any
) -> Callable[[], Any]:
    """Ours."""
    layer = keras_attn.MultiHeadSelfAttention(heads, dim // heads, **options)
    inputs = keras.Input((time, dim), batch_size=batch)
    return _train(inputs, layer(inputs), jit)


def keras_attention(
    batch: int, time: int, dim: int, heads: int, jit: bool = True
) -> Callable[[], Any]:
    """`keras.layers.MultiHeadAttention` of a tensor with itself."""
    layer = keras.layers.MultiHeadAttention(heads, dim // heads)
    inputs = keras.Input((time, dim), batch_size=batch)
    return _train(inputs, layer(inputs, inputs), jit)


def masked_window(
    batch: int, time: int, dim: int, heads: int, window: int, jit: bool = True
) -> Callable[[], Any]:
    """Keras' layer with the window as a mask of all pairs."""
    layer = keras.layers.MultiHeadAttention(heads, dim // heads)
    inputs = keras.Input((time, dim), batch_size=batch)
    mask = _window_mask(time, window)
    return _train(inputs, layer(inputs, inputs, attention_mask=mask), jit)


def own_masked_window(
    batch: int, time: int, dim: int, heads: int, window: int, jit: bool = True
) -> Callable[[], Any]:
    """Ours with the window as a mask of all pairs."""
    layer = keras_attn.MultiHeadSelfAttention(heads, dim // heads)
    inputs = keras.Input((time, dim), batch_size=batch)
    mask = _window_mask(time, window)
    return _train(inputs, layer(inputs, attention_mask=mask), jit)


def _window_mask(time: int, window: int) -> np.ndarray:
    distance = np.arange(time)[:, None] - np.arange(time)
    return (np.abs(distance) <= window)[None]


def transformer_block(
    batch: int, time: int, dim: int, heads: int, jit: bool = True
) -> Callable[[], Any]:
    """Ours, with a feed-forward four times as wide."""
    block = keras_attn.TransformerBlock(heads, 4 * dim)
    inputs = keras.Input((time, dim), batch_size=batch)
    return _train(inputs, block(inputs), jit)


def hub_encoder(
    batch: int, time: int, dim: int, heads: int, jit: bool = True
) -> Callable[[], Any]:
    """`keras_hub.layers.TransformerEncoder`."""
    import keras_hub

    block = keras_hub.layers.TransformerEncoder(4 * dim, heads, normalize_first=True)
    inputs = keras.Input((time, dim), batch_size=batch)
    return _train(inputs, block(inputs), jit)


def forward(
    batch: int, time: int, dim: int, heads: int, make: str, jit: bool = True
) -> Callable[[], Any]:
    """The forward pass of one of the layers above."""
    inputs = keras.Input((time, dim), batch_size=batch)
    if make == "ours":
        outputs = keras_attn.MultiHeadSelfAttention(heads, dim // heads)(inputs)
    else:
        outputs = keras.layers.MultiHeadAttention(heads, dim // heads)(inputs, inputs)
    model = keras.Model([inputs], outputs)
    data = np.random.default_rng(0).normal(size=inputs.shape).astype("float32")
    return _forward_step(model, data, jit)


def _forward_step(model: keras.Model, data: np.ndarray, jit: bool) -> Callable[[], Any]:
    if keras.backend.backend() == "jax":
        import jax

        weights = [
            [v.value for v in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        call = jax.jit(lambda w, x: model.stateless_call(*w, [x])[0])
        array = jax.device_put(data)
        return lambda: jax.block_until_ready(call(weights, array))
    import tensorflow as tf

    tensor = tf.constant(data)
    call = tf.function(lambda: tf.reduce_sum(model([tensor])), jit_compile=jit)
    return lambda: call().numpy()


def _train(inputs: Any, outputs: Any, jit: bool) -> Callable[[], Any]:
    data = np.random.default_rng(0).normal(size=inputs.shape).astype("float32")
    return training_step(keras.Model([inputs], outputs), [data], jit)
