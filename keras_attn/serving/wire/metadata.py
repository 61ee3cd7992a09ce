"""What a model says of itself: the signatures, as a server or a SavedModel has them."""

from dataclasses import dataclass

from keras_attn.serving.wire.fields import (
    Buffer,
    read_bytes,
    read_fields,
    read_integer,
    read_last,
    read_map_entry,
    read_text,
    text_field,
)
from keras_attn.serving.wire.messages import ModelSpec
from keras_attn.serving.wire.tensors import BY_NUMBER, decode_shape

SIGNATURE_FIELD = "signature_def"
INIT_OP = "__saved_model_init_op"  # listed among the signatures, but no client's

_META_GRAPH = 2  # of SavedModel
_SIGNATURES_OF_GRAPH, _SIGNATURES_OF_MAP = 5, 1  # of MetaGraphDef, SignatureDefMap


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


def encode_metadata_request(spec: ModelSpec) -> bytes:
    return b"".join(spec.as_field(1) + text_field(2, SIGNATURE_FIELD))


def decode_metadata_response(message: Buffer) -> ModelMetadata:
    spec, signatures = ModelSpec(), {}
    for number, _, value in read_fields(message):
        if number == 1:
            spec = ModelSpec.decode(read_bytes(value))
        elif number == 2:
            key, packed = read_map_entry(value)
            if key == SIGNATURE_FIELD:
                inside = read_last(packed, 2)
                signatures = _decode_signatures(inside, _SIGNATURES_OF_MAP)
    return ModelMetadata(spec.name, spec.version, signatures)


def decode_saved_model(message: Buffer) -> dict[str, Signature]:
    """The signatures of a `saved_model.pb`; of several graphs, all of theirs."""
    signatures: dict[str, Signature] = {}
    for number, _, value in read_fields(message):
        if number == _META_GRAPH:
            signatures |= _decode_signatures(read_bytes(value), _SIGNATURES_OF_GRAPH)
    return signatures


def dtype_of(number: int) -> str:
    """NumPy's name for a data type; what NumPy does not have is `invalid`."""
    row = BY_NUMBER.get(number)
    if row is None:
        return "invalid"
    return "string" if row.name == "string" else row.dtype.name


def _decode_signatures(message: Buffer, field: int) -> dict[str, Signature]:
    entries = dict(
        read_map_entry(value)
        for number, _, value in read_fields(message)
        if number == field
    )
    return {
        name: _decode_signature(entries[name])
        for name in sorted(entries)
        if name != INIT_OP
    }


def _decode_signature(message: Buffer) -> Signature:
    inputs: dict[str, TensorSpec] = {}
    outputs: dict[str, TensorSpec] = {}
    optional, method_name = set(), ""
    for number, _, value in read_fields(message):
        if number == 3:
            method_name = read_text(value)
        elif number in (1, 2, 4):
            alias, content = read_map_entry(value)
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
    dtype = dtype_of(0)
    shape: tuple[int, ...] | None = ()
    for number, _, value in read_fields(message):
        if number == 2:
            dtype = dtype_of(read_integer(value))
        elif number == 3:
            shape = decode_shape(read_bytes(value))
    return TensorSpec(dtype, shape)
