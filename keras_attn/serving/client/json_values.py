"""Arrays as JSON, the way TF Serving's REST API writes and reads them."""

import base64
import json
from typing import Any

import numpy as np
import orjson

from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.metadata import TensorSpec

_BINARY = "_bytes"  # outputs whose name ends so come in base64
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}  # what JSON's values may be


def dump(value: Any) -> bytes:
    """Writes JSON with the arrays that are in it."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def load(body: bytes) -> Any:
    """Reads JSON, also with NaN, infinities and strings that are not UTF-8.

    Raises:
        WireError: It is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise WireError(f"This is not JSON: {body[:80]!r}.") from error


def to_json_value(name: str, array: np.ndarray) -> Any:
    """What `dump` writes as this tensor.

    Raises:
        ValueError: JSON has no such values.
    """
    if array.dtype == object:
        return _strings(array.tolist())
    if array.dtype.kind not in "biuf":
        raise ValueError(f"Input `{name}` is {array.dtype}: JSON has no such values.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():  # orjson has null
        return orjson.Fragment(json.dumps(array.tolist()))
    if array.ndim == 0:
        return array.item()
    return np.ascontiguousarray(array)


def read_array(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """Makes an array of parsed JSON; strings become `bytes` objects.

    Raises:
        WireError: It holds something else than the signature says.
    """
    if spec.dtype == "string":
        return _read_strings(name, value)
    try:
        array, dtype = np.asarray(value), np.dtype(spec.dtype)
        if array.dtype.kind in _KINDS[dtype.kind] or not array.size:
            return array.astype(dtype)
        problem = f"JSON has {array.dtype}"
    except (ValueError, TypeError, KeyError) as error:
        problem = str(error)
    raise WireError(f"Output `{name}` is not {spec.dtype}: {problem}.")


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [_strings(item) for item in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def _read_strings(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, object)
    try:
        items = [_read_string(name, item) for item in array.ravel().tolist()]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise WireError(f"Output `{name}` holds no strings: {error!r}.") from error
    strings = np.empty(len(items), object)
    strings[:] = items
    return strings.reshape(array.shape)


def _read_string(name: str, item: Any) -> bytes:
    if name.endswith(_BINARY):
        return base64.b64decode(item["b64"], validate=True)
    return item.encode("utf-8", "surrogateescape")
