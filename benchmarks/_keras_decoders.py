"""The decoders of the page `decoder` that are written in Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_attn
from benchmarks._keras_steps import training_step


def attention_decoder(
    batch: int, source: int, target: int, units: int, jit: bool = True
) -> Callable[[], Any]:
    """Ours."""
    decoder = keras_attn.AttentionDecoder(
        keras.layers.GRUCell(units), keras_attn.BahdanauAttention(units)
    )
    return _step(decoder, batch, source, target, units, jit)


def recurrent_cell(
    batch: int,
    source: int,
    target: int,
    units: int,
    jit: bool = True,
    unroll: bool = False,
) -> Callable[[], Any]:
    """What one writes with `keras.layers.RNN`."""
    decoder = RecurrentDecoder(units, unroll=unroll)
    return _step(decoder, batch, source, target, units, jit)


class RecurrentDecoder(keras.layers.Layer):
    """`keras.layers.RNN` over a cell that attends; the keys are projected once."""

    def __init__(self, units: int, unroll: bool):
        super().__init__()
        self.keys = keras.layers.Dense(units, use_bias=False)
        self.cell = AttendingCell(units)
        self.rnn = keras.layers.RNN(self.cell, return_sequences=True, unroll=unroll)

    def build(self, inputs_shape, memory_shape):
        self.keys.build(memory_shape)
        self.cell.memory_dim = memory_shape[-1]
        self.rnn.build(inputs_shape)

    def call(self, inputs, memory):
        self.cell.memory, self.cell.keys = memory, self.keys(memory)
        return self.rnn(inputs)


class AttendingCell(keras.layers.Layer):
    """A GRU cell that reads `memory`, set by the layer around it, at every step."""

    def __init__(self, units: int):
        super().__init__()
        self.gru = keras.layers.GRUCell(units)
        self.query = keras.layers.Dense(units)
        self.state_size = units
        self.memory_dim: int = 0
        self.memory = self.keys = None

    @property
    def output_size(self):
        return self.state_size + self.memory_dim

    def build(self, inputs_shape):
        self.query.build((inputs_shape[0], self.state_size))
        self.gru.build((inputs_shape[0], inputs_shape[-1] + self.memory_dim))
        self.scale = self.add_weight(name="scale", shape=(self.state_size,))

    def call(self, inputs, states):
        query = self.query(states[0])[:, None]
        scores = ops.sum(self.scale * ops.tanh(query + self.keys), axis=-1)
        weights = ops.softmax(scores, axis=-1)
        context = ops.sum(weights[..., None] * self.memory, axis=1)
        joined = ops.concatenate([inputs, context], axis=-1)
        output, states = self.gru(joined, states)
        return ops.concatenate([output, context], axis=-1), states


def _step(
    decoder: keras.layers.Layer,
    batch: int,
    source: int,
    target: int,
    units: int,
    jit: bool,
) -> Callable[[], Any]:
    inputs = keras.Input((target, units), batch_size=batch)
    memory = keras.Input((source, units), batch_size=batch)
    model = keras.Model([inputs, memory], decoder(inputs, memory))
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=(batch, time, units)).astype("float32")
        for time in (target, source)
    ]
    return training_step(model, arrays, jit)
