"""`TensorProto` to NumPy and back, with the reading rules of TensorFlow.

A tensor travels in one of two ways. `tensor_content` is the buffer itself. A typed
field (`float_val`, `int_val`, ...) is a packed array; for floats, doubles, complex
numbers and booleans that is the same buffer again, so both cost one copy. Integers are
varints and half floats are their bits as integers.

Reading follows `Tensor::FromProto`: fewer values than the shape needs repeat the last
one, none at all is zeros, more are ignored, `tensor_content` must fit exactly.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from keras_attn.serving.wire.fields import (
    BYTES,
    VARINT,
    Buffer,
    Parts,
    WireError,
    bytes_field,
    decode_varints,
    encode_varint,
    encode_varints,
    integer_field,
    read_bytes,
    read_fields,
    read_integer,
    read_varint,
)
from keras_attn.serving.wire.memory import remembered

_DTYPE, _SHAPE, _CONTENT = 1, 2, 4
_DIMENSION, _UNKNOWN_RANK, _SIZE = 2, 3, 1
_STRING_VAL, _BOOL_VAL = 8, 11
_LARGEST_COUNT = (1 << 63) - 1
_LARGEST_FILL = 1 << 31  # bytes: no message could carry more, so none asks for more


class TensorError(WireError):
    """A well-formed `TensorProto` that describes no tensor."""


class DataType(NamedTuple):
    """One row of TensorFlow's `DataType` enumeration.

    `name` is TensorFlow's word in its error texts, `field` the number of the typed
    field in `TensorProto`, `bits` the integer type of values that travel as varints.
    """

    number: int
    name: str
    dtype: np.dtype
    field: int
    bits: type | None = None


def _data_types() -> list[DataType]:
    types = [
        DataType(1, "float", np.dtype("<f4"), 5),
        DataType(2, "double", np.dtype("<f8"), 6),
        DataType(3, "int32", np.dtype("<i4"), 7, np.int32),
        DataType(4, "uint8", np.dtype("u1"), 7, np.uint8),
        DataType(5, "int16", np.dtype("<i2"), 7, np.int16),
        DataType(6, "int8", np.dtype("i1"), 7, np.int8),
        DataType(7, "string", np.dtype(object), _STRING_VAL),
        DataType(8, "complex64", np.dtype("<c8"), 9),
        DataType(9, "int64", np.dtype("<i8"), 10, np.int64),
        DataType(10, "bool", np.dtype(bool), _BOOL_VAL),
        DataType(17, "uint16", np.dtype("<u2"), 7, np.uint16),
        DataType(18, "complex128", np.dtype("<c16"), 12),
        DataType(19, "half", np.dtype("<f2"), 13, np.uint16),
        DataType(22, "uint32", np.dtype("<u4"), 16, np.uint32),
        DataType(23, "uint64", np.dtype("<u8"), 17, np.uint64),
    ]
    try:
        from ml_dtypes import bfloat16
    except ImportError:  # NumPy alone has no such type
        return types
    return [*types, DataType(14, "bfloat16", np.dtype(bfloat16), 13, np.uint16)]


_TYPES = _data_types()
BY_NUMBER = {row.number: row for row in _TYPES}
BY_DTYPE = {row.dtype: row for row in _TYPES}


def data_type_of(array: np.ndarray) -> DataType:
    """The row of the table for an array; bytes and texts are strings."""
    dtype = np.dtype(object) if array.dtype.kind in "SU" else array.dtype
    row = BY_DTYPE.get(dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype)
    if row is None:
        known = ", ".join(row.name for row in _TYPES)
        raise TypeError(
            f"A tensor of dtype {array.dtype} cannot be sent. Expected one of: {known}."
        )
    return row


def encode_tensor(array: np.ndarray, as_content: bool = True) -> Parts:
    """Writes an array as `TensorProto`.

    Args:
        array: Any array of a type of the table; strings as `bytes` or `str` objects.
        as_content: Whether the values go into `tensor_content`, else into the typed
            field.
    """
    row = data_type_of(array)
    head = _encode_head(row.number, array.shape)
    if not array.size:
        return [head]
    if row.field == _STRING_VAL:
        return [head, *_encode_strings(array, as_content)]
    array = np.ascontiguousarray(array, row.dtype).reshape(-1)
    if row.bits is None or as_content:
        values: Buffer = array.view(np.uint8).data
    else:
        values = encode_varints(array.view(row.bits))
    return [head, *bytes_field(_CONTENT if as_content else row.field, values)]


@lru_cache(1024)
def _encode_head(number: int, shape: tuple[int, ...]) -> bytes:
    """Data type and shape: the same for every request of a kind."""
    sizes = (integer_field(_SIZE, size) if size else [] for size in shape)
    dimensions = [part for size in sizes for part in bytes_field(_DIMENSION, *size)]
    return b"".join(integer_field(_DTYPE, number) + bytes_field(_SHAPE, *dimensions))


def _encode_strings(array: np.ndarray, as_content: bool) -> Parts:
    strings = [_to_bytes(item) for item in array.ravel().tolist()]
    if as_content:
        lengths = b"".join(encode_varint(len(string)) for string in strings)
        return bytes_field(_CONTENT, lengths, *strings)
    return [part for string in strings for part in bytes_field(_STRING_VAL, string)]


def _to_bytes(item: object) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return item
    raise TypeError(
        f"A string tensor holds str or bytes. Received: {item!r} of type "
        f"{type(item).__name__}."
    )


def decode_tensor(message: Buffer) -> np.ndarray:
    """Reads a `TensorProto`; numbers are a read-only view of the message if possible.

    Raises:
        WireError: The bytes are no `TensorProto`.
        TensorError: No tensor can be made of it, as `Tensor::FromProto` sees it.
    """
    number, content = 0, memoryview(b"")
    shape: tuple[int, ...] = ()
    chunks: dict[int, list[tuple[int, int | memoryview]]] = {}
    for field, wire_type, value in read_fields(message):
        if field == _DTYPE:
            number = read_integer(value)
        elif field == _SHAPE:
            shape = _decode_shape(read_bytes(value))
        elif field == _CONTENT:
            content = read_bytes(value)
        else:
            chunks.setdefault(field, []).append((wire_type, value))
    row = BY_NUMBER.get(number)
    if row is None:
        raise TensorError(f"Data type {number} cannot be read.")
    count = math.prod(shape)
    if count > _LARGEST_COUNT:
        raise TensorError(f"Shape {shape} has too many elements.")
    if len(content) and count:
        values = _decode_content(row, content, count)
    else:
        values = _fit(_decode_typed(row, chunks.get(row.field, [])), count, row)
    try:
        return values.reshape(shape)
    except ValueError as error:
        raise TensorError(f"Shape {shape}: {error}.") from error


def decode_shape(message: Buffer) -> tuple[int, ...] | None:
    """Reads a `TensorShapeProto`: -1 for an open dimension, None for an open rank."""
    shape = []
    for field, _, value in read_fields(message):
        if field == _UNKNOWN_RANK and read_integer(value):
            return None
        if field == _DIMENSION:
            sizes = [v for f, _, v in read_fields(read_bytes(value)) if f == _SIZE]
            shape.append(read_integer(sizes[-1]) if sizes else 0)
    return tuple(shape)


@remembered
def _decode_shape(message: bytes) -> tuple[int, ...]:
    shape = decode_shape(message)
    if shape is None or min(shape, default=0) < 0:
        raise TensorError(f"Shape {shape} is not fully known.")
    return shape


def _decode_content(row: DataType, content: memoryview, count: int) -> np.ndarray:
    if row.field == _STRING_VAL:
        return _decode_string_content(content, count)
    if len(content) != count * row.dtype.itemsize:
        raise TensorError(
            f"`tensor_content` has {len(content)} bytes where {count} values of "
            f"{row.name} need {count * row.dtype.itemsize}."
        )
    if row.field == _BOOL_VAL:
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, row.dtype)


def _decode_string_content(content: memoryview, count: int) -> np.ndarray:
    if count > len(content):
        raise TensorError(f"{count} strings do not fit {len(content)} bytes.")
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(content, position)
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise TensorError("The lengths of the strings do not add up.")
    strings = []
    for length in lengths:
        strings.append(bytes(content[position : position + length]))
        position += length
    return _object_array(strings)


def _decode_typed(row: DataType, chunks: list[tuple[int, int | memoryview]]):
    if row.field == _STRING_VAL:
        return _object_array([bytes(read_bytes(value)) for _, value in chunks])
    read = _read_raw if row.bits is None else _read_integers
    if row.field == _BOOL_VAL:
        read = _read_booleans
    arrays = [read(row, wire_type, value) for wire_type, value in chunks]
    return arrays[0] if len(arrays) == 1 else np.concatenate([*arrays, _nothing(row)])


def _read_raw(row: DataType, wire_type: int, value: int | memoryview) -> np.ndarray:
    """Numbers of a fixed width: packed (a whole buffer) or one alone."""
    buffer = read_bytes(value)
    scalar = np.dtype(f"<f{row.dtype.itemsize // (2 if row.dtype.kind == 'c' else 1)}")
    if len(buffer) % scalar.itemsize:
        raise WireError(f"{len(buffer)} bytes hold no whole number of {row.name}.")
    if row.dtype.kind == "c":  # a last real part without its imaginary part is dropped
        buffer = buffer[: len(buffer) // row.dtype.itemsize * row.dtype.itemsize]
    return np.frombuffer(buffer, row.dtype)


def _read_integers(row: DataType, wire_type: int, value: int | memoryview):
    return _integers(wire_type, value).astype(row.bits).view(row.dtype)


def _read_booleans(row: DataType, wire_type: int, value: int | memoryview):
    return _integers(wire_type, value) != 0


def _integers(wire_type: int, value: int | memoryview) -> np.ndarray:
    if wire_type == VARINT:
        return np.array([value], np.uint64).view(np.int64)
    if wire_type != BYTES:
        raise WireError(f"Wire type {wire_type} for integers.")
    return decode_varints(read_bytes(value))


def _fit(values: np.ndarray, count: int, row: DataType) -> np.ndarray:
    if values.size >= count:
        return values[:count]
    if count * row.dtype.itemsize > _LARGEST_FILL:
        raise TensorError(f"{values.size} values stand for {count} of {row.name}.")
    fitted = np.zeros(count, row.dtype)
    if row.field == _STRING_VAL:
        fitted[:] = b""
    if values.size:
        fitted[: values.size] = values
        fitted[values.size :] = values[-1]
    return fitted


def _nothing(row: DataType) -> np.ndarray:
    return np.empty(0, row.dtype)


def _object_array(items: list) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array
