"""The arrays of an answer as JSON.

Small answers are TF Serving's byte for byte. Large ones of numbers are left to
`orjson`, at more than ten times the speed: the same values, on one line and with its
own spelling of exponents (`1000000.0` for `1e+06`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from keras_attn.serving.server.rest.decimals import round_to_digits
from keras_attn.serving.server.rest.json_layout import STEP, lay_out, lay_out_object
from keras_attn.serving.server.status import invalid_argument

_SMALL = 512  # values


def write_rows(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"predictions": [...]}`: an element for each row of the batch.

    Raises:
        StatusError: The outputs are no rows of one batch.
    """
    outputs = _sorted(outputs)
    count = _batch_size(outputs)
    if _is_quick(outputs):
        columns = [_plain(array) for array in outputs.values()]
        rows: Any = columns[0]
        if len(columns) > 1:
            lines = zip(*columns, strict=True)
            rows = [dict(zip(outputs, line, strict=True)) for line in lines]
        return _quick_document("predictions", rows)
    if not count:
        return write_document("predictions", "[]")
    if len(outputs) == 1:
        ((alias, array),) = outputs.items()
        texts = lay_out(array, alias, 2, first_axis=1, one_line=True)
        return write_document("predictions", one_line_rows(texts))
    named = {
        alias: lay_out(array, alias, 3, first_axis=1, one_line=True)
        for alias, array in outputs.items()
    }
    objects = (
        f"\n{2 * STEP}{lay_out_object(dict(zip(named, row, strict=True)), 2)}"
        for row in zip(*named.values(), strict=True)
    )
    return write_document("predictions", f"[{','.join(objects)}\n{STEP}]")


def write_columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"outputs": ...}`: the only tensor, or tensors by name.

    Raises:
        StatusError: A tensor is of a type that TF Serving does not write.
    """
    outputs = _sorted(outputs)
    alone = len(outputs) == 1
    if _is_quick(outputs):
        values = {alias: _plain(array) for alias, array in outputs.items()}
        whole = next(iter(values.values())) if alone else values
        return _quick_document("outputs", whole)
    level = 1 if alone else 2
    texts = {a: lay_out(array, a, level)[0] for a, array in outputs.items()}
    text = next(iter(texts.values())) if alone else lay_out_object(texts, 1)
    return write_document("outputs", text)


def write_document(key: str, text: str) -> bytes:
    """An object with one member, given as text."""
    return lay_out_object({key: text}, 0).encode("utf-8", "surrogateescape")


def one_line_rows(texts: list[str]) -> str:
    """The array of an answer whose elements share a line, and whose end has its own."""
    return f"[{', '.join(texts)}\n{STEP}]"


def _quick_document(key: str, value: Any) -> bytes:
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return b'{\n%b"%b": %b\n}' % (STEP.encode(), key.encode(), text)


def _sorted(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    return {alias: outputs[alias] for alias in sorted(outputs)}


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    expected = None
    for alias, array in outputs.items():
        if not array.ndim:
            raise invalid_argument(f"Tensor name: {alias} has no shape information ")
        if expected not in (None, len(array)):
            raise invalid_argument(
                f"Tensor name: {alias} has inconsistent batch size: {len(array)} "
                f"expecting: {expected}"
            )
        expected = len(array)
    return expected or 0


def _is_quick(outputs: Mapping[str, np.ndarray]) -> bool:
    arrays = outputs.values()
    return sum(array.size for array in arrays) > _SMALL and all(
        array.dtype in _QUICK_TYPES and np.isfinite(array).all() for array in arrays
    )


def _plain(array: np.ndarray) -> Any:
    """What `orjson` writes with TF Serving's digits."""
    if array.dtype == np.float32:
        array = round_to_digits(array)
    return np.asarray(array, order="C") if array.ndim else array.item()


_QUICK_TYPES = frozenset(
    map(np.dtype, "? f4 f8 i1 i2 i4 i8 u1 u4 u8".split())
)  # without uint16, which TF Serving does not write
