"""The codec against the official messages."""

import numpy as np
import pytest
import tensorflow as tf
from ml_dtypes import bfloat16
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from keras_attn.serving.wire import TensorError, WireError
from keras_attn.serving.wire.fields import decode_varints, encode_varints
from keras_attn.serving.wire.management import (
    VersionStatus,
    decode_status_response,
    encode_status_request,
)
from keras_attn.serving.wire.messages import (
    ModelSpec,
    PredictRequest,
    PredictResponse,
)
from keras_attn.serving.wire.metadata import (
    TensorSpec,
    decode_metadata_response,
    encode_metadata_request,
)
from keras_attn.serving.wire.tensors import decode_tensor, encode_tensor

NUMBERS = [
    *["float32", "float64", "float16", "complex64", "complex128", "bool", bfloat16],
    *["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"],
]


def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        high = limits.max
        values = rng.integers(limits.min, high, shape, dtype, endpoint=True)
        magnitude = rng.integers(0, 8 * dtype.itemsize, shape)  # short and long varints
        return values >> magnitude.astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return (rng.normal(size=shape) * 10).astype(dtype)


@pytest.mark.parametrize("as_content", [True, False], ids=["content", "typed"])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (17,), (3, 1, 5)])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_numbers_go_both_ways(rng, dtype, shape, as_content):
    array = random_array(rng, dtype, shape)
    encoded = b"".join(encode_tensor(array, as_content))
    official = tf.make_ndarray(tensor_pb2.TensorProto.FromString(encoded))
    ours = decode_tensor(encoded)
    assert ours.dtype == official.dtype == array.dtype
    assert ours.shape == official.shape == array.shape
    np.testing.assert_array_equal(official, array)
    np.testing.assert_array_equal(ours, array)


@pytest.mark.parametrize("as_content", [True, False], ids=["content", "typed"])
def test_strings_go_both_ways(as_content):
    array = np.array([["a", "août"], ["", "x" * 300]], object)
    encoded = b"".join(encode_tensor(array, as_content))
    expected = [b"a", "août".encode(), b"", b"x" * 300]
    ours = decode_tensor(encoded)
    assert ours.shape == (2, 2)
    assert ours.ravel().tolist() == expected
    parsed = tensor_pb2.TensorProto.FromString(encoded)
    official = tf.io.parse_tensor(parsed.SerializeToString(), tf.string)
    assert official.numpy().ravel().tolist() == expected


def test_a_fortran_array_keeps_its_values(rng):
    array = np.asfortranarray(rng.normal(size=(3, 4)))
    np.testing.assert_array_equal(decode_tensor(b"".join(encode_tensor(array))), array)


@pytest.mark.parametrize("size", [1, 1000, 200_000])
def test_varints_of_every_length(rng, size):
    values = random_array(rng, "int64", size)
    np.testing.assert_array_equal(decode_varints(encode_varints(values)), values)


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        ({"float_val": [1, 2]}, [1, 2, 2, 2]),
        ({"float_val": [7]}, [7, 7, 7, 7]),
        ({}, [0, 0, 0, 0]),
        ({"float_val": [1, 2, 3, 4, 5]}, [1, 2, 3, 4]),
        ({"int_val": [3]}, [0, 0, 0, 0]),
    ],
)
def test_value_lists_of_another_length(proto, expected):
    message = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, **proto)
    message.tensor_shape.dim.add(size=4)
    encoded = message.SerializeToString()
    np.testing.assert_array_equal(decode_tensor(encoded), expected)
    np.testing.assert_array_equal(tf.io.parse_tensor(encoded, tf.float32), expected)


def test_unpacked_values_are_read_too():
    message = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    message.tensor_shape.dim.add(size=2)
    one, two = (b"\x2d" + np.float32(value).tobytes() for value in (1, 2))
    encoded = message.SerializeToString() + one + two
    np.testing.assert_array_equal(decode_tensor(encoded), [1, 2])
    message = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32)
    message.tensor_shape.dim.add(size=2)
    encoded = message.SerializeToString() + b"\x38\x05\x38\xac\x02"
    np.testing.assert_array_equal(decode_tensor(encoded), [5, 300])


@pytest.mark.parametrize(
    "proto",
    [
        {},
        {"dtype": types_pb2.DT_RESOURCE},
        {"dtype": types_pb2.DT_FLOAT, "tensor_content": b"abc"},
        {"dtype": types_pb2.DT_FLOAT, "tensor_shape": {"unknown_rank": True}},
        {"dtype": types_pb2.DT_FLOAT, "tensor_shape": {"dim": [{"size": -1}]}},
        {"dtype": types_pb2.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2**40}] * 2}},
        {"dtype": types_pb2.DT_STRING, "tensor_content": b"\x05ab"},
    ],
)
def test_what_is_no_tensor(proto):
    with pytest.raises(TensorError):
        decode_tensor(tensor_pb2.TensorProto(**proto).SerializeToString())


def official_request():
    request = predict_pb2.PredictRequest(output_filter=["y", "z"])
    request.model_spec.name = "dates"
    request.model_spec.version.value = 12345
    request.model_spec.signature_name = "tokens"
    request.inputs["a"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
    request.inputs["b"].CopyFrom(tf.make_tensor_proto([["mai"]]))
    return request


def test_request_is_read_as_written():
    request = PredictRequest.decode(official_request().SerializeToString())
    assert request.model_spec == ModelSpec("dates", 12345, None, "tokens")
    assert request.output_filter == ["y", "z"]
    arrays = {alias: decode_tensor(tensor) for alias, tensor in request.inputs.items()}
    np.testing.assert_array_equal(arrays["a"], [1, 2])
    assert arrays["b"].tolist() == [[b"mai"]]


def test_request_is_written_as_read():
    inputs = {"a": np.float32([1, 2]), "b": np.array([["mai"]], object)}
    spec = ModelSpec("dates", 12345, None, "tokens")
    encoded = PredictRequest(spec, inputs, ["y", "z"]).encode()
    request, expected = (
        predict_pb2.PredictRequest.FromString(encoded),
        official_request(),
    )
    assert request.model_spec == expected.model_spec
    assert request.output_filter == expected.output_filter
    for alias in "ab":
        given = tf.io.parse_tensor(
            request.inputs[alias].SerializeToString(), request.inputs[alias].dtype
        )
        np.testing.assert_array_equal(given, tf.make_ndarray(expected.inputs[alias]))


@pytest.mark.parametrize("version", [0, 3])
def test_version_and_label_exclude_each_other(version):
    for spec in (ModelSpec("m", version), ModelSpec("m", None, "stable")):
        request = predict_pb2.PredictRequest.FromString(PredictRequest(spec).encode())
        assert ModelSpec.decode(request.model_spec.SerializeToString()) == spec
    request.model_spec.version.value = version
    assert PredictRequest.decode(request.SerializeToString()).model_spec == ModelSpec(
        "m", version
    )


def test_response_goes_both_ways():
    spec = ModelSpec("m", 2, None, "serving_default")
    encoded = PredictResponse(spec, {"y": np.float32([[1], [2]])}).encode()
    official = predict_pb2.PredictResponse.FromString(encoded)
    assert official.outputs["y"].float_val[:] == [1, 2]
    assert official.model_spec.version.value == 2
    ours = PredictResponse.decode(official.SerializeToString())
    assert ours.model_spec == spec
    np.testing.assert_array_equal(ours.outputs["y"], [[1], [2]])


def test_status_messages():
    spec = ModelSpec("m", 2)
    request = get_model_status_pb2.GetModelStatusRequest.FromString(
        encode_status_request(spec)
    )
    assert (request.model_spec.name, request.model_spec.version.value) == ("m", 2)
    response = get_model_status_pb2.GetModelStatusResponse()
    status = response.model_version_status.add(version=2, state=50)
    status.status.error_code, status.status.error_message = 5, "gone"
    response.model_version_status.add(version=1, state=30)
    assert decode_status_response(response.SerializeToString()) == [
        VersionStatus(2, "END", 5, "gone"),
        VersionStatus(1, "AVAILABLE"),
    ]


def test_metadata_messages():
    request = get_model_metadata_pb2.GetModelMetadataRequest.FromString(
        encode_metadata_request(ModelSpec("m"))
    )
    assert request.metadata_field[:] == ["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signature = signatures.signature_def["tokens"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["ids"].dtype = types_pb2.DT_INT32
    signature.inputs["ids"].tensor_shape.dim.add(size=-1)
    signature.defaults["ids"].CopyFrom(tf.make_tensor_proto([1]))
    signature.outputs["text"].dtype = types_pb2.DT_STRING
    signature.outputs["text"].tensor_shape.unknown_rank = True
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name, response.model_spec.version.value = "m", 4
    response.metadata["signature_def"].Pack(signatures)
    metadata = decode_metadata_response(response.SerializeToString())
    assert (metadata.name, metadata.version) == ("m", 4)
    tokens = metadata.signatures["tokens"]
    assert tokens.inputs == {"ids": TensorSpec("int32", (-1,))}
    assert tokens.outputs == {"text": TensorSpec("string", None)}
    assert tokens.optional == {"ids"}


def test_every_truncation_is_noticed_or_a_whole_message():
    whole = official_request().SerializeToString()
    refused = 0
    for length in range(len(whole)):
        try:
            request = PredictRequest.decode(whole[:length])
        except WireError:
            refused += 1
            with pytest.raises(Exception, match="Error parsing message"):
                predict_pb2.PredictRequest.FromString(whole[:length])
        else:
            assert len(request.inputs) <= 2
    assert refused > len(whole) // 2


def test_random_bytes_never_do_worse_than_a_wire_error(rng):
    whole = np.frombuffer(official_request().SerializeToString(), np.uint8)
    for _ in range(500):
        damaged = whole.copy()
        places = rng.integers(0, damaged.size, 3)
        damaged[places] = rng.integers(0, 256, 3)
        try:
            for tensor in PredictRequest.decode(damaged.tobytes()).inputs.values():
                decode_tensor(tensor)
        except WireError:
            pass


@pytest.mark.parametrize(
    "array", [np.array([1, "a"], object), np.array("2020", "M8[D]")]
)
def test_what_cannot_be_sent(array):
    with pytest.raises(TypeError, match=r"Received|cannot be sent"):
        encode_tensor(array)
