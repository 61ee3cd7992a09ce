"""The fused attention kernels of the backends that have them."""

import keras
from keras import ops

from keras_attn.ops.score_terms import (
    combined_bias,
    combined_mask,
    query_positions,
    sees_anything,
)


def has_native_kernel(query, value, terms, dropout=0.0):
    """Whether the backend has a kernel for this that is worth its name.

    On torch for everything but dropout, whose draws would not be ours; on JAX for
    half precision on a GPU, with padding and causal masks and heads of the widths that
    cuDNN has on all GPUs.
    """
    backend = keras.backend.backend()
    if dropout:
        return False
    if backend == "torch":
        return True
    if backend != "jax":
        return False
    import jax

    return jax.default_backend() == "gpu" and is_for_jax(query, value, terms)


def is_for_jax(query, value, terms):
    """Whether cuDNN can do it, if there is a GPU."""
    width = query.shape[-1]
    others = terms.mask, terms.bias, terms.slopes, terms.positions, terms.window
    return (
        ops.dtype(query) in ("bfloat16", "float16")
        and width == value.shape[-1]
        and width % 8 == 0
        and width <= 128
        and all(term is None for term in others)
    )


def torch_attention(query, key, value, terms, scale):
    """`torch.nn.functional.scaled_dot_product_attention` with all of `terms`.

    Args:
        query: Tensor `(b, h, t, k)`.
        key: Tensor `(b, g, s, k)`.
        value: Tensor `(b, g, s, v)`.
        terms: `ScoreTerms`.
        scale: Float.

    Returns:
        Output `(b, h, t, v)`, zeros for a query that sees nothing.
    """
    import torch

    steps, slots = query.shape[2], key.shape[2]
    positions = query_positions(terms, steps), ops.arange(slots, dtype="int32")
    causal_alone = terms.causal and all(
        term is None for term in (*terms[:5], terms.window)
    )
    mask = bias = empty = None
    if not causal_alone:
        mask = combined_mask(terms, *positions)
        bias = combined_bias(terms, *positions)
    if mask is not None:
        empty = ~mask.any(dim=-1, keepdim=True)
        mask = mask | empty  # a row of nothing would be NaN, in the gradients too
    if bias is not None:
        bias = bias.clamp(min=torch.finfo(query.dtype).min / 2)
        mask = bias if mask is None else torch.where(mask, bias, -torch.inf)
        mask = mask.to(query.dtype)
    output = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=causal_alone,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output if empty is None else output.masked_fill(empty, 0.0)


def jax_attention(query, key, value, terms, scale, implementation="cudnn"):
    """`jax.nn.dot_product_attention` with the key mask and causality of `terms`.

    Args and returns are those of `torch_attention`; `implementation` is JAX's.
    """
    import jax

    mask = None if terms.key_mask is None else terms.key_mask[:, None, None, :]
    query, key, value = (ops.swapaxes(x, 1, 2) for x in (query, key, value))
    output = jax.nn.dot_product_attention(
        query,
        key,
        value,
        mask=mask,
        scale=scale,
        is_causal=terms.causal,
        implementation=implementation,
    )
    output = ops.swapaxes(output, 1, 2)
    seen = sees_anything(terms, query.shape[1], key.shape[1])
    return output if seen is None else ops.where(seen[:, None, :, None], output, 0.0)
