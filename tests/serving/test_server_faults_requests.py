"""What clients do to a server: nonsense, too much, half of it. Others get answers."""

import concurrent.futures
import contextlib
import http.client
import json
import logging
import socket
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, predict_pb2

from keras_attn.serving import (
    Client,
    DeadlineExceededError,
    Server,
    ServingError,
    UnavailableError,
)
from tests.serving.spinner import save_spinner

ONES = {"x": np.ones((1, 3), "float32")}
HUNDRED_MB = 100_000_000
SERVICE = "/tensorflow.serving.PredictionService/"
METHODS = ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")


@pytest.fixture(scope="module")
def server(toolbox):
    with Server(toolbox, rest_api_port=-1) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.address, options) as channel:
        yield channel


@pytest.fixture(autouse=True)
def no_surprises(caplog):
    """A request may be refused; what nobody thought of is logged with a traceback."""
    yield
    assert not [record for record in caplog.get_records("call") if record.exc_info]


def still_serves(server, model="toolbox"):
    with Client(server.address, model, timeout=30) as client:
        return client.predict(ONES)["y"][0, 0] == 6


@contextlib.contextmanager
def connected(address):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def post(connection, body, path="/v1/models/toolbox:predict"):
    connection.request("POST", path, body)
    response = connection.getresponse()
    return response.status, response.read()


FUZZ = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def code_of(channel, method, message):
    try:
        channel.unary_unary(SERVICE + method)(message, timeout=30)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


REFUSALS = {"INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}


@FUZZ
@given(st.sampled_from(METHODS), st.binary(max_size=200))
def test_bytes_that_are_no_message(channel, method, message):
    assert code_of(channel, method, message) in REFUSALS


def valid_messages():
    predict = predict_pb2.PredictRequest()
    predict.model_spec.name = "toolbox"
    predict.inputs["x"].CopyFrom(tf.make_tensor_proto(ONES["x"]))
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "toolbox"
    features = classify.input.example_list.examples.add().features
    features.feature["x"].float_list.value.append(1.0)
    return [
        ("Predict", predict.SerializeToString()),
        ("Classify", classify.SerializeToString()),
    ]


@FUZZ
@given(
    st.sampled_from(valid_messages()),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1),
    st.booleans(),
)
def test_bytes_that_were_a_message(channel, valid, changes, is_cut):
    method, message = valid[0], bytearray(valid[1])
    for position, byte in changes:
        message[position % len(message)] = byte
    if is_cut:
        del message[changes[0][0] % len(message) :]
    assert code_of(channel, method, bytes(message)) in REFUSALS | {"OK"}


sizes = st.integers(-3, 5) | st.sampled_from([2**31, 2**62, -(2**63)])


@st.composite
def tensors(draw):
    tensor = tf.make_tensor_proto(0).__class__()
    tensor.dtype = draw(st.integers(0, 40) | st.sampled_from([101, 2**31 - 1]))
    for size in draw(st.lists(sizes, max_size=4)):
        tensor.tensor_shape.dim.add().size = size
    tensor.tensor_shape.unknown_rank = draw(st.booleans())
    tensor.tensor_content = draw(st.binary(max_size=40))
    tensor.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    tensor.int_val.extend(draw(st.lists(st.integers(-5, 300), max_size=4)))
    tensor.string_val.extend(draw(st.lists(st.binary(max_size=4), max_size=4)))
    return tensor


INPUTS = {"serving_default": "x", "echo": "x", "months": "text", "gather": "row"}


@FUZZ
@given(st.sampled_from(sorted(INPUTS)), tensors())
def test_tensors_that_are_none(channel, signature, tensor):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toolbox"
    request.model_spec.signature_name = signature
    request.inputs[INPUTS[signature]].CopyFrom(tensor)
    code = code_of(channel, "Predict", request.SerializeToString())
    assert code in REFUSALS | {"OK"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "b64", "y", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=100)
    | st.text(alphabet='{}[]":,1e-.tfn\\u x', max_size=60).map(str.encode)
    | st.dictionaries(
        st.sampled_from(["instances", "inputs", "signature_name", "context"]),
        json_values | st.sampled_from(["echo", "months", "serving_default"]),
    ).map(lambda value: json.dumps(value).encode())
)


@pytest.fixture(scope="module")
def rest(server):
    with connected(server.rest_address) as connection:
        yield connection


@FUZZ
@given(bodies, st.sampled_from(["predict", "classify", "regress"]))
def test_json_that_is_no_request(rest, body, method):
    status, answer = post(rest, body, f"/v1/models/toolbox:{method}")
    assert status in (200, 400, 501)
    assert "error" in json.loads(answer) or status == 200


@pytest.mark.parametrize("depth", [1000, 1_000_000])
def test_deep_json(server, rest, depth):
    status, _ = post(rest, b'{"inputs":' + b"[" * depth + b"]" * depth + b"}")
    assert status == 400
    assert still_serves(server)


def test_a_hundred_megabytes_over_grpc(server):
    x = np.arange(HUNDRED_MB // 4, dtype="float32")
    with Client(server.address, "toolbox", timeout=120) as client:
        answer = client.predict({"x": x}, signature_name="echo")
    np.testing.assert_array_equal(answer["x"], x)


def test_a_hundred_megabytes_over_rest(server, rest):
    text = "a" * HUNDRED_MB
    body = json.dumps({"signature_name": "months", "inputs": {"text": [text]}})
    status, answer = post(rest, body)
    assert status == 200
    assert json.loads(answer)["outputs"] == {"id": [-1], "echo": [text]}


def raw(address, *parts):
    """Sends bytes and hangs up."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        for part in parts:
            connection.sendall(part)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"\0" * 1000],
        [PREFACE],
        [PREFACE, b"\0\0\0\4\0\0\0\0\0", b"\0\xff\xff\1"],
    ],
    ids=["nothing", "no HTTP", "hello", "half a frame"],
)
def test_callers_of_the_grpc_port_that_hang_up(server, parts):
    for _ in range(50):
        raw(server.address, *parts)
    assert still_serves(server)


HEAD = b"POST /v1/models/toolbox:predict HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"\0" * 1000],
        [HEAD],
        [HEAD, b"Content-Length: 1000000\r\n\r\n", b'{"instances": [[1, '],
        [HEAD, b"Content-Length: 0\r\n\r\n"],
    ],
    ids=["nothing", "no HTTP", "half a head", "half a body", "no ear"],
)
def test_callers_of_the_rest_port_that_hang_up(server, rest, parts):
    for _ in range(50):
        raw(server.rest_address, *parts)
    status, answer = post(rest, b'{"instances": [[1, 1, 1]], "signature_name": "echo"}')
    assert (status, json.loads(answer)) == (200, {"predictions": [[1, 1, 1]]})


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    base = tmp_path_factory.mktemp("spinning") / "spinner"
    save_spinner(base / "1")
    return base


def spin(client, seconds, **options):
    return client.predict({"seconds": [seconds]}, **options)["spent"][0]


def outcome(client, seconds):
    try:
        return bool(spin(client, seconds) >= seconds)
    except ServingError as error:
        return error


def test_a_full_queue_refuses_and_goes_on(spinner, tmp_path):
    parameters = tmp_path / "batching.config"
    parameters.write_text(
        "max_batch_size { value: 1 } max_enqueued_batches { value: 1 }"
        "num_batch_threads { value: 1 } batch_timeout_micros { value: 0 }"
    )
    flags = {"enable_batching": True, "batching_parameters_file": str(parameters)}
    with (
        Server(spinner, **flags) as server,
        Client(server.address, "spinner", timeout=30, retries=0) as client,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        spin(client, 0)
        outcomes = list(pool.map(outcome, [client] * 8, [1.0] * 8))
        refused = [found for found in outcomes if found is not True]
        assert 1 <= len(refused) < 8
        for error in refused:
            assert isinstance(error, UnavailableError)
            assert error.details == (
                "The batch scheduling queue to which this task was submitted is full; "
                "currently 1 batches enqueued and max_enqueued_batches is 1"
            )
        assert spin(client, 0) >= 0


@pytest.mark.parametrize("batching", [False, True], ids=["alone", "in batches"])
def test_clients_that_hang_up_leave_no_thread_and_no_version_busy(
    spinner, tmp_path, batching
):
    base = tmp_path / "spinner"
    save_spinner(base / "1")
    flags = {"grpc_max_threads": 2, "enable_batching": batching}
    with Server(base, **flags) as server:
        for _ in range(6):
            with Client(server.address, "spinner", timeout=30) as client:
                client.metadata()
                with pytest.raises(DeadlineExceededError):
                    spin(client, 1.0, timeout=0.2)
        with Client(server.address, "spinner", timeout=30) as client:
            assert spin(client, 0) >= 0
            save_spinner(tmp_path / "next")
            (tmp_path / "next").rename(base / "2")
            client.wait_until_available(30, version=2)
            end = time.monotonic() + 30
            while {s.version: s.state for s in client.status()}[1] != "END":
                assert time.monotonic() < end
                time.sleep(0.05)


def test_cancelled_calls(server, channel, caplog):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toolbox"
    request.model_spec.signature_name = "count"
    request.inputs["steps"].CopyFrom(tf.make_tensor_proto(np.int32(2**30)))
    call = channel.unary_unary(SERVICE + "Predict")
    with caplog.at_level(logging.ERROR):
        futures = [
            call.future(request.SerializeToString(), timeout=3) for _ in range(8)
        ]
        time.sleep(0.2)
        for future in futures:
            assert future.cancel()
        assert still_serves(server)
