"""What any server of this API answers; also run against TF Serving's own binary if
`TENSORFLOW_MODEL_SERVER` names it. The requests are made with the official messages.
"""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def predict_request(name="toolbox", signature="", outputs=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        if not isinstance(value, tf.make_tensor_proto(0).__class__):
            value = tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(value)
    return request


def floats(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


def failure(method, request):
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=30)
    return caught.value.code(), caught.value.details()


def test_predicts_as_the_saved_model_does(prediction, toolbox):
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    response = prediction.Predict(predict_request(x=x), timeout=30)
    loaded = tf.saved_model.load(str(toolbox / "3"))
    expected = loaded.signatures["serving_default"](x=tf.constant(x))
    assert set(response.outputs) == set(expected) == {"y", "total"}
    for alias, value in expected.items():
        given = tf.make_ndarray(response.outputs[alias])
        np.testing.assert_allclose(given, value, rtol=1e-5, atol=1e-5)


def test_answer_names_model_version_and_signature(prediction):
    spec = prediction.Predict(predict_request(x=floats(1, 3)), timeout=30).model_spec
    assert (spec.name, spec.version.value) == ("toolbox", 3)
    assert spec.signature_name == "serving_default"


def test_answer_carries_typed_fields(prediction):
    response = prediction.Predict(predict_request(x=floats(1, 3)), timeout=30)
    assert response.outputs["y"].float_val[:] == [8.0, 1.0]
    assert not response.outputs["y"].tensor_content


def test_output_filter_chooses(prediction):
    request = predict_request(x=floats(1, 3), outputs=["total"])
    assert list(prediction.Predict(request, timeout=30).outputs) == ["total"]


def test_version_can_be_named(prediction):
    request = predict_request(x=floats(1, 3))
    request.model_spec.version.value = 3
    assert prediction.Predict(request, timeout=30).model_spec.version.value == 3


def test_every_type_travels(prediction):
    inputs = {
        "bool": np.array([True, False]),
        "half": np.array([0.5, -1.25], "float16"),
        "int8": np.array([-127, 3], "int8"),
        "int32": np.array([-(2**20), 2**30 - 1], "int32"),
        "int64": np.array([-(2**61), 2**40], "int64"),
        "uint8": np.array([0, 200], "uint8"),
        "double": np.array([1e300, -1e-300]),
    }
    request = predict_request(signature="types", **inputs)
    outputs = prediction.Predict(request, timeout=30).outputs
    expected = {
        "bool": ~inputs["bool"],
        "half": inputs["half"] * 2,
        "int8": inputs["int8"] - 1,
        "int32": inputs["int32"] * 2,
        "int64": inputs["int64"] * 2,
        "uint8": inputs["uint8"] + 1,
        "double": inputs["double"] / 2,
    }
    for alias, value in expected.items():
        given = tf.make_ndarray(outputs[alias])
        assert given.dtype == value.dtype
        np.testing.assert_array_equal(given, value)


def test_strings_are_bytes(prediction):
    text = [b"mai", b"\xff\x00", b"", "août".encode()]
    request = predict_request(signature="months", text=text)
    outputs = prediction.Predict(request, timeout=30).outputs
    assert outputs["id"].int64_val[:] == [5, -1, -1, -1]
    assert outputs["echo"].string_val[:] == text


def test_empty_batch(prediction):
    response = prediction.Predict(predict_request(x=floats(0, 3)), timeout=30)
    assert tf.make_ndarray(response.outputs["y"]).shape == (0, 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], [0, 0, 0]), ([7], [7, 7, 7]), ([7, 8], [7, 8, 8]), ([1, 2, 3, 4], [1, 2, 3])],
)
def test_short_value_lists_repeat_the_last(prediction, values, expected):
    tensor = tf.make_tensor_proto(floats(3))
    tensor.ClearField("tensor_content")
    tensor.ClearField("float_val")
    tensor.float_val.extend(values)
    request = predict_request(signature="echo", x=tensor)
    output = prediction.Predict(request, timeout=30).outputs["x"]
    np.testing.assert_array_equal(tf.make_ndarray(output), expected)


@pytest.mark.parametrize(
    ("signature", "alias", "field", "values", "expected"),
    [
        ("months", "text", "string_val", [], [b"", b"", b""]),
        ("months", "text", "string_val", [b"a", b"b"], [b"a", b"b", b"b"]),
        ("gather", "row", "int_val", [], [[1.0, -1.0]] * 3),
        ("gather", "row", "int_val", [2], [[3.0, 0.25]] * 3),
    ],
)
def test_short_lists_of_other_types(
    prediction, signature, alias, field, values, expected
):
    tensor = tensor_of_shape(3, **{field: values})
    tensor.dtype = {"string_val": 7, "int_val": 3}[field]
    request = predict_request(signature=signature, **{alias: tensor})
    outputs = prediction.Predict(request, timeout=30).outputs
    given = tf.make_ndarray(outputs["echo" if signature == "months" else "row"])
    assert given.tolist() == expected


def test_a_scalar_needs_no_shape(prediction):
    request = predict_request(signature="echo", x=tensor_of_shape(float_val=[2.5]))
    output = tf.make_ndarray(prediction.Predict(request, timeout=30).outputs["x"])
    assert (output.shape, output.item()) == ((), 2.5)


def no_spec():
    return predict_pb2.PredictRequest()


def version_7():
    request = predict_request(x=floats(1, 3))
    request.model_spec.version.value = 7
    return request


def label_x():
    request = predict_request(x=floats(1, 3))
    request.model_spec.version_label = "x"
    return request


def bad_tensor():
    tensor = tf.make_tensor_proto(floats(1, 3))
    tensor.tensor_content = b"abc"
    return predict_request(x=tensor)


def untyped_tensor():
    return predict_request(x=tf.make_tensor_proto(0).__class__())


def tensor_of_shape(*sizes, **fields):
    tensor = tf.make_tensor_proto(floats(1, 3)).__class__(dtype=1, **fields)
    tensor.tensor_shape.dim.extend(tensor.tensor_shape.Dim(size=size) for size in sizes)
    return tensor


def tensor_of_open_rank():
    tensor = tensor_of_shape(float_val=[1.0])
    tensor.tensor_shape.unknown_rank = True
    return tensor


TYPES = "bool,double,half,int32,int64,int8,uint8"

ERRORS = {
    "no spec": (no_spec(), INVALID, "Missing ModelSpec"),
    "no name": (
        predict_request("", x=floats(1, 3)),
        INVALID,
        "ModelSpec has no name specified.",
    ),
    "unknown model": (
        predict_request("foo", x=floats(1, 3)),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    "unknown version": (
        version_7(),
        NOT_FOUND,
        "Servable not found for request: Specific(toolbox, 7)",
    ),
    "unknown label": (
        label_x(),
        INVALID,
        "Unrecognized servable version label: x",
    ),
    "unknown signature": (
        predict_request(signature="x", x=floats(1, 3)),
        PRECONDITION,
        'Serving signature key "x" not found.',
    ),
    "no inputs": (
        predict_request(),
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). "
        "Sent extra: {}. Missing but required: {x}.",
    ),
    "too many inputs": (
        predict_request(x=floats(1, 3), z=1, a=1),
        INVALID,
        "input size does not match signature: 3!=1 len({a,x,z}) != len({x}). "
        "Sent extra: {a,z}. Missing but required: {}.",
    ),
    "wrong name": (
        predict_request(y=floats(1, 3)),
        INVALID,
        "Signature input alias: x(feed name: serving_default_x:0) not found in request "
        "and no default value provided. Inputs expected to be in the request {y}, or "
        "default input alias set: ",
    ),
    "wrong size of content": (bad_tensor(), INVALID, "tensor parsing error: x"),
    "no type": (untyped_tensor(), INVALID, "tensor parsing error: x"),
    "too much content": (
        predict_request(
            x=tensor_of_shape(1, 3, tensor_content=bytes(16)),
        ),
        INVALID,
        "tensor parsing error: x",
    ),
    "size below zero": (
        predict_request(x=tensor_of_shape(-1, 3, float_val=[1.0])),
        INVALID,
        "tensor parsing error: x",
    ),
    "open rank": (
        predict_request(x=tensor_of_open_rank()),
        INVALID,
        "tensor parsing error: x",
    ),
    "unknown output": (
        predict_request(x=floats(1, 3), outputs=["z"]),
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the "
        "set {total,y}.",
    ),
    "output twice": (
        predict_request(x=floats(1, 3), outputs=["y", "y"]),
        INVALID,
        "duplicate output tensor alias: y",
    ),
    "wrong type": (
        predict_request(x=np.zeros((1, 3))),
        INVALID,
        "Expects arg[0] to be float but double is provided",
    ),
    "wrong width": (
        predict_request(x=floats(1, 4)),
        INVALID,
        "Matrix size-incompatible: In[0]: [1,4], In[1]: [3,2]\n\t [[{{",
    ),
    "wrong rank": (predict_request(x=floats(3)), INVALID, "In[0] "),
    "index out of range": (
        predict_request(signature="gather", row=np.array([9], "int32")),
        INVALID,
        "indices[0] = 9 is not in [0, 3)\n\t [[{{",
    ),
    "XLA": (
        predict_request(signature="compiled", x=floats(1, 3)),
        grpc.StatusCode.INTERNAL,
        "XLA compilation disabled\n\t [[{{",
    ),
    # The order of checks: what comes first is told.
    "signature before inputs": (
        predict_request(signature="x"),
        PRECONDITION,
        'Serving signature key "x" not found.',
    ),
    "model before signature": (
        predict_request("foo", signature="x"),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    "number before values": (
        predict_request(x=tensor_of_shape(-1), z=1),
        INVALID,
        "input size does not match signature: 2!=1",
    ),
    "values before outputs": (
        predict_request(x=tensor_of_shape(-1), outputs=["z"]),
        INVALID,
        "tensor parsing error: x",
    ),
    "unknown output before a repeated one": (
        predict_request(x=floats(1, 3), outputs=["y", "z", "y"]),
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the "
        "set {total,y}.",
    ),
    "inputs before outputs": (
        predict_request(outputs=["z"]),
        INVALID,
        "input size does not match signature: 0!=1",
    ),
    "outputs before types": (
        predict_request(x=np.zeros((1, 3)), outputs=["z"]),
        INVALID,
        "output tensor alias not found in signature: z",
    ),
}
OPEN_ENDED = ("[[{{", "!=1", "signature: z", "In[0] ")


@pytest.mark.parametrize("case", ERRORS)
def test_predict_error(prediction, case):
    request, code, text = ERRORS[case]
    given_code, given = failure(prediction.Predict, request)
    assert given_code == code
    if text.endswith(OPEN_ENDED):
        assert given.startswith(text)
    else:
        assert given == text


def test_wrong_type_counts_inputs_by_tensor_name(prediction):
    wrong = {name: np.zeros(1) for name in TYPES.split(",")}
    types = {"bool": bool, "half": "float16", "double": "float64"}
    right = {
        name: np.zeros(1, types.get(name, name)) for name in wrong if name != "int64"
    }
    request = predict_request(signature="types", **{**wrong, **right})
    code, text = failure(prediction.Predict, request)
    assert code == INVALID
    assert text == "Expects arg[4] to be int64 but double is provided"


def test_a_long_error_is_cut(prediction):
    request = predict_request(**{"x" * 1500: floats(1, 3), "y": 1})
    _, text = failure(prediction.Predict, request)
    assert len(text) == 1024 + len("...TRUNCATED")
    assert text.endswith("...TRUNCATED")


def test_the_deadline_of_the_client_ends_the_work(prediction):
    request = predict_request(signature="count", steps=np.int32(2**30))
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(request, timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def metadata_request(name="toolbox", fields=("signature_def",)):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = name
    return request


def test_metadata_holds_the_signatures(prediction):
    response = prediction.GetModelMetadata(metadata_request(), timeout=30)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("toolbox", 3, "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    linear = signatures.signature_def["serving_default"]
    assert linear.inputs["x"].dtype == tf.float32.as_datatype_enum
    assert [d.size for d in linear.inputs["x"].tensor_shape.dim] == [-1, 3]
    assert "__saved_model_init_op" in signatures.signature_def


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            get_model_metadata_pb2.GetModelMetadataRequest(),
            INVALID,
            "Missing ModelSpec",
        ),
        (
            metadata_request(fields=()),
            INVALID,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata_request(fields=["x"]),
            INVALID,
            "Metadata field x is not supported",
        ),
        (
            metadata_request("foo", fields=["x"]),
            INVALID,
            "Metadata field x is not supported",
        ),
        (
            metadata_request("foo"),
            NOT_FOUND,
            "Servable not found for request: Latest(foo)",
        ),
    ],
)
def test_metadata_error(prediction, request_, code, text):
    assert failure(prediction.GetModelMetadata, request_) == (code, text)


def status_request(name="toolbox", version=None):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


@pytest.mark.parametrize("version", [None, 3])
def test_status_of_a_version_that_serves(models, version):
    response = models.GetModelStatus(status_request(version=version), timeout=30)
    (status,) = response.model_version_status
    assert (status.version, status.state) == (3, 30)
    assert (status.status.error_code, status.status.error_message) == (0, "")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (get_model_status_pb2.GetModelStatusRequest(), INVALID, "Missing ModelSpec"),
        (
            status_request("foo"),
            NOT_FOUND,
            "Could not find any versions of model foo",
        ),
        (
            status_request(version=7),
            NOT_FOUND,
            "Could not find version 7 of model toolbox",
        ),
    ],
)
def test_status_error(models, request_, code, text):
    assert failure(models.GetModelStatus, request_) == (code, text)


def test_a_large_message_is_no_surprise(client):
    x = floats(3_000_000)  # 12 MB each way
    answer = client.predict({"x": x}, signature_name="echo")
    np.testing.assert_array_equal(answer["x"], x)
