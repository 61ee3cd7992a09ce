"""Weights of the attention layers of Keras and keras-hub, loaded into ours."""

import sys
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.layers._multi_head import MultiHead
from keras_attn.layers.multi_head_self_attention import MultiHeadSelfAttention
from keras_attn.layers.transformer_block import TransformerBlock


def load_weights_from(layer: keras.layers.Layer, source: keras.layers.Layer) -> None:
    """Copies the weights of another library's layer, so that both answer alike.

    A `MultiHeadSelfAttention` or `MultiHeadAttention` takes those of a
    `keras.layers.MultiHeadAttention` or `keras.layers.GroupQueryAttention`, a
    `TransformerBlock` those of a `keras_hub.layers.TransformerEncoder`. Options that
    act in training alone, such as dropout, are not compared. The answers differ where
    a step is masked or sees nothing: there ours are zeros.

    Args:
        layer: Layer of ours with the options of `source`, of which `sliding_window=n`
            is `window=n - 1` here. It is built if it is not yet.
        source: The other layer, built.

    Raises:
        TypeError: There is no way from the one layer to the other.
        ValueError: `source` is not built, has an option that ours has not, or the two
            differ in an option or a width.

    Example:
        >>> attention = keras_attn.MultiHeadSelfAttention(num_heads=8, key_dim=64)
        >>> load_weights_from(attention, keras_attention)
    """
    if isinstance(layer, MultiHead) and isinstance(source, _ATTENTIONS):
        load = _load_attention
    elif isinstance(layer, TransformerBlock) and _is_hub_encoder(source):
        load = _load_block
    else:
        raise TypeError(
            "The weights of an attention layer of Keras go into a "
            "`MultiHeadSelfAttention` or `MultiHeadAttention`, those of a keras-hub "
            "`TransformerEncoder` into a `TransformerBlock`. "
            f"Received: {_name(source)} for {_name(layer)}"
        )
    if not source.built:
        raise ValueError(f"`source` must be built. Received: source={source!r}")
    load(layer, source)


_ATTENTIONS = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_INPUTS = ("query", "key", "value")


def _is_hub_encoder(source: Any) -> bool:
    hub = sys.modules.get("keras_hub")  # without it there is no layer of its either
    return hub is not None and isinstance(source, hub.layers.TransformerEncoder)


def _name(layer: Any) -> str:
    return f"{type(layer).__module__}.{type(layer).__name__}"


def _load_attention(layer: Any, source: Any) -> None:
    theirs = {name: getattr(source, f"_{name}_dense") for name in (*_INPUTS, "output")}
    _compare_attention(layer, source, theirs)
    parts = {name: _flat(dense) for name, dense in theirs.items()}
    parts["output"] = _flat(theirs["output"], joins_heads=True)
    dims = [parts[name][0].shape[0] for name in _INPUTS]
    is_self = isinstance(layer, MultiHeadSelfAttention)
    if is_self and len(set(dims)) > 1:
        raise ValueError(
            "`MultiHeadSelfAttention` has one input; `MultiHeadAttention` takes those "
            f"of several widths. Received: query, key, value of widths {dims}"
        )
    if not layer.built:
        query, key, value = ((None, None, dim) for dim in dims)
        layer.build(query) if is_self else layer.build(query, value, key)
    _assign("output", layer.output_projection, *parts["output"])
    if is_self:
        kernels, biases = zip(*(parts[name] for name in _INPUTS), strict=True)
        bias = np.concatenate(biases) if layer.use_bias else None
        _assign("fused", layer.projection, np.concatenate(kernels, axis=1), bias)
        return
    for name in _INPUTS:
        _assign(name, getattr(layer, f"{name}_projection"), *parts[name])


def _compare_attention(layer: Any, source: Any, theirs: dict[str, Any]) -> None:
    """Raises unless the two compute the same of their weights."""
    config = source.get_config()
    usual = {"use_gate": (False,), "attention_axes": (None, (1,))}
    for name, values in usual.items():
        if config.get(name, values[0]) not in values:
            raise ValueError(
                f"`{name}` of `source` has no counterpart. "
                f"Received: {name}={config[name]!r}"
            )
    if theirs["output"].kernel.ndim != 3:
        raise ValueError(
            "`output_shape` of `source` must be one width. "
            f"Received: output_shape={config['output_shape']}"
        )
    sliding = config["sliding_window"]
    expected = {
        "num_heads": theirs["query"].kernel.shape[1],
        "num_key_value_heads": theirs["key"].kernel.shape[1],
        "key_dim": theirs["query"].kernel.shape[2],
        "value_dim": theirs["value"].kernel.shape[2],
        "window": None if sliding is None else sliding - 1,
        "use_bias": config["use_bias"],
        "positions": None,
        "query_key_norm": False,
    }
    found = {name: getattr(layer, name) for name in expected}
    # Where these are left out, they follow others.
    found["num_key_value_heads"] = found["num_key_value_heads"] or found["num_heads"]
    found["value_dim"] = found["value_dim"] or found["key_dim"]
    _compare(found, expected)


def _compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if found[name] != value:
            raise ValueError(
                f"`layer` must have {name}={value!r}, as `source` has. "
                f"Received: {name}={found[name]!r}"
            )


def _flat(dense: Any, joins_heads: bool = False) -> tuple[Any, Any]:
    """Kernel of rank 2 and bias of rank 1, or `None`, of one with an axis of heads."""
    kernel = ops.convert_to_numpy(dense.kernel)
    width = kernel.shape[-1] if joins_heads else kernel[0].size
    bias = None if dense.bias is None else ops.convert_to_numpy(dense.bias).ravel()
    return kernel.reshape(-1, width), bias


def _assign(name: str, dense: Any, kernel: Any, bias: Any) -> None:
    if tuple(dense.kernel.shape) != kernel.shape:
        raise ValueError(
            f"The {name} projection of `layer` must have the shape of that of "
            f"`source`, {kernel.shape}. Received: {tuple(dense.kernel.shape)}"
        )
    dense.kernel.assign(kernel)
    if bias is not None:
        dense.bias.assign(bias)


def _load_block(layer: Any, source: Any) -> None:
    serialize = keras.activations.serialize
    expected = {
        "num_heads": source.num_heads,
        "intermediate_dim": source.intermediate_dim,
        "activation": serialize(source.activation),
        "normalize_first": source.normalize_first,
        "epsilon": source.layer_norm_epsilon,
        "normalization": "layer",
        "gated": False,
        "use_bias": True,
    }
    found = {name: getattr(layer, name) for name in expected}
    found["activation"] = serialize(layer.activation)
    _compare(found, expected)
    widen, narrow = (
        getattr(source, f"_feedforward_{name}_dense")
        for name in ("intermediate", "output")
    )
    if not layer.built:
        layer.build((None, None, widen.kernel.shape[0]))
    _load_attention(layer.self_attention, source._self_attention_layer)
    for name, ours, theirs in (
        ("first", layer.feed_forward.widen, widen),
        ("second", layer.feed_forward.narrow, narrow),
    ):
        _assign(name, ours, *(ops.convert_to_numpy(w) for w in theirs.weights))
    for ours, theirs in (
        (layer.self_attention_norm, source._self_attention_layer_norm),
        (layer.feed_forward_norm, source._feedforward_layer_norm),
    ):
        ours.set_weights(theirs.get_weights())
