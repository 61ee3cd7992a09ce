"""What any server of this API answers when it batches; also run against TF Serving's
own binary if `TENSORFLOW_MODEL_SERVER` names it.
"""

import contextlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.conftest import OFFICIAL, ServerProcess, free_port

# Batches of 4 start at once; what does not fill one waits far longer than a test.
PARAMETERS = """
    max_batch_size {{ value: 4 }}
    batch_timeout_micros {{ value: 20000000 }}
    max_enqueued_batches {{ value: 100 }}
    num_batch_threads {{ value: 2 }}
    pad_variable_length_inputs: {pad}
"""


@contextlib.contextmanager
def embedded_server(flags):
    from keras_attn.serving import Server

    with Server(**flags, model_name="toolbox") as server:
        yield server.address


@contextlib.contextmanager
def official_server(flags):
    from keras_attn.serving import Client

    address = f"127.0.0.1:{free_port()}"
    flags = {"port": address.rpartition(":")[2], "model_name": "toolbox", **flags}
    process = ServerProcess(
        [OFFICIAL, *(f"--{name}={value}" for name, value in flags.items())]
    )
    try:
        with Client(address, "toolbox") as client:
            client.wait_until_available(60)
        yield address
    finally:
        process.kill()


SERVERS = {"embedded": embedded_server} | (
    {"official": official_server} if OFFICIAL else {}
)


@pytest.fixture(scope="module", params=SERVERS)
def predict_on(request, toolbox, tmp_path_factory):
    """A method that predicts on a server, which pads or does not."""
    with contextlib.ExitStack() as stack:
        stubs = {}
        for pad in ("false", "true"):
            file = tmp_path_factory.mktemp("batching") / "batching.config"
            file.write_text(PARAMETERS.format(pad=pad))
            flags = {
                "model_base_path": str(toolbox),
                "enable_batching": True,
                "batching_parameters_file": str(file),
            }
            address = stack.enter_context(SERVERS[request.param](flags))
            channel = stack.enter_context(
                grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
            )
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            stubs[pad] = stub.Predict
        yield stubs


@pytest.fixture
def predict(predict_on):
    return predict_on["false"]


def predict_request(signature="echo", outputs=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = "toolbox"
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request


def rows(*values):
    return np.array([[value, value + 0.5] for value in values], "float32")


def outcome(call):
    """The output `x`, or the error as a code and a text."""
    try:
        return tf.make_ndarray(call.result().outputs["x"])
    except grpc.RpcError as error:
        return error.code().name, error.details()


def together(predict, *arrays):
    """The outcomes of requests to `echo` that share a batch."""
    calls = [predict.future(predict_request(x=x), timeout=10) for x in arrays]
    return [outcome(call) for call in calls]


def failure(predict, request):
    return outcome(predict.future(request, timeout=10))


def test_each_request_gets_its_own_rows(predict):
    one, three = together(predict, rows(1), rows(2, 3, 4))
    np.testing.assert_array_equal(one, rows(1))
    np.testing.assert_array_equal(three, rows(2, 3, 4))


def test_a_request_that_is_too_large(predict):
    assert failure(predict, predict_request(x=rows(*range(9)))) == (
        "INVALID_ARGUMENT",
        "Task size 9 is larger than maximum input batch size 4",
    )


def test_an_input_without_rows(predict):
    assert failure(predict, predict_request("count", steps=np.int32(3))) == (
        "INVALID_ARGUMENT",
        "Batching Run() input tensors must have at least one dimension",
    )


def test_inputs_of_unequal_sizes(predict):
    names = ["bool", "int8", "int32", "int64", "uint8", "double", "half"]
    inputs = {name: np.zeros(2, name) for name in names if name not in ("half",)}
    request = predict_request("types", half=np.zeros(3, "float16"), **inputs)
    assert failure(predict, request) == (
        "INVALID_ARGUMENT",
        "Batching Run() input tensors must have equal 0th-dimension size",
    )


def test_an_output_that_is_not_per_row(predict):
    request = predict_request(
        "serving_default", ["total"], x=np.ones((4, 3), "float32")
    )
    assert failure(predict, request) == (
        "FAILED_PRECONDITION",
        "Batched output tensor has 0 dimensions",
    )


def test_different_shapes_fail_together(predict):
    assert together(predict, rows(1, 2), np.ones((2, 3), "float32")) == 2 * [
        (
            "FAILED_PRECONDITION",
            "Tensors with name 'echo_x:0' from different tasks have different shapes "
            "and padding is turned off. Set pad_variable_length_inputs to true, or "
            "ensure that all tensors with the same name have equal dimensions starting "
            "with the first dim.",
        )
    ]


def test_padding_takes_the_first_element_and_stays(predict_on):
    narrow, wide = np.array([[5], [6]], "float32"), rows(1, 2)
    padded, whole = together(predict_on["true"], narrow, wide)
    assert padded.tolist() == [[5, 5], [6, 5]]
    np.testing.assert_array_equal(whole, wide)


def test_an_error_of_the_graph(predict):
    request = predict_request("gather", row=np.array([0, 1, 9, 2], "int32"))
    code, text = failure(predict, request)
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("indices[2] = 9 is not in [0, 3)")
