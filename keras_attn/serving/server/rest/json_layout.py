"""Tensors as the text of JSON, with the line breaks of TF Serving's writer."""

import base64
from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from keras_attn.serving.server.rest.decimals import spell
from keras_attn.serving.server.rest.json_text import quote
from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.wire.tensors import data_type_of

STEP = "    "


def lay_out(
    array: np.ndarray,
    alias: str,
    level: int,
    first_axis: int = 0,
    one_line: bool = False,
) -> list[str]:
    """The text of a tensor, or one for each of its rows.

    Args:
        array: The tensor.
        alias: Its name; one that ends in `_bytes` has strings written as base64.
        level: How deep the text stands.
        first_axis: The axis whose brackets are the outermost; 1 for rows.
        one_line: Whether elements share a line.

    Raises:
        StatusError: TF Serving does not write tensors of this type.
    """
    shape = array.shape[first_axis:]
    count = prod(array.shape[:first_axis])
    texts = _spell(array, alias.endswith("_bytes"), level + len(shape))
    for axis in reversed(range(len(shape))):
        size, rows = shape[axis], count * prod(shape[:axis])
        opening, comma, closing = "[", ", ", "]"
        if not size:
            texts = ["[]"] * rows
            continue
        if not one_line:
            outside = f"\n{STEP * (level + axis)}"
            opening, comma = f"[{outside}{STEP}", f",{outside}{STEP}"
            closing = f"{outside}]"
        texts = [
            f"{opening}{comma.join(texts[row * size : (row + 1) * size])}{closing}"
            for row in range(rows)
        ]
    return texts


def lay_out_object(members: Mapping[str, str], level: int) -> str:
    """The text of an object, from those of its members."""
    end = f"\n{STEP * level}"
    inside = ",".join(f"{end}{STEP}{quote(k)}: {text}" for k, text in members.items())
    return f"{{{inside}{end}}}"


def _spell(array: np.ndarray, as_base64: bool, level: int) -> list[str]:
    name = data_type_of(array).name
    if not array.size:
        return []
    if name == "string":
        write: Callable = quote_bytes
        if as_base64:

            def write(item):
                text = base64.b64encode(item).decode()
                return lay_out_object({"b64": f'"{text}"'}, level)

        return [write(item) for item in array.ravel().tolist()]
    if name not in _WRITERS:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {name}")
    return _WRITERS[name](array)


def quote_bytes(item: bytes) -> str:
    return quote(item.decode("utf-8", "surrogateescape"))


def _spell_integers(array: np.ndarray) -> list[str]:
    return list(map(str, array.ravel().tolist()))


def _spell_booleans(array: np.ndarray) -> list[str]:
    return ["true" if item else "false" for item in array.ravel().tolist()]


_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
_WRITERS: dict[str, Callable[[np.ndarray], list[str]]] = {
    **dict.fromkeys(_INTEGERS, _spell_integers),
    "bool": _spell_booleans,
    "float": spell,
    "double": spell,
}
