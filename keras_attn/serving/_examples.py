"""Example requests: rows that a signature is checked and warmed up with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.serving._signatures import Signature

Rows = dict[str, tf.Tensor]


def examples_for(signatures: list[Signature], examples: Any) -> dict[str, Rows]:
    """Rows for every signature: those given, or ones made from its specs."""
    examples = {} if examples is None else examples
    known = [signature.name for signature in signatures]
    if not isinstance(examples, Mapping) or set(examples) - set(known):
        raise ValueError(
            "`examples` must be a dict `{signature: {input: rows}}` with signatures "
            f"of {known}. Received: {list(examples)}"
        )
    return {
        signature.name: _given(signature, examples[signature.name])
        if signature.name in examples
        else _made_up(signature)
        for signature in signatures
    }


def batch_of(rows: Rows, size: int) -> Rows:
    """The first `size` rows; a short example starts again from its first."""
    return {
        name: tf.gather(value, np.arange(size) % len(value))
        for name, value in rows.items()
    }


def _given(signature: Signature, rows: Any) -> Rows:
    where = f"`examples[{signature.name!r}]`"
    if not isinstance(rows, Mapping) or set(rows) != set(signature.inputs):
        received = list(rows) if isinstance(rows, Mapping) else rows
        raise ValueError(
            f"{where} must be a dict with the inputs {list(signature.inputs)}. "
            f"Received: {received}"
        )
    tensors = {}
    for name, spec in signature.inputs.items():
        try:
            tensor = tf.convert_to_tensor(rows[name], spec.dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{where} must hold {spec.dtype.name} rows of shape {spec.shape} "
                f"for {name!r}. Received: {rows[name]!r}"
            ) from error
        if not spec.shape.is_compatible_with(tensor.shape) or not tensor.shape[0]:
            raise ValueError(
                f"{where} must hold at least one row, in all of shape {spec.shape}, "
                f"for {name!r}. Received: shape={tensor.shape}"
            )
        tensors[name] = tensor
    counts = {name: len(tensor) for name, tensor in tensors.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"{where} must hold equally many rows for every input. Received: {counts}"
        )
    return tensors


def _made_up(signature: Signature) -> Rows:
    """One row of zeros or empty strings; a dimension of any size is 1."""
    return {
        # A sequence of length 0 is the one thing a model may rightly refuse.
        name: (tf.ones if name == "lengths" else tf.zeros)(
            [1 if size is None else size for size in spec.shape], spec.dtype
        )
        for name, spec in signature.inputs.items()
    }
