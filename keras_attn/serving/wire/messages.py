"""The requests and answers of TF Serving that client and server exchange.

Only the fields that matter to a caller are read; unknown ones are skipped, as protocol
buffers want it. Field numbers are those of `tensorflow_serving/apis/*.proto`.
"""

from dataclasses import dataclass, field

import numpy as np

from keras_attn.serving.wire.fields import (
    Buffer,
    Parts,
    WireError,
    bytes_field,
    integer_field,
    read_bytes,
    read_fields,
    read_integer,
    read_text,
    text_field,
)
from keras_attn.serving.wire.tensors import (
    BY_NUMBER,
    decode_shape,
    decode_tensor,
    encode_tensor,
)

DEFAULT_SIGNATURE = "serving_default"

_INIT_OP = "__saved_model_init_op"  # listed among the signatures, but no client's
STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


@dataclass(frozen=True)
class ModelSpec:
    """Which model, version and signature a request asks for."""

    name: str = ""
    version: int | None = None
    version_label: str | None = None
    signature_name: str = ""

    def encode(self) -> Parts:
        parts = text_field(1, self.name)
        if self.version is not None:
            number = integer_field(1, self.version) if self.version else []
            parts += bytes_field(2, *number)
        if self.version_label is not None:
            parts += bytes_field(4, self.version_label.encode())
        return parts + text_field(3, self.signature_name)

    @classmethod
    def decode(cls, message: Buffer) -> "ModelSpec":
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
        return cls(**values)


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
        parts = [] if self.model_spec is None else _spec_field(1, self.model_spec)
        for alias, array in self.inputs.items():
            parts += _map_entry(2, alias, encode_tensor(array))
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
                alias, tensor = _decode_map_entry(read_bytes(value))
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
            parts += _map_entry(1, alias, encode_tensor(array, as_content))
        return b"".join(parts + _spec_field(2, self.model_spec))

    @classmethod
    def decode(cls, message: Buffer) -> "PredictResponse":
        response = cls(ModelSpec(), {})
        for number, _, value in read_fields(message):
            if number == 1:
                alias, tensor = _decode_map_entry(read_bytes(value))
                response.outputs[alias] = decode_tensor(tensor)
            elif number == 2:
                response.model_spec = ModelSpec.decode(read_bytes(value))
        return response


@dataclass(frozen=True)
class VersionStatus:
    """The life of one version: `state` is START, LOADING, AVAILABLE, UNLOADING or END.

    `error_code` is a gRPC status code, 0 when all is well.
    """

    version: int = 0
    state: str = "UNKNOWN"
    error_code: int = 0
    error_message: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """What a signature says of a tensor: -1 is an open dimension, None an open rank."""

    dtype: str
    shape: tuple[int, ...] | None = ()


@dataclass(frozen=True)
class Signature:
    """The named tensors that go into a signature and come out of it."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    optional: frozenset[str] = frozenset()
    method_name: str = ""


@dataclass(frozen=True)
class ModelMetadata:
    """The signatures of one version of a model."""

    name: str
    version: int | None
    signatures: dict[str, Signature]


def encode_status_request(spec: ModelSpec) -> bytes:
    return b"".join(_spec_field(1, spec))


def encode_metadata_request(spec: ModelSpec) -> bytes:
    return b"".join(_spec_field(1, spec) + text_field(2, "signature_def"))


def decode_status_response(message: Buffer) -> list[VersionStatus]:
    fields = read_fields(message)
    return [_decode_version_status(read_bytes(v)) for n, _, v in fields if n == 1]


def decode_metadata_response(message: Buffer) -> ModelMetadata:
    spec, signatures = ModelSpec(), {}
    for number, _, value in read_fields(message):
        if number == 1:
            spec = ModelSpec.decode(read_bytes(value))
        elif number == 2:
            key, packed = _decode_map_entry(read_bytes(value))
            if key == "signature_def":
                signatures = _decode_signatures(_last_bytes(packed, 2))
    return ModelMetadata(spec.name, spec.version, signatures)


def _decode_version_status(message: Buffer) -> VersionStatus:
    values: dict = {}
    for number, _, value in read_fields(message):
        if number == 1:
            values["version"] = read_integer(value)
        elif number == 2:
            values["state"] = STATES.get(read_integer(value), "UNKNOWN")
        elif number == 3:
            for inner, _, detail in read_fields(read_bytes(value)):
                if inner == 1:
                    values["error_code"] = read_integer(detail)
                elif inner == 2:
                    values["error_message"] = read_text(detail)
    return VersionStatus(**values)


def _decode_signatures(message: Buffer) -> dict[str, Signature]:
    entries = (
        _decode_map_entry(read_bytes(value))
        for number, _, value in read_fields(message)
        if number == 1
    )
    return {
        name: _decode_signature(signature)
        for name, signature in entries
        if name != _INIT_OP
    }


def _decode_signature(message: Buffer) -> Signature:
    inputs: dict[str, TensorSpec] = {}
    outputs: dict[str, TensorSpec] = {}
    optional, method_name = set(), ""
    for number, _, value in read_fields(message):
        if number == 3:
            method_name = read_text(value)
        elif number in (1, 2, 4):
            alias, content = _decode_map_entry(read_bytes(value))
            if number == 4:
                optional.add(alias)
            else:
                tensors = inputs if number == 1 else outputs
                tensors[alias] = _decode_tensor_info(content)
    return Signature(
        dict(sorted(inputs.items())),
        dict(sorted(outputs.items())),
        frozenset(optional),
        method_name,
    )


def _decode_tensor_info(message: Buffer) -> TensorSpec:
    dtype = "invalid"
    shape: tuple[int, ...] | None = ()
    for number, _, value in read_fields(message):
        if number == 2:
            row = BY_NUMBER.get(read_integer(value))
            if row is not None:
                dtype = "string" if row.name == "string" else row.dtype.name
        elif number == 3:
            shape = decode_shape(read_bytes(value))
    return TensorSpec(dtype, shape)


def _spec_field(number: int, spec: ModelSpec) -> Parts:
    return bytes_field(number, *spec.encode())


def _map_entry(number: int, key: str, value: Parts) -> Parts:
    return bytes_field(number, *text_field(1, key), *bytes_field(2, *value))


def _decode_map_entry(message: Buffer) -> tuple[str, memoryview]:
    key, content = "", memoryview(b"")
    for number, _, value in read_fields(message):
        if number == 1:
            key = read_text(value)
        elif number == 2:
            content = read_bytes(value)
    return key, content


def _decode_wrapped_integer(message: Buffer) -> int:
    values = [value for number, _, value in read_fields(message) if number == 1]
    return read_integer(values[-1]) if values else 0


def _last_bytes(message: Buffer, number: int) -> memoryview:
    values = [value for found, _, value in read_fields(message) if found == number]
    if not values:
        raise WireError(f"Field {number} is missing.")
    return read_bytes(values[-1])
