"""The wire format of protocol buffers: tags, varints, length-delimited fields.

A message is a run of fields. Each starts with a tag, `number << 3 | wire type`, and is
followed by a varint (type 0), 8 bytes (type 1), a length and that many bytes (type 2)
or 4 bytes (type 5). Messages that are being written are lists of buffers, joined once
at the end, so that a large tensor inside three nested messages is copied once.

Reference: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Buffer = bytes | memoryview
Parts = list[Buffer]

_CHUNK = (
    1 << 16
)  # values encoded at once: bounds the scratch memory of `encode_varints`
_LONGEST_VARINT = 10


class WireError(ValueError):
    """Bytes that are not the message they should be."""


def encode_varint(value: int) -> bytes:
    """Encodes one integer; a negative one as its 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def integer_field(number: int, value: int) -> Parts:
    return [encode_varint(number << 3 | VARINT) + encode_varint(value)]


def bytes_field(number: int, *parts: Buffer) -> Parts:
    """A length-delimited field: a string, a packed array or a whole message."""
    length = sum(map(len, parts))
    return [encode_varint(number << 3 | BYTES) + encode_varint(length), *parts]


def text_field(number: int, text: str) -> Parts:
    """A string field, left out when empty as proto3 does."""
    return bytes_field(number, text.encode()) if text else []


def read_fields(message: Buffer) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yields `(number, wire type, value)`; the value of a varint field is an int.

    Raises:
        WireError: The bytes end inside a field, or a tag is not one.
    """
    message = memoryview(message)
    position, end = 0, len(message)
    while position < end:
        tag, position = read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        value: int | memoryview
        if number == 0:
            raise WireError(f"Field number 0 at byte {position} of {end}.")
        if wire_type == VARINT:
            value, position = read_varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            length, position = read_varint(message, position)
        elif wire_type == FIXED64:
            length = 8
        elif wire_type == FIXED32:
            length = 4
        else:
            raise WireError(
                f"Wire type {wire_type} in field {number} is not supported."
            )
        if length > end - position:
            raise WireError(
                f"Field {number} is truncated: it needs {length} bytes and "
                f"{end - position} are left."
            )
        value = message[position : position + length]
        position += length
        yield number, wire_type, value


def read_varint(message: Buffer, position: int) -> tuple[int, int]:
    """Reads the varint at `position`; returns it and the position after it."""
    value = shift = 0
    for position in range(position, min(position + _LONGEST_VARINT, len(message))):  # noqa: B020
        byte = message[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position + 1
        shift += 7
    raise WireError(f"The integer that ends at byte {position} has no end.")


def read_text(value: int | memoryview) -> str:
    try:
        return str(read_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"A string field is not valid UTF-8: {error}.") from error


def read_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise WireError(
            f"Expected a length-delimited field. Received: integer {value}."
        )
    return value


def read_integer(value: int | memoryview) -> int:
    """The value of an int32 or int64 field, sign included."""
    if not isinstance(value, int):
        raise WireError(f"Expected an integer field. Received: {len(value)} bytes.")
    return value - (1 << 64) if value >= 1 << 63 else value


def encode_varints(values: np.ndarray) -> bytes:
    """Encodes integers one after another, as a packed field holds them."""
    values = values.astype(np.int64, copy=False).view(np.uint64).ravel()
    if not values.size or values.max() < 0x80:
        return values.astype(np.uint8).tobytes()
    chunks = range(0, values.size, _CHUNK)
    return b"".join(_encode_chunk(values[i : i + _CHUNK]) for i in chunks)


def _encode_chunk(values: np.ndarray) -> bytes:
    width = max(1, -(-int(values.max()).bit_length() // 7))
    shifts = np.arange(0, 7 * width, 7, dtype=np.uint64)
    rest = values[:, None] >> shifts
    used = rest > 0
    used[:, 0] = True  # zero takes one byte as well
    digits = (rest & np.uint64(0x7F)).astype(np.uint8)
    digits[:, :-1] |= used[:, 1:].astype(np.uint8) << 7
    return digits[used].tobytes()


def decode_varints(packed: Buffer) -> np.ndarray:
    """Decodes a packed field of integers into an int64 array."""
    encoded = np.frombuffer(packed, np.uint8)
    last = encoded < 0x80
    if last.all():
        return encoded.astype(np.int64)
    ends = np.flatnonzero(last)
    if not last[-1]:
        raise WireError("The last integer of a packed field has no end.")
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _LONGEST_VARINT:
        raise WireError(f"An integer of {lengths.max()} bytes in a packed field.")
    starts = ends + 1 - lengths
    place = np.arange(encoded.size) - np.repeat(starts, lengths)
    digits = (encoded & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(digits, starts).view(np.int64)
