"""Whatever bytes come, reading ends with a message or a `WireError`."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.examples import (
    decode_classification_response,
    decode_regression_response,
    encode_examples_request,
)
from keras_attn.serving.wire.fields import (
    decode_varints,
    encode_varint,
    encode_varints,
    read_varint,
)
from keras_attn.serving.wire.management import (
    ModelConfig,
    decode_status_response,
    encode_reload_request,
)
from keras_attn.serving.wire.messages import (
    ModelSpec,
    PredictRequest,
    PredictResponse,
)
from keras_attn.serving.wire.metadata import (
    decode_metadata_response,
    decode_saved_model,
)
from keras_attn.serving.wire.tensors import decode_tensor, encode_tensor

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(max_size=8)
FLOATS = st.floats(width=32)
SHAPES = st.lists(st.integers(0, 4), max_size=4)


def decode_whole_request(message):
    for tensor in PredictRequest.decode(message).inputs.values():
        decode_tensor(tensor)


DECODERS = [
    decode_whole_request,
    PredictResponse.decode,
    ModelSpec.decode,
    decode_tensor,
    decode_metadata_response,
    decode_saved_model,
    decode_status_response,
    decode_classification_response,
    decode_regression_response,
    decode_varints,
]


def read_or_refuse(decode, message):
    try:
        decode(message)
    except WireError:
        pass


@st.composite
def nested(draw, depth=4):
    """Fields of small numbers in one another, with lengths that are often wrong."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        wire_type = draw(st.sampled_from([0, 1, 2, 2, 2, 5]))
        parts.append(encode_varint(draw(st.integers(1, 14)) << 3 | wire_type))
        if wire_type == 0:
            parts.append(encode_varint(draw(st.integers(0, 25) | INT64)))
        elif wire_type == 2:
            inside = draw(nested(depth - 1) if depth else st.binary(max_size=12))
            off = draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
            parts += [encode_varint(max(0, len(inside) + off)), inside]
        else:
            parts.append(draw(st.binary(min_size=8, max_size=8))[: 9 - wire_type])
    return b"".join(parts)


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__qualname__)
@settings(max_examples=60, deadline=None)
@given(message=st.binary(max_size=64) | nested())
@example(b"\x08\x07\x12\x0b\x12\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f")  # strings
@example(b"\x08\x01\x12\x05\x12\x03\x08\x80\x40\x2d\x00\x00\x80\x3f")  # one float
def test_any_bytes_are_read_or_refused(decode, message):
    read_or_refuse(decode, message)


OFFICIAL = {
    predict_pb2.PredictRequest: decode_whole_request,
    predict_pb2.PredictResponse: PredictResponse.decode,
    get_model_metadata_pb2.GetModelMetadataResponse: decode_metadata_response,
    get_model_status_pb2.GetModelStatusResponse: decode_status_response,
    classification_pb2.ClassificationResponse: decode_classification_response,
    regression_pb2.RegressionResponse: decode_regression_response,
    tensor_pb2.TensorProto: decode_tensor,
}


def whole_messages():
    request = predict_pb2.PredictRequest(output_filter=["y"])
    request.model_spec.name, request.model_spec.version.value = "dates", 12345
    request.inputs["a"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
    request.inputs["b"].CopyFrom(tf.make_tensor_proto([["mai"]]))
    response = predict_pb2.PredictResponse()
    response.outputs["y"].CopyFrom(tf.make_tensor_proto([300, -1]))
    status = get_model_status_pb2.GetModelStatusResponse()
    status.model_version_status.add(version=2, state=30).status.error_message = "ok"
    classes = classification_pb2.ClassificationResponse()
    classes.result.classifications.add().classes.add(label="a", score=0.5)
    return [request, response, status, classes]


@pytest.mark.parametrize("whole", whole_messages(), ids=lambda m: type(m).__name__)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_messages_are_read_or_refused(whole, data):
    message = bytearray(whole.SerializeToString())
    places = st.tuples(st.integers(0, len(message) - 1), st.integers(0, 255))
    for place, byte in data.draw(st.lists(places, min_size=1, max_size=4)):
        message[place] = byte
    cut = data.draw(st.integers(0, len(message)))
    read_or_refuse(OFFICIAL[type(whole)], bytes(message[: cut or None]))


@settings(max_examples=80, deadline=None)
@given(values=st.lists(INT64 | st.integers(-200, 200), max_size=20))
def test_packed_integers_go_both_ways(values):
    packed = encode_varints(np.array(values, np.int64))
    assert packed == b"".join(map(encode_varint, values))
    assert decode_varints(packed).tolist() == values


@given(value=st.integers(0, 2**64 - 1), rest=st.binary(max_size=3))
def test_an_integer_is_read_where_it_stands(value, rest):
    encoded = encode_varint(value)
    assert read_varint(b"x" + encoded + rest, 1) == (value, 1 + len(encoded))


@settings(max_examples=80, deadline=None)
@given(
    name=NAMES,
    version=st.none() | INT64,
    label=st.none() | NAMES,
    signature=NAMES,
    outputs=st.lists(NAMES, max_size=3),
)
def test_requests_are_read_as_the_official_reader_reads_them(
    name, version, label, signature, outputs
):
    spec = ModelSpec(name, None if label is not None else version, label, signature)
    encoded = PredictRequest(spec, {"x": np.int32([1])}, outputs).encode()
    official = predict_pb2.PredictRequest.FromString(encoded)
    choice = official.model_spec.WhichOneof("version_choice")
    assert (official.model_spec.name, list(official.output_filter)) == (name, outputs)
    assert official.model_spec.signature_name == signature
    if label is not None:
        assert (choice, official.model_spec.version_label) == ("version_label", label)
    elif version is not None:
        assert (choice, official.model_spec.version.value) == ("version", version)
    else:
        assert choice is None
    again = PredictRequest.decode(official.SerializeToString())
    assert (again.model_spec, again.output_filter) == (spec, outputs)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1), as_content=st.booleans())
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float16", "bool"])
def test_tensors_go_both_ways(dtype, shape, seed, as_content):
    rng = np.random.default_rng(seed)
    array = (rng.normal(size=shape) * 10.0 ** rng.integers(0, 4)).astype(dtype)
    official = tensor_pb2.TensorProto.FromString(
        b"".join(encode_tensor(array, as_content))
    )
    np.testing.assert_array_equal(tf.make_ndarray(official), array)
    again = decode_tensor(official.SerializeToString())
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


FEATURES = st.dictionaries(
    NAMES,
    st.lists(st.binary(max_size=5), max_size=3).map(lambda v: np.array(v, object))
    | st.lists(INT64, max_size=3).map(lambda v: np.array(v, np.int64))
    | st.lists(FLOATS, max_size=3).map(lambda v: np.array(v, np.float32)),
    max_size=3,
)


def as_lists(example):
    """The values of a `tf.train.Example` by name, floats as their bits."""
    values = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        items = list(getattr(feature, kind).value)
        is_float = kind == "float_list"
        values[name] = np.float32(items).tobytes() if is_float else items
    return values


@settings(max_examples=50, deadline=None)
@given(examples=st.lists(FEATURES, max_size=3), context=st.none() | FEATURES)
def test_examples_are_what_the_official_reader_reads(examples, context):
    encoded = encode_examples_request(ModelSpec("m"), examples, context)
    request = classification_pb2.ClassificationRequest.FromString(encoded)
    expected = [
        {
            name: values.tobytes() if values.dtype == "float32" else values.tolist()
            for name, values in example.items()
        }
        for example in [*examples, *([] if context is None else [context])]
    ]
    kind = request.input.WhichOneof("kind")
    assert kind == "example_list" + ("" if context is None else "_with_context")
    given = getattr(request.input, kind)
    found = [*given.examples, *([] if context is None else [given.context])]
    assert list(map(as_lists, found)) == expected


@settings(max_examples=50, deadline=None)
@given(classes=st.lists(st.lists(st.tuples(NAMES, FLOATS), max_size=3), max_size=3))
def test_classes_are_read_as_written(classes):
    response = classification_pb2.ClassificationResponse()
    response.result.SetInParent()
    for row in classes:
        answer = response.result.classifications.add()
        for label, score in row:
            answer.classes.add(label=label, score=score)
    read = decode_classification_response(response.SerializeToString())
    assert repr(read) == repr(classes)  # where NaN equals NaN


@settings(max_examples=50, deadline=None)
@given(values=st.lists(FLOATS, max_size=5))
def test_values_are_read_as_written(values):
    response = regression_pb2.RegressionResponse()
    for value in values:
        response.result.regressions.add(value=value)
    read = decode_regression_response(response.SerializeToString())
    np.testing.assert_array_equal(read, np.float32(values))


@pytest.mark.parametrize(
    ("config", "policy"),
    [
        (ModelConfig("m", "/m"), {"latest": {"num_versions": 1}}),
        (ModelConfig("m", "/m", latest=3), {"latest": {"num_versions": 3}}),
        (ModelConfig("m", "/m", "all"), {"all": {}}),
        (ModelConfig("m", "/m", [1, 300]), {"specific": {"versions": [1, 300]}}),
    ],
)
def test_configs_are_what_the_official_reader_reads(config, policy):
    labelled = ModelConfig("n", "/n", labels={"stable": 2, "new": 3})
    encoded = encode_reload_request([config, labelled])
    request = model_management_pb2.ReloadConfigRequest.FromString(encoded)
    first, second = request.config.model_config_list.config
    assert (first.name, first.base_path) == ("m", "/m")
    assert first.model_platform == "tensorflow"
    assert json_format.MessageToDict(
        first.model_version_policy, preserving_proto_field_name=True
    ) == json_format.MessageToDict(
        json_format.ParseDict(policy, type(first.model_version_policy)()),
        preserving_proto_field_name=True,
    )
    assert dict(second.version_labels) == {"stable": 2, "new": 3}
