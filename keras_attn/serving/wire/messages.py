"""Predict: its request, its answer, and the model spec that every request carries.

Only the fields that matter to a caller are read; unknown ones are skipped, as protocol
buffers want it. Field numbers are those of `tensorflow_serving/apis/*.proto`.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from keras_attn.serving.wire.fields import (
    Buffer,
    Parts,
    bytes_field,
    integer_field,
    map_entry,
    read_bytes,
    read_fields,
    read_integer,
    read_map_entry,
    read_text,
    text_field,
)
from keras_attn.serving.wire.memory import remembered
from keras_attn.serving.wire.tensors import decode_tensor, encode_tensor

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class ModelSpec:
    """Which model, version and signature a request asks for."""

    name: str = ""
    version: int | None = None
    version_label: str | None = None
    signature_name: str = ""

    def encode(self) -> bytes:
        return _encode_spec(self)

    def as_field(self, number: int) -> Parts:
        return bytes_field(number, self.encode())

    @classmethod
    def decode(cls, message: Buffer) -> "ModelSpec":
        return _decode_spec(message)


@dataclass
class PredictRequest:
    """`inputs` holds arrays when it is written and encoded tensors once read.

    Reading a tensor is the caller's step, so that a server can answer for a wrong
    signature or a wrong name before it looks at the values.
    """

    model_spec: ModelSpec | None = None
    inputs: dict = field(default_factory=dict)
    output_filter: list[str] = field(default_factory=list)

    def encode(self) -> bytes:
        parts = [] if self.model_spec is None else self.model_spec.as_field(1)
        for alias, array in self.inputs.items():
            parts += map_entry(2, alias, encode_tensor(array))
        for alias in self.output_filter:
            parts += bytes_field(3, alias.encode())
        return b"".join(parts)

    @classmethod
    def decode(cls, message: Buffer) -> "PredictRequest":
        request = cls()
        for number, _, value in read_fields(message):
            if number == 1:
                request.model_spec = ModelSpec.decode(read_bytes(value))
            elif number == 2:
                alias, tensor = read_map_entry(value)
                request.inputs[alias] = tensor
            elif number == 3:
                request.output_filter.append(read_text(value))
        return request


@dataclass
class PredictResponse:
    """The arrays of an answer and the version that gave it."""

    model_spec: ModelSpec
    outputs: dict[str, np.ndarray]

    def encode(self, as_content: bool = False) -> bytes:
        parts: Parts = []
        for alias, array in self.outputs.items():
            parts += map_entry(1, alias, encode_tensor(array, as_content))
        return b"".join(parts + self.model_spec.as_field(2))

    @classmethod
    def decode(cls, message: Buffer) -> "PredictResponse":
        response = cls(ModelSpec(), {})
        for number, _, value in read_fields(message):
            if number == 1:
                alias, tensor = read_map_entry(value)
                response.outputs[alias] = decode_tensor(tensor)
            elif number == 2:
                response.model_spec = ModelSpec.decode(read_bytes(value))
        return response


@lru_cache(1024)
def _encode_spec(spec: ModelSpec) -> bytes:
    parts = text_field(1, spec.name)
    if spec.version is not None:
        number = integer_field(1, spec.version) if spec.version else []
        parts += bytes_field(2, *number)
    if spec.version_label is not None:
        parts += bytes_field(4, spec.version_label.encode())
    return b"".join(parts + text_field(3, spec.signature_name))


@remembered
def _decode_spec(message: bytes) -> ModelSpec:
    values: dict = {}
    for number, _, value in read_fields(message):
        if number == 1:
            values["name"] = read_text(value)
        elif number == 2:  # version and label exclude each other: the last one wins
            values["version"] = _decode_wrapped_integer(read_bytes(value))
            values.pop("version_label", None)
        elif number == 3:
            values["signature_name"] = read_text(value)
        elif number == 4:
            values["version_label"] = read_text(value)
            values.pop("version", None)
    return ModelSpec(**values)


def _decode_wrapped_integer(message: Buffer) -> int:
    values = [value for number, _, value in read_fields(message) if number == 1]
    return read_integer(values[-1]) if values else 0
