"""The layers of the page `additive_attention`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_attn
from benchmarks._keras_steps import gradient_step


def bahdanau_attention(
    batch: int, queries: int, slots: int, units: int, jit: bool = True
) -> Callable[[], Any]:
    """Ours, which also projects query and key."""
    query, value = _inputs(batch, queries, slots, units)
    context = keras_attn.BahdanauAttention(units)(query, value)
    return _step(keras.Model([query, value], context), jit)


def additive_attention(
    batch: int, queries: int, slots: int, units: int, jit: bool = True
) -> Callable[[], Any]:
    """The layer of Keras, which leaves the projections to its user."""
    query, value = _inputs(batch, queries, slots, units)
    context = keras.layers.AdditiveAttention()([query, value])
    return _step(keras.Model([query, value], context), jit)


def _inputs(batch: int, queries: int, slots: int, units: int) -> list[Any]:
    return [keras.Input((time, units), batch_size=batch) for time in (queries, slots)]


def _step(model: keras.Model, jit: bool) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=x.shape).astype("float32") for x in model.inputs]
    return gradient_step(model, arrays, jit)
