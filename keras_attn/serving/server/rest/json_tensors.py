"""JSON values to arrays of the type that a signature asks for.

The quick way takes a value whole, level by level. If it is no tensor of that type the
result is `None`, and `json_faults` finds out why.
"""

import base64
import binascii
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from keras_attn.serving.wire.tensors import BY_NUMBER

MOST_DIMENSIONS = 64  # of a NumPy array

_SLICE = 1 << 16  # values converted at once: a longer call would hold up all threads


class _Rule(NamedTuple):
    """`kinds` of JSON values are taken, in the range of `checked`, for one data type.

    As in TF Serving, small integers are checked as int32 and then cut to their bits.
    """

    kinds: frozenset[type]
    checked: type


_FLOATS = _Rule(frozenset({int, float}), np.float64)
_INT32 = _Rule(frozenset({int}), np.int32)
_RULES = {
    "float": _FLOATS,
    "double": _FLOATS,
    "int8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "uint8": _INT32,
    "int64": _Rule(frozenset({int}), np.int64),
    "uint32": _Rule(frozenset({int}), np.uint32),
    "uint64": _Rule(frozenset({int}), np.uint64),
    "bool": _Rule(frozenset({bool}), np.bool_),
    "string": _Rule(frozenset({str, dict}), np.object_),
}


def is_supported(type_name: str) -> bool:
    """Whether JSON can hold values of the type, by TensorFlow's name of it."""
    return type_name in _RULES


def to_array(value: Any, type_number: int) -> np.ndarray | None:
    """Makes a tensor of lists of lists of values."""
    row = BY_NUMBER.get(type_number)
    rule = _RULES.get(row.name) if row else None
    shape, leaves = _flatten(value)
    if row is None or rule is None or leaves is None:
        return None
    array = np.empty(len(leaves), row.dtype)
    for start in range(0, len(leaves), _SLICE):
        part = leaves[start : start + _SLICE]
        if not rule.kinds.issuperset(map(type, part)):
            return None
        try:
            checked = _to_strings(part) if row.name == "string" else part
            with np.errstate(over="ignore"):  # beyond float32 lies infinity
                array[start : start + _SLICE] = np.array(checked, rule.checked)
        except (OverflowError, ValueError):
            return None
    return array.reshape(shape)


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}`: bytes, where other values are text."""
    return isinstance(value, dict) and len(value) == 1 and type(value.get("b64")) is str


def to_bytes(value: Any) -> bytes:
    """The bytes of a string, or of `{"b64": "..."}`.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise ValueError("not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).replace(".", "=")
    if "=" not in text:  # padding may be left out, but not half of it
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("Unable to base64 decode") from error


def _to_strings(values: list) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = [to_bytes(value) for value in values]
    return array


def _flatten(value: Any) -> tuple[list[int], list | None]:
    """The shape that the first elements have, and the leaves if the others agree."""
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list) and len(shape) <= MOST_DIMENSIONS:
        size = len(level[0])
        if any(type(item) is not list or len(item) != size for item in level):
            return shape, None
        shape.append(size)
        level = list(chain.from_iterable(level))
    return shape, None if len(shape) > MOST_DIMENSIONS else level
