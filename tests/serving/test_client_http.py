"""HTTP as it happens: proxies, slow servers, connections that were closed."""

import json
import time

import numpy as np
import pytest

from keras_attn.serving import (
    Client,
    DataLossError,
    DeadlineExceededError,
    ResourceExhaustedError,
    ServingError,
    UnavailableError,
)
from keras_attn.serving.client.json_values import read_array
from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.metadata import TensorSpec
from tests.serving.fronts import GrpcFront, http_server, respond

STATUS = {
    "model_version_status": [
        {
            "version": "12",
            "state": "LOADING",
            "status": {"error_code": "ABORTED", "error_message": "later"},
        }
    ]
}


def answer_status(handler):
    respond(handler, 200, json.dumps(STATUS).encode())


def test_the_path_may_be_a_gateways():
    paths = []

    def answer(handler):
        paths.append((handler.command, handler.path))
        answer_status(handler)

    with http_server(answer) as url, Client(f"{url}/team/a/", "my model/1") as client:
        (status,) = client.status(version=12)
    assert paths == [("GET", "/team/a/v1/models/my%20model%2F1/versions/12")]
    assert (status.version, status.state) == (12, "LOADING")
    assert (status.error_code, status.error_message) == (10, "later")


def test_a_connection_is_kept():
    connections = []

    def answer(handler):
        connections.append(handler.client_address)
        answer_status(handler)

    with http_server(answer) as url, Client(url) as client:
        for _ in range(3):
            client.status()
    assert len(set(connections)) == 1


def test_a_connection_that_was_closed_is_replaced():
    connections = []

    def answer(handler):
        connections.append(handler.client_address)
        answer_status(handler)
        handler.close_connection = True  # without a word in the headers

    with http_server(answer) as url, Client(url, retries=0) as client:
        for _ in range(3):
            client.status()
    assert len(set(connections)) == 3


def test_half_an_answer_is_none():
    def answer(handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True

    with (
        http_server(answer) as url,
        Client(url, retries=0) as client,
        pytest.raises(UnavailableError, match="IncompleteRead"),
    ):
        client.status()


@pytest.mark.parametrize("trickle", [False, True])
def test_a_slow_answer_meets_the_deadline(trickle):
    def answer(handler):
        if trickle:
            handler.send_response(200)
            handler.send_header("content-length", "1000")
            handler.end_headers()
        for _ in range(40):
            if trickle:
                handler.wfile.write(b" ")
            time.sleep(0.02)
        handler.close_connection = True

    with http_server(answer) as url, Client(url) as client:
        start = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            client.status(timeout=0.2)
        assert time.monotonic() - start < 0.6


@pytest.mark.parametrize(
    ("status", "body", "error", "details"),
    [
        (429, b'{"error": "full"}', ResourceExhaustedError, "full"),
        (413, b"<h1>Too large</h1>", ResourceExhaustedError, "HTTP 413: <h1>Too large"),
        (301, b"", ServingError, "HTTP 301: "),
        (200, b"<html>", DataLossError, "This is not JSON: b'<html>'"),
        (200, b"{}", DataLossError, "Unexpected JSON (KeyError"),
        (200, b'{"model_version_status": 3}', DataLossError, "Unexpected JSON (Type"),
    ],
)
def test_answers_that_are_none(status, body, error, details):
    with (
        http_server(lambda handler: respond(handler, status, body)) as url,
        Client(url) as client,
        pytest.raises(error) as caught,
    ):
        client.status()
    assert details in caught.value.details


def test_an_unavailable_http_server_is_asked_again():
    asked = []

    def answer(handler):
        asked.append(time.monotonic())
        if len(asked) < 4:
            respond(handler, 502 if len(asked) == 1 else 503, b'{"error": "busy"}')
        else:
            answer_status(handler)

    with http_server(answer) as url:
        with Client(url, retries=3) as client:
            assert client.status()[0].version == 12
        assert asked[3] - asked[2] > asked[1] - asked[0] > 0.02  # pauses grow
        asked.clear()
        with Client(url, retries=1) as client:
            with pytest.raises(UnavailableError, match="busy"):
                client.status()
        assert len(asked) == 2


def test_an_unavailable_grpc_server_is_asked_again(embedded_address):
    front = GrpcFront(embedded_address, refuse=3)
    with front.run() as address, Client(address, "toolbox", retries=3) as client:
        assert client.status()[0].version == 3
    assert len(front.headers) == 4


def test_the_deadline_bounds_the_tries(embedded_address):
    front = GrpcFront(embedded_address, refuse=1000)
    with front.run() as address, Client(address, "toolbox", retries=1000) as client:
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="not yet"):
            client.status(timeout=0.5)
        assert 0.2 < time.monotonic() - start < 0.6
    assert 3 <= len(front.headers) <= 8


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        ([1.5, 2], TensorSpec("float32"), np.float32([1.5, 2])),
        ([1, 2], TensorSpec("float64"), np.float64([1, 2])),
        ([[2**63 + 1]], TensorSpec("uint64"), np.uint64([[2**63 + 1]])),
        ([], TensorSpec("int8"), np.int8([])),
        (True, TensorSpec("bool"), np.bool_(True)),
    ],
)
def test_values_of_json(value, spec, expected):
    array = read_array("y", value, spec)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("name", "value", "spec"),
    [
        ("y", [1.5], TensorSpec("int32")),
        ("y", [1], TensorSpec("bool")),
        ("y", ["1"], TensorSpec("float32")),
        ("y", [None], TensorSpec("float32")),
        ("y", [[1], [1, 2]], TensorSpec("int32")),
        ("y", [1], TensorSpec("complex64")),
        ("y", [1], TensorSpec("invalid")),
        ("y", [1], TensorSpec("string")),
        ("y_bytes", ["a"], TensorSpec("string")),
        ("y_bytes", [{"b64": "?"}], TensorSpec("string")),
    ],
)
def test_values_that_are_not_what_the_signature_says(name, value, spec):
    with pytest.raises(WireError, match=f"Output `{name}`"):
        read_array(name, value, spec)


def test_binary_strings_of_json():
    strings = read_array("y_bytes", [[{"b64": "/wA="}]], TensorSpec("string"))
    assert strings.tolist() == [[b"\xff\x00"]]
