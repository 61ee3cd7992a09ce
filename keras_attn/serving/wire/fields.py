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

_LONGEST_VARINT = 10  # bytes: 64 bits, seven in each
_ONE_BYTE = [bytes([value]) for value in range(0x80)]


class WireError(ValueError):
    """Bytes that are not the message they should be."""


def encode_varint(value: int) -> bytes:
    """Encodes one integer; a negative one as its 64-bit two's complement."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
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


def map_entry(number: int, key: str, value: Parts) -> Parts:
    """One entry of a map whose values are messages."""
    return bytes_field(number, *text_field(1, key), *bytes_field(2, *value))


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
    if position < len(message) and message[position] < 0x80:
        return message[position], position + 1
    value = shift = 0
    for byte in message[position : position + _LONGEST_VARINT]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
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


def read_map_entry(value: int | memoryview) -> tuple[str, memoryview]:
    """Key and value of a map entry, where the value is a message or bytes."""
    key, content = "", memoryview(b"")
    for number, _, part in read_fields(read_bytes(value)):
        if number == 1:
            key = read_text(part)
        elif number == 2:
            content = read_bytes(part)
    return key, content


def read_last(message: Buffer, number: int) -> memoryview:
    """A length-delimited field; of several the last one counts, of none no bytes."""
    values = [value for found, _, value in read_fields(message) if found == number]
    return read_bytes(values[-1]) if values else memoryview(b"")


def encode_varints(values: np.ndarray) -> bytes:
    """Encodes integers one after another, as a packed field holds them."""
    values = values.astype(np.int64, copy=False).view(np.uint64).ravel()
    longest = int(values.max()).bit_length() if values.size else 0
    if longest <= 7:
        return values.astype(np.uint8).tobytes()
    places = np.arange(7, longest, 7, dtype=np.uint64)
    lengths = np.ones(values.size, np.int64)
    for shift in places:
        lengths += values >> shift > 0
    starts = np.cumsum(lengths) - lengths
    encoded = np.empty(lengths.sum(), np.uint8)
    encoded[starts] = values & np.uint64(0x7F)
    for place, shift in enumerate(places, start=1):
        longer = lengths > place
        at, values = starts[longer] + place, values[longer]
        encoded[at - 1] |= 0x80
        encoded[at] = values >> shift & np.uint64(0x7F)
        starts, lengths = starts[longer], lengths[longer]
    return encoded.tobytes()


def decode_varints(packed: Buffer) -> np.ndarray:
    """Decodes a packed field of integers into an int64 array.

    Raises:
        WireError: An integer has no end, or more bytes than any integer needs.
    """
    encoded = np.frombuffer(packed, np.uint8)
    last = encoded < 0x80
    if last.all():
        return encoded.astype(np.int64)
    if not last[-1]:
        raise WireError("The last integer of a packed field has no end.")
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    starts = ends + 1 - lengths
    longest = int(lengths.max())
    if longest > _LONGEST_VARINT:
        raise WireError(f"An integer of {longest} bytes in a packed field.")
    values = (encoded[starts] & 0x7F).astype(np.uint64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        digits = (encoded[starts[longer] + place] & 0x7F).astype(np.uint64)
        values[longer] |= digits << np.uint64(7 * place)
    return values.view(np.int64)
