"""Beam searches with one and the same model, for the page `beam_search`."""

import atexit
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

import keras_attn
from benchmarks._keras_writers import compiled
from keras_attn.decoding._pool import repeat_rows


def ours(
    batch: int,
    source: int,
    tokens: int,
    units: int,
    vocabulary: int,
    width: int,
    jit: bool = True,
) -> Callable[[], Any]:
    """`Seq2Seq.decode`."""
    model = make_model(units, vocabulary, tokens)
    read = ops.convert_to_tensor(sentences(batch, source, vocabulary))
    return compiled(lambda: model.decode(read, beam_width=width)["tokens"], model, jit)


def served(
    batch: int, source: int, tokens: int, units: int, vocabulary: int, width: int
) -> Callable[[], Any]:
    """The same model from a server in this process, asked over gRPC."""
    from keras_attn.serving import Client, Server, export

    opened = contextlib.ExitStack()
    atexit.register(opened.close)  # until the worker's process ends
    folder = opened.enter_context(tempfile.TemporaryDirectory())
    model = make_model(units, vocabulary, tokens)
    version = export(
        model,
        Path(folder, "writer"),
        model.serving_signatures(beam_width=width),
        allowed_batch_sizes=[batch],
    )
    server = opened.enter_context(Server(version.parent))
    client = opened.enter_context(Client(server.address, "writer", timeout=60.0))
    inputs = {
        "tokens": sentences(batch, source, vocabulary),
        "lengths": np.full(batch, source, "int32"),
    }
    return lambda: client.predict(inputs, signature_name="tokens")["tokens"]


def keras_hub(
    batch: int,
    source: int,
    tokens: int,
    units: int,
    vocabulary: int,
    width: int,
    jit: bool = True,
) -> Callable[[], Any]:
    """The steps of `Seq2Seq` under keras-hub's sampler.

    The memory is repeated by hand and not among what the sampler moves.
    """
    from keras_hub.samplers import BeamSampler

    model = make_model(units, vocabulary, tokens)
    read = ops.convert_to_tensor(sentences(batch, source, vocabulary))
    sampler = BeamSampler(num_beams=width)
    room = np.zeros((batch, 1 + tokens), "int32")
    room[:, 0] = model.start_token_id

    def write():
        begun = model.begin(read, max_length=tokens)
        constants = repeat_rows(begun.constants, width)

        def step(prompt, cache, index):
            last = ops.take(prompt, index - 1, axis=1)
            logits, states, _ = begun.step(last, list(cache), constants)
            return logits, None, tuple(states)

        prompt = ops.convert_to_tensor(room)
        mask = ops.convert_to_tensor(room != 0)
        states = tuple(begun.states)
        return sampler(step, prompt, cache=states, index=1, mask=mask)[:, 1:]

    return compiled(write, model, jit)


def make_model(units: int, vocabulary: int, tokens: int) -> keras_attn.Seq2Seq:
    """A model that never ends of its own accord."""
    model = keras_attn.Seq2Seq(vocabulary, vocabulary, units, units, max_length=tokens)
    never = np.isin(np.arange(vocabulary), (0, model.end_token_id))
    model.writer.logits.bias.assign(np.where(never, -1e9, 0.0))
    return model


def sentences(batch: int, source: int, vocabulary: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(4, vocabulary, size=(batch, source)).astype("int32")
