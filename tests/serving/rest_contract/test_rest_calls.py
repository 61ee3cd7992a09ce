"""Where the API is found, and its other calls."""

import json

import pytest
from google.protobuf import json_format
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

from tests.serving.rest_calls import ask, predict
from tests.serving.rest_contract.conftest import METRICS


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models/rest:predict", "rest"),
        ("/v1/models/rest/versions/2:predict", "rest"),
        ("/v1/models/rest/versions/0002:predict", "rest"),
        ("/v1/models/rest/labels/stable:predict", "rest"),
        ("/v1/models/rest/labels/st%61ble:predict", "rest"),
        ("/V1/Models/%72est:predict", "rest"),
    ],
)
def test_paths_of_a_model(server, path, model):
    answer = ask(server, "POST", path, b'{"instances": [1]}')
    assert (answer.status, answer.json) == (200, {"predictions": [2.0]})


def test_classify(server):
    body = {"examples": [{"x": [1.0, 0.0]}, {"x": [2.0, 4.0], "bias": 0.5}]}
    path = "/v1/models/heads:classify"
    answer = ask(server, "POST", path, json.dumps(body))
    rows = [[["low", 1.0], ["high", -1.0]], [["high", 6.5], ["low", 4.5]]]
    assert (answer.status, answer.json) == (200, {"results": rows})
    line = '[["low", 1.0], ["high", -1.0]], [["high", 6.5], ["low", 4.5]]'
    assert answer.body.decode() == f'{{\n    "results": [{line}\n    ]\n}}'


def test_regress(server):
    body = {
        "signature_name": "regress",
        "context": {"bias": [1.5]},
        "examples": [{"x": [1.0, 0.0]}, {"x": [0.0, 1.0], "bias": 0.0}],
    }
    answer = ask(server, "POST", "/v1/models/heads:regress", json.dumps(body))
    assert answer.body == b'{\n    "results": [3.0, 2.5]\n}'


def test_status(server):
    for path in ("/v1/models/rest", "/v1/models/rest/versions/2"):
        answer = ask(server, "GET", path)
        assert answer.json == {
            "model_version_status": [
                {
                    "version": "2",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }
    response = json_format.Parse(answer.body, GetModelStatusResponse())
    assert response.model_version_status[0].version == 2


def test_metadata(server):
    answer = ask(server, "GET", "/v1/models/rest/metadata").json
    assert answer["model_spec"] == {
        "name": "rest",
        "signature_name": "",
        "version": "2",
    }
    signatures = answer["metadata"]["signature_def"]
    parsed = json_format.ParseDict(signatures, SignatureDefMap()).signature_def
    assert {"pair", "serving_default", "__saved_model_init_op"} <= parsed.keys()
    assert signatures["signature_def"]["pair"]["inputs"]["b"] == {
        "dtype": "DT_INT32",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}],
            "unknown_rank": False,
        },
        "name": "pair_b:0",
    }


def test_metrics(server):
    predict(server, {"instances": [1]})
    answer = ask(server, "GET", METRICS)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
    lines = answer.body.decode().splitlines()
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    count = ':tensorflow:serving:request_count{model_name="rest",status="OK"} '
    assert any(line.startswith(count) for line in lines)
    latency = (
        ":tensorflow:serving:request_latency_count"
        '{model_name="rest",API="predict",entrypoint="REST"} '
    )
    assert any(line.startswith(latency) for line in lines)
    answer = ask(server, "GET", f"{METRICS}?x=1")
    text = f"Unexpected path: {METRICS}?x=1. Should be {METRICS}"
    assert (answer.status, answer.body.decode()) == (400, text)


def test_what_is_not_of_the_api(server):
    for path in ("/", "/v2/models/rest", "/v1", "/favicon.ico"):
        answer = ask(server, "GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html")


@pytest.mark.parametrize(
    ("origin", "status"), [("https://a.example", 200), ("null", 400), (None, 400)]
)
def test_options(server, origin, status):
    headers = {"Origin": origin} if origin else {}
    answer = ask(server, "OPTIONS", "/v1/models/rest:predict", headers=headers)
    assert (answer.status, answer.body) == (status, b"")
    assert "Access-Control-Allow-Origin" not in answer.headers
