"""Decoder-only models of Keras that write tokens, for the page `cached_decoding`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_attn

END = 1  # made so improbable that every row is written to its end


def cached(
    batch: int,
    prompt: int,
    tokens: int,
    layers: int,
    dim: int,
    heads: int,
    vocabulary: int,
    jit: bool = True,
) -> Callable[[], Any]:
    """`TransformerDecoder.decode`."""
    model = _make(prompt + tokens, layers, dim, heads, vocabulary)
    given = ops.convert_to_tensor(_prompt(batch, prompt, vocabulary))
    lengths = ops.full((batch,), prompt, "int32")

    def write():
        return model.decode(given, lengths, END, tokens)["tokens"]

    return compiled(write, model, jit)


def uncached(
    batch: int,
    prompt: int,
    tokens: int,
    layers: int,
    dim: int,
    heads: int,
    vocabulary: int,
    jit: bool = True,
) -> Callable[[], Any]:
    """The same model, which reads all it has written for each token anew."""
    model = _make(prompt + tokens, layers, dim, heads, vocabulary)
    given = _prompt(batch, prompt, vocabulary)
    room = ops.convert_to_tensor(np.pad(given, ((0, 0), (0, tokens))))

    def body(step, written):
        logits = ops.take(model(written), step - 1, axis=1)
        best = 1 + ops.cast(ops.argmax(logits[:, 1:], axis=-1), "int32")
        return step + 1, ops.slice_update(written, (0, step), best[:, None])

    def write():
        first = ops.convert_to_tensor(np.int32(prompt))
        return ops.while_loop(
            lambda step, written: step < prompt + tokens, body, (first, room)
        )[1]

    return compiled(write, model, jit)


def keras_hub_gpt2(
    batch: int,
    prompt: int,
    tokens: int,
    layers: int,
    dim: int,
    heads: int,
    vocabulary: int,
    jit: bool = True,
) -> Callable[[], Any]:
    """`GPT2CausalLM.generate_step`, which caches too."""
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary, layers, heads, dim, 4 * dim, 0.0, prompt + tokens
    )
    model = keras_hub.models.GPT2CausalLM(backbone)
    model.compile(sampler="greedy")
    given = _prompt(batch, prompt, vocabulary)
    room = ((0, 0), (0, tokens))
    inputs = {
        "token_ids": ops.convert_to_tensor(np.pad(given, room)),
        "padding_mask": ops.convert_to_tensor(np.pad(given != 0, room)),
    }
    return compiled(lambda: model.generate_step(inputs)["token_ids"], model, jit)


def _make(length: int, layers: int, dim: int, heads: int, vocabulary: int) -> Any:
    model = keras_attn.TransformerDecoder(
        vocabulary,
        layers,
        dim,
        heads,
        4 * dim,
        positions="learned",
        activation="gelu",
        max_length=length,
    )
    model.head.bias.assign(np.where(np.arange(vocabulary) == END, -1e9, 0.0))
    return model


def _prompt(batch: int, steps: int, vocabulary: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(2, vocabulary, size=(batch, steps)).astype("int32")


def compiled(
    write: Callable[[], Any], model: keras.Model, jit: bool
) -> Callable[[], Any]:
    if keras.backend.backend() == "jax":
        import jax

        def with_values(values):
            with keras.StatelessScope(list(zip(model.variables, values, strict=True))):
                return write()

        call = jax.jit(with_values)
        values = [variable.value for variable in model.variables]
        return lambda: jax.block_until_ready(call(values))
    import tensorflow as tf

    function = tf.function(write, autograph=False, jit_compile=jit)
    return lambda: function().numpy()
