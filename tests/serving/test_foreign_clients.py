"""Clients of other people: the official stubs, ovmsclient, and plain HTTP."""

import base64
import gzip
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

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

from keras_attn.serving import Server

OVMSCLIENT = Path(__file__).with_name("ask_with_ovmsclient.py")
ROWS = [[1, 0, 0], [0, 1, 0]]
EXPECTED = [[1, -1], [2, 0.5]]


@pytest.fixture(scope="module")
def rest_address(toolbox):
    with Server(toolbox, rest_api_port=-1) as server:
        yield server.rest_address


def test_the_official_stubs(channel):
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toolbox"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(ROWS, tf.float32))
    answers = [prediction.Predict.future(request, 30.0) for _ in range(5)]
    for answer in answers:
        y = tf.make_ndarray(answer.result().outputs["y"])
        np.testing.assert_array_equal(y, EXPECTED)
    about = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=request.model_spec, metadata_field=["signature_def"]
    )
    packed = prediction.GetModelMetadata(about, 30.0).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert "months" in signatures.signature_def
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    status = models.GetModelStatus(
        get_model_status_pb2.GetModelStatusRequest(model_spec=request.model_spec), 30.0
    )
    assert [(s.version, s.state) for s in status.model_version_status] == [(3, 30)]


def ask_with_ovmsclient(kind, address):
    command = [sys.executable, str(OVMSCLIENT), kind, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_what_ovmsclient_was_told(told):
    state = {"state": "AVAILABLE", "error_code": 0, "error_message": ""}
    assert told["status"] == {"3": state}
    assert (told["y"], told["total"]) == (EXPECTED, 2.5)
    for case, error in {
        "unknown model": "ModelNotFoundError: .*: Servable .*: Specific(foo, 3)",
        "version 0": "ModelNotFoundError: .*: Servable .*: Specific(toolbox, 0)",
        "wrong shape": "InvalidInputError: .*: Matrix size-incompatible",
    }.items():
        for part in error.split(".*"):
            assert part in told[case]


def test_ovmsclient_over_grpc(address):
    told = ask_with_ovmsclient("grpc", address)
    check_what_ovmsclient_was_told(told)
    assert told["metadata"] == {
        "model_version": 3,
        "inputs": {"x": {"shape": [-1, 3], "dtype": "DT_FLOAT"}},
        "outputs": {
            "total": {"shape": [], "dtype": "DT_FLOAT"},
            "y": {"shape": [-1, 2], "dtype": "DT_FLOAT"},
        },
    }


def test_ovmsclient_over_rest(rest_address):
    told = ask_with_ovmsclient("rest", rest_address)
    check_what_ovmsclient_was_told(told)
    assert told["metadata"]["model_spec"]["version"] == "3"


def fetch(address, end, body=None, **headers):
    """The code and the parsed body of an answer."""
    url = f"http://{address}/v1/models/{end}"
    request = urllib.request.Request(url, body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_plain_http(rest_address):
    def ask(request, end="toolbox:predict"):
        return fetch(rest_address, end, json.dumps(request).encode())

    columns = {"signature_name": "echo", "inputs": [1.5, 2]}
    assert ask(columns) == (200, {"outputs": [1.5, 2.0]})
    text = base64.b64encode(b"mai").decode()
    months = {"signature_name": "months", "instances": [{"b64": text}, "juni"]}
    assert ask(months) == (
        200,
        {"predictions": [{"id": 5, "echo": "mai"}, {"id": -1, "echo": "juni"}]},
    )
    assert ask(columns, "toolbox/versions/3:predict")[0] == 200
    code, answer = ask(columns, "foo:predict")
    assert code == 404
    assert answer == {"error": "Servable not found for request: Latest(foo)"}
    assert ask({}) == (400, {"error": "Missing 'inputs' or 'instances' key"})


def test_plain_http_may_be_compressed(rest_address):
    body = gzip.compress(json.dumps({"inputs": ROWS}).encode())
    code, answer = fetch(
        rest_address, "toolbox:predict", body, **{"Content-Encoding": "gzip"}
    )
    assert (code, answer["outputs"]["y"]) == (200, EXPECTED)


def test_plain_http_tells_the_state(rest_address):
    code, answer = fetch(rest_address, "toolbox")
    (status,) = answer["model_version_status"]
    assert (code, status["version"], status["state"]) == (200, "3", "AVAILABLE")
    code, answer = fetch(rest_address, "toolbox/metadata")
    assert answer["model_spec"]["version"] == "3"
