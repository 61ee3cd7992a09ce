"""Short messages are read once, and what they say is not mixed up."""

import numpy as np
import pytest

from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.memory import remembered
from keras_attn.serving.wire.messages import ModelSpec
from keras_attn.serving.wire.tensors import decode_tensor, encode_tensor


@pytest.fixture
def reader():
    read = []

    @remembered
    def decode(message):
        read.append(message)
        if not message:
            raise WireError("nothing")
        return message.hex()

    return decode, read


def test_the_same_content_is_read_once(reader):
    decode, read = reader
    buffer = bytearray(b"ab")
    assert decode(memoryview(buffer)) == decode(b"ab") == "6162"
    buffer[0] = 0
    assert decode(memoryview(buffer)) == "0062"
    assert read == [b"ab", b"\x00b"]


def test_long_messages_are_not_kept(reader):
    decode, read = reader
    for _ in range(2):
        assert decode(bytes(257)) == "00" * 257
    assert len(read) == 2


def test_errors_are_not_kept(reader):
    decode, read = reader
    for _ in range(2):
        with pytest.raises(WireError):
            decode(b"")
    assert len(read) == 2


def test_what_is_encoded_is_not_shared():
    for _ in range(2):
        parts = ModelSpec("m", 3).as_field(1)
        assert b"".join(parts) == b"\x0a\x07\x0a\x01m\x12\x02\x08\x03"
        parts += [b"more"]
        assert ModelSpec.decode(ModelSpec("m", 3).encode()) == ModelSpec("m", 3)


def test_tensors_of_one_shape_and_several_types():
    for dtype in (np.float32, np.int32, np.float64):
        for shape in ((2, 3), (3, 2), (6,)):
            array = np.arange(6, dtype=dtype).reshape(shape)
            read = decode_tensor(b"".join(encode_tensor(array)))
            assert read.dtype == dtype
            np.testing.assert_array_equal(read, array)
