"""The table every layer and model stands in: one line gives it all of the tests."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_attn import AttentionDecoder, BahdanauAttention, Seq2Seq


class Case(NamedTuple):
    """How to make a layer and what it takes.

    make: Function of the layer's general arguments (`name`, `dtype`).
    inputs: Shape without the batch of each input, by its argument name.
    masks: Names of the inputs that have a mask, as argument `<name>_mask`.
    flags: Boolean arguments that add an output; the last one adds attention weights
        of the last masked input.
    vocabularies: For a model of token ids, how many there are, by input.
    """

    make: Callable[..., Any]
    inputs: dict[str, tuple[int, ...]]
    masks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    vocabularies: dict[str, int] | None = None


SCORES = "return_attention_scores"
STEP, STEPS, MEMORY, GRID = (3,), (4, 3), (5, 6), (2, 3, 6)
CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}


def attention(alignment, query=STEPS, value=MEMORY):
    masks = ("value",) if query == STEP else ("query", "value")
    return Case(
        lambda **kwargs: BahdanauAttention(4, alignment, **kwargs),
        {"query": query, "value": value},
        masks,
        (SCORES,),
    )


def decoder(cell, attend, alignment="additive", memory=MEMORY):
    def make(dtype=None, **kwargs):
        reader = BahdanauAttention(4, alignment, dtype=dtype)
        return AttentionDecoder(
            CELLS[cell](4, dtype=dtype), reader, attend, dtype=dtype, **kwargs
        )

    return Case(
        make,
        {"inputs": STEPS, "memory": memory},
        ("inputs", "memory"),
        ("return_state", SCORES),
    )


def translator(context, cell):
    return Case(
        lambda **kwargs: Seq2Seq(
            9, 8, units=4, embedding_dim=3, context=context, cell=cell, **kwargs
        ),
        {"source": (5,), "target": (4,)},
        vocabularies={"source": 9, "target": 8},
    )


CASES = {
    "BahdanauAttention-additive": attention("additive"),
    "BahdanauAttention-bilinear": attention("bilinear"),
    "BahdanauAttention-dot": attention("dot"),
    "BahdanauAttention-scaled_dot": attention("scaled_dot"),
    "BahdanauAttention-one_step": attention("additive", query=STEP),
    "BahdanauAttention-grid": attention("additive", value=GRID),
    "AttentionDecoder-gru-before": decoder("gru", "before"),
    "AttentionDecoder-gru-after": decoder("gru", "after"),
    "AttentionDecoder-lstm-before": decoder("lstm", "before"),
    "AttentionDecoder-lstm-after": decoder("lstm", "after"),
    "AttentionDecoder-grid": decoder("gru", "before", "scaled_dot", memory=GRID),
    "Seq2Seq-attention": translator("attention", "gru"),
    "Seq2Seq-repeated_state": translator("repeated_state", "lstm"),
    "Seq2Seq-last_state": translator("last_state", "gru"),
}
