"""Scaled dot-product attention, by the way that suits its shape and backend."""

import math

import keras
from keras import ops

from keras_attn.ops.chunked_attention import chunked_attention
from keras_attn.ops.native_attention import (
    has_native_kernel,
    jax_attention,
    torch_attention,
)
from keras_attn.ops.plain_attention import plain_attention
from keras_attn.ops.stateless_dropout import dropout_factors
from keras_attn.ops.window_attention import window_attention

IMPLEMENTATIONS = ("auto", "plain", "chunked", "window", "native")

# From here on the matrix of scores costs more than computing it twice.
_MOST_SCORES = 16 * 2**20
_SHORTEST_CHUNKED = 1024


def dot_product_attention(
    query,
    key,
    value,
    terms,
    scale=None,
    dropout=0.0,
    seed=None,
    return_attention_scores=False,
    implementation="auto",
):
    """`softmax(query key^T * scale + bias) value`.

    Args:
        query: Tensor `(b, h, t, k)`.
        key: Tensor `(b, g, s, k)`, where g divides h: h / g heads share a key.
        value: Tensor `(b, g, s, v)`.
        terms: `ScoreTerms`: masks, biases, positions.
        scale: Float; `None` is `1 / sqrt(k)`.
        dropout: Float in [0, 1), share of the weights to drop.
        seed: State of a `keras.random.SeedGenerator`, with `dropout`.
        return_attention_scores: Bool. Also return the weights `(b, h, t, s)`, for
            which the whole matrix is computed.
        implementation: `"plain"` holds the matrix, `"chunked"` a part of it at a
            time, `"window"` its blocks around the diagonal, `"native"` is the
            backend's kernel; `"auto"` chooses by shape and backend.

    Returns:
        Output `(b, h, t, v)`, zeros for a query that sees no key, and weights or
        `None`.

    Raises:
        ValueError: If the implementation cannot do what is asked.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, equation 1.
    """
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    if 0 in (*query.shape[:3], key.shape[2]):
        return _nothing(query, key, value)
    if return_attention_scores:
        implementation = "plain"
    elif implementation == "auto":
        implementation = choose(query, key, value, terms, dropout)
    else:
        check(implementation, query, key, value, terms, dropout)
    if implementation == "plain":
        keep = None
        if dropout:
            shape = (*ops.shape(query)[:3], ops.shape(key)[2])
            keep = dropout_factors(seed, 0, shape, dropout)
        return plain_attention(
            query, key, value, terms, scale, keep, return_attention_scores
        )
    if implementation == "native":
        kernel = {"torch": torch_attention, "jax": jax_attention}
        function = kernel[keras.backend.backend()]
        return function(query, key, value, terms, scale), None
    dtype = ops.dtype(query)
    key, value = (_for_every_head(x, query.shape[1]) for x in (key, value))
    if dtype == "float16":  # whose products may pass its largest number
        query, key, value = (ops.cast(x, "float32") for x in (query, key, value))
    if implementation == "window":

        def keep(shape):
            return dropout_factors(seed, 0, shape, dropout)

        output = window_attention(
            query, key, value, terms, scale, keep if dropout else None
        )
    else:
        output = chunked_attention(query, key, value, terms, scale, dropout, seed)
    return ops.cast(output, dtype), None


def choose(query, key, value, terms, dropout=0.0):
    """The implementation that suits shape and backend."""
    if _is_banded(query, key, terms) and _band(terms) < query.shape[2]:
        return "window"
    if has_native_kernel(query, value, terms, dropout):
        return "native"
    if not _is_static(query, key):
        return "plain"
    batch, heads, steps, _ = query.shape
    slots = key.shape[2]
    known = batch if isinstance(batch, int) else 1
    many = known * heads * steps * slots > _MOST_SCORES
    long = steps >= _SHORTEST_CHUNKED and slots >= _SHORTEST_CHUNKED
    return "chunked" if many and long else "plain"


def check(implementation, query, key, value, terms, dropout):
    """Raises unless the implementation can do what is asked."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` must be one of {IMPLEMENTATIONS}. "
            f"Received: implementation={implementation!r}"
        )
    if implementation == "native" and not has_native_kernel(
        query, value, terms, dropout
    ):
        raise ValueError(
            'implementation="native" is for torch without dropout and for JAX in half '
            "precision on a GPU, with padding and causal masks and heads of one width "
            "of at most 128, a multiple of 8. Received: "
            f"backend={keras.backend.backend()!r}, dtype={ops.dtype(query)!r}, "
            f"dropout={dropout}, widths {query.shape[-1]} and {value.shape[-1]}"
        )
    if implementation == "chunked" and not _is_static(query, key):
        raise ValueError(
            'implementation="chunked" wants the lengths of query and key to be known. '
            f"Received: query.shape={tuple(query.shape)}, key.shape={tuple(key.shape)}"
        )
    if implementation == "window" and not _is_banded(query, key, terms):
        raise ValueError(
            'implementation="window" wants a window, no positions, and query and key '
            f"of one known length. Received: window={terms.window}, "
            f"query.shape={tuple(query.shape)}, key.shape={tuple(key.shape)}"
        )


def _is_static(query, key):
    # A length that is not known yet is `None` or, on JAX, a symbol.
    return isinstance(query.shape[2], int) and isinstance(key.shape[2], int)


def _is_banded(query, key, terms):
    return (
        terms.window is not None
        and terms.positions is None
        and _is_static(query, key)
        and query.shape[2] == key.shape[2]
    )


def _band(terms):
    """Keys that a block of queries is scored with."""
    return (2 if terms.causal else 3) * max(terms.window, 16)


def _nothing(query, key, value):
    """The answer where there is no query or no key: zeros, as many as there are."""
    rows = ops.shape(query)[:3]
    output = ops.zeros((*rows, value.shape[-1]), value.dtype)
    return output, ops.zeros((*rows, ops.shape(key)[2]), value.dtype)


def _for_every_head(tensor, heads):
    groups = tensor.shape[1]
    return tensor if groups == heads else ops.repeat(tensor, heads // groups, axis=1)
