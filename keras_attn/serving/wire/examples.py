"""Classify and Regress: examples go in, labels with scores or numbers come out.

An example maps feature names to 1-D arrays: strings as objects, int64 or float32, the
three kinds that `tf.train.Example` knows.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from keras_attn.serving.wire.fields import (
    Buffer,
    Parts,
    WireError,
    bytes_field,
    encode_varints,
    map_entry,
    read_bytes,
    read_fields,
    read_last,
    read_text,
)
from keras_attn.serving.wire.messages import ModelSpec

Example = Mapping[str, np.ndarray]
Classes = list[tuple[str, float]]

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3


def encode_examples_request(
    spec: ModelSpec, examples: Iterable[Example], context: Example | None = None
) -> bytes:
    """A `ClassificationRequest` or a `RegressionRequest`: they are written alike."""
    rows = (bytes_field(1, *_encode_example(example)) for example in examples)
    entries = [part for row in rows for part in row]
    if context is None:
        kind = bytes_field(1, *entries)
    else:
        kind = bytes_field(2, *entries, *bytes_field(2, *_encode_example(context)))
    return b"".join([*spec.as_field(1), *bytes_field(2, *kind)])


def decode_classification_response(message: Buffer) -> list[Classes]:
    """For each example its classes: labels with scores."""
    return [
        [_decode_class(read_bytes(value)) for n, _, value in read_fields(row) if n == 1]
        for row in _rows(message)
    ]


def decode_regression_response(message: Buffer) -> np.ndarray:
    """For each example its value."""
    values = [
        _last_float([value for n, _, value in read_fields(row) if n == 1])
        for row in _rows(message)
    ]
    return np.array(values, np.float32)


def _rows(message: Buffer) -> list[memoryview]:
    result = read_last(message, 1)
    return [read_bytes(value) for n, _, value in read_fields(result) if n == 1]


def _decode_class(message: Buffer) -> tuple[str, float]:
    label, scores = "", []
    for number, _, value in read_fields(message):
        if number == 1:
            label = read_text(value)
        elif number == 2:
            scores.append(value)
    return label, _last_float(scores)


def _last_float(values: list[int | memoryview]) -> float:
    if not values:
        return 0.0
    number = read_bytes(values[-1])
    if len(number) != 4:
        raise WireError(f"A float field has {len(number)} bytes.")
    return float(np.frombuffer(number, "<f4")[0])


def _encode_example(example: Example) -> Parts:
    features = (
        map_entry(1, name, _encode_feature(values)) for name, values in example.items()
    )
    return bytes_field(1, *(part for feature in features for part in feature))


def _encode_feature(values: np.ndarray) -> Parts:
    if values.dtype == object:
        strings = (item.encode() if isinstance(item, str) else item for item in values)
        items = (bytes_field(1, string) for string in strings)
        return bytes_field(_BYTES, *(part for item in items for part in item))
    if values.dtype.kind == "f":
        return bytes_field(_FLOATS, *bytes_field(1, values.astype("<f4").tobytes()))
    return bytes_field(_INTEGERS, *bytes_field(1, encode_varints(values)))
