"""Attention over several heads in NumPy, float64, one row and one head at a time."""

import math
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_attn import AlibiBias, MultiHeadAttention, RotaryEmbedding


class Call(NamedTuple):
    """The arrays of a call; those of `MultiHeadAttention` where `value` is given."""

    query: Any
    value: Any = None
    key: Any = None
    query_mask: Any = None
    value_mask: Any = None
    attention_mask: Any = None
    bias: Any = None
    cache: Any = None
    cache_positions: Any = None
    use_causal_mask: bool = False
    keep: Any = None  # factors of dropout, `(b, h, t, s)`


def variables_of(layer):
    """The layer's weights by what they do."""
    names = {"output": layer.output_projection}
    if isinstance(layer, MultiHeadAttention):
        names["query"] = layer.query_projection
        names["key"] = layer.key_projection
        names["value"] = layer.value_projection
    else:
        names["projection"] = layer.projection
    weights = {f"{name}_kernel": dense.kernel for name, dense in names.items()}
    if layer.use_bias:
        weights |= {f"{name}_bias": dense.bias for name, dense in names.items()}
    if layer.query_key_norm:
        weights["query_scale"] = layer.query_norm.scale
        weights["key_scale"] = layer.key_norm.scale
    if hasattr(layer.positions, "embeddings"):
        weights["embeddings"] = layer.positions.embeddings
    return weights


def weights_of(layer):
    """The same as float64 arrays."""
    return {
        name: ops.convert_to_numpy(variable).astype("float64")
        for name, variable in variables_of(layer).items()
    }


def multi_head(layer, weights, call):
    """Output and attention weights of `layer`, computed from `weights`.

    Only the configuration of the layer is read.
    """
    projected = _project(layer, weights, call)
    batch, steps, _ = call.query.shape
    outputs, scores = [], []
    for row in range(batch):
        heads, seen = [], np.zeros(steps, "bool")
        for head in range(layer.num_heads):
            context, weight = _one_head(layer, weights, call, projected, row, head)
            heads.append((context, weight))
            seen |= _kept(layer, call, row, head, weight.shape[-1]).any(axis=-1)
        joined = np.concatenate([context for context, _ in heads], axis=-1)
        output = joined @ weights["output_kernel"] + weights.get("output_bias", 0.0)
        if call.query_mask is not None:
            seen &= call.query_mask[row]
        outputs.append(np.where(seen[:, None], output, 0.0))
        scores.append(
            np.stack([np.where(seen[:, None], weight, 0.0) for _, weight in heads])
        )
    return np.stack(outputs), np.stack(scores)


def _project(layer, weights, call):
    """Queries, keys and values as `(b, t, heads, width)`."""
    batch = len(call.query)
    query = _hide(call.query, call.query_mask)
    if call.value is None:
        joined = query @ weights["projection_kernel"]
        joined = joined + weights.get("projection_bias", 0.0)
        groups = layer.num_key_value_heads or layer.num_heads
        first = layer.num_heads * layer.key_dim
        parts = np.split(joined, [first, first + groups * layer.key_dim], axis=-1)
    else:
        value = _hide(call.value, call.value_mask)
        key = value if call.key is None else _hide(call.key, call.value_mask)
        parts = [
            tensor @ weights[f"{name}_kernel"] + weights.get(f"{name}_bias", 0.0)
            for name, tensor in (("query", query), ("key", key), ("value", value))
        ]
    widths = layer.key_dim, layer.key_dim, layer.value_dim or layer.key_dim
    return [
        part.reshape(batch, part.shape[1], -1, width)
        for part, width in zip(parts, widths, strict=True)
    ]


def _hide(tensor, mask):
    return tensor if mask is None else np.where(mask[..., None], tensor, 0.0)


def _one_head(layer, weights, call, projected, row, head):
    query, key, value = projected
    group = head // (layer.num_heads // key.shape[2])
    query, key, value = query[row, :, head], key[row, :, group], value[row, :, group]
    if layer.query_key_norm:
        query = _rms_norm(query) * weights["query_scale"]
        key = _rms_norm(key) * weights["key_scale"]
    start = 0 if call.cache is None else call.cache_positions[row]
    if isinstance(layer.positions, RotaryEmbedding):
        query, key = _rotate(query, start), _rotate(key, start)
    if call.cache is not None:
        key = _write(call.cache["key"][row, group], key, start)
        value = _write(call.cache["value"][row, group], value, start)
    scores = query @ key.T / math.sqrt(layer.key_dim)
    if call.bias is not None:
        scores = scores + _pairs(call.bias, row, head, scores.shape)
    for i, j in np.ndindex(*scores.shape):
        distance = j - (start + i)
        if isinstance(layer.positions, AlibiBias):
            scores[i, j] -= 2.0 ** (-8.0 * (head + 1) / layer.num_heads) * abs(distance)
        if "embeddings" in weights:
            scores[i, j] += weights["embeddings"][_bucket(layer.positions, distance)][
                head
            ]
    weight = np.zeros_like(scores)
    for i, kept in enumerate(_kept(layer, call, row, head, scores.shape[-1])):
        if kept.any():
            exponentials = np.exp(scores[i, kept] - scores[i, kept].max())
            weight[i, kept] = exponentials / exponentials.sum()
    dropped = weight if call.keep is None else weight * call.keep[row, head]
    return dropped @ value, weight


def _kept(layer, call, row, head, slots):
    """Which keys each query sees, `(t, s)`."""
    steps = call.query.shape[1]
    start = 0 if call.cache is None else call.cache_positions[row]
    kept = np.ones((steps, slots), "bool")
    for i, j in np.ndindex(steps, slots):
        distance = j - (start + i)
        if call.use_causal_mask or call.cache is not None:
            kept[i, j] &= distance <= 0
        if layer.window is not None:
            kept[i, j] &= abs(distance) <= layer.window
    if call.cache is None:
        mask = call.query_mask if call.value is None else call.value_mask
        if mask is not None:
            kept &= mask[row]
    if call.attention_mask is not None:
        kept &= _pairs(call.attention_mask, row, head, kept.shape)
    return kept


def _pairs(tensor, row, head, shape):
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    tensor = tensor[row if len(tensor) > 1 else 0]
    return np.broadcast_to(tensor[head if len(tensor) > 1 else 0], shape)


def _rms_norm(x):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def _rotate(x, start):
    """Each pair of coordinates is a complex number; a turn is a product."""
    steps, width = x.shape
    half = width // 2
    speeds = 10_000.0 ** (-np.arange(half) / half)
    turns = np.exp(1j * np.outer(start + np.arange(steps), speeds))
    turned = (x[:, :half] + 1j * x[:, half:]) * turns
    return np.concatenate([turned.real, turned.imag], axis=-1)


def _bucket(positions, distance):
    """T5's, in words of one distance."""
    buckets, first = positions.num_buckets, 0
    if positions.bidirectional:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    far = math.log(distance / exact) / math.log(positions.max_distance / exact)
    return first + min(buckets - 1, exact + int(far * (buckets - exact)))


def _write(cache, new, start):
    result = cache.astype("float64")
    for step, vector in enumerate(new):
        if start + step < len(result):
            result[start + step] = vector
    return result
