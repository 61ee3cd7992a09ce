"""The REST API as any server of it answers; also run against TF Serving's own binary if
`TENSORFLOW_MODEL_SERVER` names it.
"""

import base64
import gzip
import json

import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

from tests.serving.conftest import OFFICIAL, ServerProcess, free_port
from tests.serving.rest_calls import ask, predict
from tests.serving.rest_model import INTEGERS, save_rest_model

METRICS = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def flags(two_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    save_rest_model(folder / "rest" / "2")
    models = two_models.read_text().rstrip().removesuffix("}")
    config = folder / "models.config"
    config.write_text(
        f'{models} config {{ name: "rest" base_path: "{folder / "rest"}" '
        'model_platform: "tensorflow" version_labels { key: "stable" value: 2 } } }'
    )
    monitoring = folder / "monitoring.config"
    monitoring.write_text(f'prometheus_config {{ enable: true path: "{METRICS}" }}')
    return {
        "model_config_file": str(config),
        "monitoring_config_file": str(monitoring),
        "allow_version_labels_for_unavailable_models": True,  # as they are at first
    }


@pytest.fixture(scope="module")
def embedded(flags):
    from keras_attn.serving import Server

    with Server(rest_api_port=-1, **flags) as server:
        yield server.rest_address


@pytest.fixture(scope="module")
def official(flags):
    port = free_port()
    process = ServerProcess(
        [
            OFFICIAL,
            f"--port={free_port()}",
            f"--rest_api_port={port}",
            *(
                f"--{name}={value}".replace("=True", "=true")
                for name, value in flags.items()
            ),
        ]
    )
    try:
        process.wait_for_line("Exporting HTTP/REST API")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()


@pytest.fixture(params=["embedded", *(["official"] if OFFICIAL else [])])
def server(request):
    return request.getfixturevalue(request.param)


def test_rows_are_answered_in_rows(server):
    answer = predict(server, {"instances": [1.0, 2.5, -3]})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == b'{\n    "predictions": [2.0, 5.0, -6.0\n    ]\n}'


def test_columns_are_answered_in_columns(server):
    answer = predict(server, {"inputs": [1.0, 2.5]})
    expected = b'{\n    "outputs": [\n        2.0,\n        5.0\n    ]\n}'
    assert (answer.status, answer.body) == (200, expected)
    assert predict(server, {"inputs": {"x": [1.0, 2.5]}}).body == expected


def test_several_tensors_go_by_name(server):
    rows = [{"a": [1, 2.5], "b": 3}, {"b": -4, "a": [0, 0]}]
    answer = predict(server, {"signature_name": "pair", "instances": rows})
    assert answer.json == {
        "predictions": [{"sum": 3.5, "twice": [3, 3]}, {"sum": 0, "twice": [-4, -4]}]
    }
    columns = {"a": [[1, 2.5], [0, 0]], "b": [3, -4], "ignored": None}
    answer = predict(server, {"signature_name": "pair", "inputs": columns})
    assert answer.json == {
        "outputs": {"sum": [3.5, 0], "twice": [[3, 3], [-4, -4]]},
    }


def test_layout_of_named_rows(server):
    rows = [{"a": [1, 2.5], "b": 3}]
    answer = predict(server, {"signature_name": "pair", "instances": rows})
    blanks = " " * 12
    first = f'{blanks}"sum": 3.5,\n{blanks}"twice": [3, 3]'
    second = f'{blanks}"twice": [3, 3],\n{blanks}"sum": 3.5'  # a map has no order
    assert answer.body.decode() in [
        f'{{\n    "predictions": [\n        {{\n{members}\n        }}\n    ]\n}}'
        for members in (first, second)
    ]


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


def test_every_integer_type(server):
    limits = {
        name: [int(np.iinfo(name).min), int(np.iinfo(name).max)] for name in INTEGERS
    }
    request = {"signature_name": "integers", "inputs": limits}
    assert predict(server, request).json == {"outputs": limits}


def test_small_integers_are_cut_to_their_bits(server):
    zeros = {name: [0] for name in INTEGERS} | {"int8": [300], "uint8": [-1]}
    answer = predict(server, {"signature_name": "integers", "inputs": zeros}).json
    assert (answer["outputs"]["int8"], answer["outputs"]["uint8"]) == ([44], [255])


def test_booleans(server):
    request = {"signature_name": "invert", "instances": [True, False]}
    assert predict(server, request).json == {"predictions": [False, True]}


FLOATS = [0.1, 1 / 3, 1e6, 1234567.0, 3e-5, 123456789.0, 1e-20, 0.30000001192092896]
FLOAT_TEXTS = "0.1 0.333333343 1e+06 1234567.0 3e-05 123456792.0 1e-20 0.3".split()


def test_digits_of_floats(server):
    answer = predict(server, {"signature_name": "echo", "instances": FLOATS})
    line = ", ".join(FLOAT_TEXTS)
    assert answer.body.decode() == f'{{\n    "predictions": [{line}\n    ]\n}}'


def test_digits_of_doubles(server):
    answer = predict(server, {"signature_name": "wide", "instances": [1 / 3, 2, 1e300]})
    line = "0.33333333333333331, 2.0, 1e+300"
    assert answer.body.decode() == f'{{\n    "predictions": [{line}\n    ]\n}}'


def test_numbers_beyond_all_numbers(server):
    body = b'{"signature_name": "echo", "instances": [NaN, Infinity, -Infinity, 1e39]}'
    answer = predict(server, body)
    line = b"NaN, Infinity, -Infinity, Infinity"
    assert answer.body == b'{\n    "predictions": [%b\n    ]\n}' % line


def shortened(value):
    """Six digits if they bring back the float32, else nine."""
    six = float(f"{value:.6g}")
    return six if np.float32(six) == np.float32(value) else float(f"{value:.9g}")


def test_a_large_answer_holds_the_same_values(server):
    x = np.random.default_rng(0).normal(size=(40, 50)).astype("float32")
    request = {"signature_name": "echo", "inputs": x.tolist()}
    answer = predict(server, request).json["outputs"]
    expected = [[shortened(value) for value in row] for row in x.tolist()]
    assert answer == expected
    request = {"signature_name": "echo", "instances": x.tolist()}
    assert predict(server, request).json["predictions"] == expected


def test_strings(server):
    texts = ["août", "", 'a"\\\n\x7f/😀', "\x01"]
    answer = predict(server, {"signature_name": "text", "instances": texts}).json
    assert [row["y"] for row in answer["predictions"]] == texts
    encoded = [base64.b64encode(text.encode()).decode() for text in texts]
    assert [row["y_bytes"]["b64"] for row in answer["predictions"]] == encoded


def test_bytes_that_are_no_text(server):
    raw = b"\xff\x00\x80"
    value = {"b64": base64.b64encode(raw).decode()}
    request = {"signature_name": "raw", "inputs": value}
    assert predict(server, request).json == {"outputs": value}
    request = {"signature_name": "raw", "instances": [[value, "a"], ["b", value]]}
    answer = predict(server, request).json["predictions"]
    a, b = ({"b64": base64.b64encode(text).decode()} for text in (b"a", b"b"))
    assert answer == [[value, a], [b, value]]
    direct = predict(server, b'{"signature_name": "text", "instances": ["\xff"]}')
    assert b'"y": "\xff"' in direct.body


@pytest.mark.parametrize(
    ("text", "raw"), [("YQ==", b"a"), ("YQ", b"a"), ("Y W\nI=", b"ab"), ("", b"")]
)
def test_base64_is_read_with_or_without_padding(server, text, raw):
    request = {"signature_name": "raw", "inputs": [{"b64": text}]}
    value = predict(server, request).json["outputs"][0]["b64"]
    assert base64.b64decode(value) == raw


def test_shapes_are_free_in_columns(server):
    for value in (1.5, [], [[[1.0]], [[2.0]]]):
        request = {"signature_name": "echo", "inputs": value}
        assert predict(server, request).json == {"outputs": value}


def test_junk_behind_the_document_is_ignored(server):
    assert predict(server, b'{"instances": [1]} and more').status == 200


def test_gzip(server):
    body = gzip.compress(b'{"instances": [1]}')
    answer = predict(server, body, headers={"Content-Encoding": "gzip"})
    assert answer.json == {"predictions": [2.0]}


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


def failed(status, text, **document):
    return json.dumps(document).encode(), status, text


ROW = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "
NAMED = "Failed to process element: {} key: {} of 'instances' list. "
NAMED += "Error: INVALID_ARGUMENT: "

ERRORS = {
    "empty": (b"", 400, "JSON Parse error: The document is empty"),
    "no JSON": (b"x", 400, "JSON Parse error: Invalid value. at offset: 0"),
    "no object": (b"[]", 400, "JSON Value: [] Is not object"),
    "no list": failed(
        400,
        "JSON Value: {\n    \"instances\": 1\n} Excepting 'instances' to be an "
        "list/array",
        instances=1,
    ),
    "empty list": failed(
        400,
        "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        instances=[],
    ),
    "neither": failed(400, "Missing 'inputs' or 'instances' key", x=1),
    "both": failed(
        400,
        'JSON Value: {\n    "inputs": 1,\n    "instances": [\n        1\n    ]\n} Not '
        "formatted correctly expecting only one of 'inputs' or 'instances' keys to "
        "exist ",
        inputs=1,
        instances=[1],
    ),
    "signature is no string": failed(
        400,
        'JSON Value: {\n    "signature_name": 1\n} not formatted correctly. '
        "'signature_name' key must be a string value.",
        signature_name=1,
    ),
    "unknown signature": failed(
        400,
        'Serving signature name: "z" not found in signature def',
        signature_name="z",
        instances=[1],
    ),
    "no inputs": failed(
        400,
        "Failed to get input map for signature: constant",
        signature_name="constant",
        instances=[1],
    ),
    "text for a float": failed(
        400,
        ROW.format(1) + 'JSON Value: "2" Type: String is not of expected type: float',
        instances=[1, "2"],
    ),
    "truth for a float": failed(
        400,
        "JSON Value: true Type: True is not of expected type: float",
        inputs=[True],
    ),
    "nothing for a float": failed(
        400,
        "JSON Value: null Type: Null is not of expected type: float",
        inputs=[1, None],
    ),
    "object for a float": failed(
        400,
        'JSON Value: {\n    "b64": "YQ=="\n} Type: Object is not of expected type: '
        "float",
        inputs=[{"b64": "YQ=="}],
    ),
    "float for an integer": failed(
        400,
        NAMED.format(0, "b")
        + "JSON Value: 1.0 Type: Number is not of expected type: int32",
        signature_name="pair",
        instances=[{"b": 1.0, "a": [1, 2]}],
    ),
    "large for an integer": failed(
        400,
        "JSON Value: 2147483648 Type: Number is not of expected type: int32",
        signature_name="pair",
        inputs={"a": [[1, 2]], "b": [2147483648]},
    ),
    "number for a truth": failed(
        400,
        "JSON Value: 1 Type: Number is not of expected type: bool",
        signature_name="invert",
        inputs=[1],
    ),
    "number for a text": failed(
        400,
        "JSON Value: 1 Type: Number is not of expected type: string",
        signature_name="raw",
        inputs=[1],
    ),
    "not base64": failed(
        400, "Unable to base64 decode", signature_name="raw", inputs=[{"b64": "?"}]
    ),
    "other object for a text": failed(
        400,
        'JSON Value: {\n    "b65": "YQ=="\n} not formatted correctly for base64 data',
        signature_name="raw",
        inputs=[{"b65": "YQ=="}],
    ),
    "ragged rows": failed(
        400,
        ROW.format(1) + "Expecting tensor size: 2 but got: 1",
        signature_name="echo",
        instances=[[1, 2], [3]],
    ),
    "rows of other shapes": failed(
        400,
        ROW.format(1) + "Expecting shape [2,1] but got: [1,2]",
        signature_name="echo",
        instances=[[[1], [2]], [[3, 4]]],
    ),
    "ragged column": failed(
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        signature_name="echo",
        inputs=[[1, 2], [3]],
    ),
    "list too deep": failed(
        400,
        "Encountered list at unexpected level: 1 expected < 1",
        signature_name="echo",
        inputs=[1, [2]],
    ),
    "value too high": failed(
        400,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. "
        "Expected at level: 2",
        signature_name="echo",
        inputs=[[1], 2],
    ),
    "list for objects": failed(
        400,
        "instances is a plain list, but expecting list of objects as multiple input "
        "tensors required as per tensorinfo_map",
        signature_name="pair",
        instances=[1],
    ),
    "value for objects": failed(
        400,
        "inputs is a plain value/list, but expecting an object as multiple input "
        "tensors required as per tensorinfo_map",
        signature_name="pair",
        inputs=[1],
    ),
    "unknown key in a row": failed(
        400,
        NAMED.format(0, "z") + "JSON object: does not have named input: z",
        instances=[{"z": 1}],
    ),
    "one key too many in a row": failed(
        400,
        NAMED.format(1, "z") + "JSON object: does not have named input: z",
        instances=[{"x": 1}, {"x": 1, "z": 2}],
    ),
    "missing key in a row": failed(
        400,
        "Failed to process element: 1 of 'instances' list. JSON object: "
        '{\n    "b": 1\n} keys must be equal to: a,b',
        signature_name="pair",
        instances=[{"a": [1, 2], "b": 3}, {"b": 1}],
    ),
    "list after objects": failed(
        400,
        "Expecting object but got list at item 1 of input list",
        instances=[{"x": 1}, 2],
    ),
    "object after values": failed(
        400,
        "Expecting value/list but got object at item 1 of input list",
        instances=[1, {"x": 2}],
    ),
    "missing column": failed(
        400,
        "Missing named input: b in 'inputs' object.",
        signature_name="pair",
        inputs={"a": [[1, 2]]},
    ),
    "half": failed(
        501,
        "Conversion of JSON Value: 1 to type: half",
        signature_name="half",
        inputs=[1],
    ),
    "half in rows": failed(
        400,
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
        "Conversion of JSON Value: 1 to type: half",
        signature_name="half",
        instances=[1],
    ),
    "answer in half": failed(
        400,
        "Failed to write JSON value for tensor type: half",
        signature_name="to_half",
        instances=[1],
    ),
    "answer without rows": failed(
        400,
        "Tensor name: y has no shape information ",
        signature_name="total",
        instances=[1],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_predict_error(server, case):
    body, status, text = ERRORS[case]
    answer = predict(server, body)
    assert (answer.status, answer.error) == (status, text)
    assert answer.headers["Content-Type"] == "application/json"


def test_uneven_outputs_are_no_rows(server):
    request = {"signature_name": "uneven", "instances": [1, 2]}
    answer = predict(server, request)
    assert answer.status == 400
    assert answer.error in [  # a map has no order
        "Tensor name: z has inconsistent batch size: 1 expecting: 2",
        "Tensor name: y has inconsistent batch size: 2 expecting: 1",
    ]


def test_the_graph_has_its_say(server):
    answer = predict(server, {"instances": [[1, 2]]}, "toolbox")
    assert answer.status == 400
    assert answer.error.startswith("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,")


PATH_ERRORS = {
    "unknown model": (
        "POST",
        "/v1/models/foo:predict",
        404,
        "Servable not found for request: Latest(foo)",
    ),
    "unknown version": (
        "POST",
        "/v1/models/rest/versions/7:predict",
        404,
        "Servable not found for request: Specific(rest, 7)",
    ),
    "unknown label": (
        "POST",
        "/v1/models/rest/labels/x:predict",
        400,
        "Unrecognized servable version label: x",
    ),
    "query": (
        "POST",
        "/v1/models/rest:predict?x=1",
        400,
        "Malformed request: POST /v1/models/rest:predict?x=1",
    ),
    "query of a status": (
        "GET",
        "/v1/models/rest?x=1",
        404,
        "Could not find any versions of model rest?x=1",
    ),
    "capital verb": (
        "POST",
        "/v1/models/rest:PREDICT",
        400,
        "Malformed request: POST /v1/models/rest:PREDICT",
    ),
    "unknown verb": (
        "POST",
        "/v1/models/rest:explain",
        400,
        "Malformed request: POST /v1/models/rest:explain",
    ),
    "version and label": (
        "POST",
        "/v1/models/rest/versions/2/labels/stable:predict",
        400,
        "Malformed request: POST /v1/models/rest/versions/2/labels/stable:predict",
    ),
    "get a prediction": (
        "GET",
        "/v1/models/rest:predict",
        400,
        "Malformed request: GET /v1/models/rest:predict",
    ),
    "put": ("PUT", "/v1/models/rest", 400, "Malformed request: PUT /v1/models/rest"),
    "delete": ("DELETE", "/v1/x", 400, "Malformed request: DELETE /v1/x"),
    "no name": ("GET", "/v1/models", 400, "Missing model name in request."),
    "no name, metadata": (
        "GET",
        "/v1/models/metadata/metadata/metadata",
        400,
        "Malformed request: GET /v1/models/metadata/metadata/metadata",
    ),
    "status of an unknown model": (
        "GET",
        "/v1/models/foo",
        404,
        "Could not find any versions of model foo",
    ),
    "status of an unknown version": (
        "GET",
        "/v1/models/rest/versions/7",
        404,
        "Could not find version 7 of model rest",
    ),
    "metadata of an unknown model": (
        "GET",
        "/v1/models/foo/metadata",
        404,
        "Servable not found for request: Latest(foo)",
    ),
}


@pytest.mark.parametrize("case", PATH_ERRORS)
def test_path_error(server, case):
    method, path, status, text = PATH_ERRORS[case]
    answer = ask(server, method, path, b'{"instances": [1]}')
    assert (answer.status, answer.error) == (status, text)


def test_a_version_beyond_all_versions(server):
    digits = "9" * 19
    answer = ask(server, "POST", f"/v1/models/rest/versions/{digits}:predict", b"{}")
    assert answer.status == 400
    text = f"Failed to convert version: {digits} to numeric."
    assert text in answer.body.decode() or not answer.body


EXAMPLE_ERRORS = {
    "no examples": (
        {},
        "JSON Value: {} When method is classify, key 'examples' is expected and was "
        "not found",
    ),
    "examples are no list": (
        {"examples": 1},
        "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an "
        "list/array",
    ),
    "empty list": (
        {"examples": []},
        "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array",
    ),
    "example is no object": (
        {"examples": [[]]},
        "Example must be JSON object but got JSON Array",
    ),
    "null": (
        {"examples": [{"x": None}]},
        "Feature: x has element with unexpected JSON type: Null",
    ),
    "list in a list": (
        {"examples": [{"x": [[1.0]]}]},
        "Feature: x has element with unexpected JSON type: Array",
    ),
    "object": (
        {"examples": [{"x": {"b65": ""}}]},
        "Feature: x has element with unexpected JSON type: Object",
    ),
    "mixed": (
        {"examples": [{"x": [1.0, 2]}]},
        "Unexpected element type in feature: x expecting type: float",
    ),
    "mixed with text": (
        {"examples": [{"x": [True, "a"]}]},
        "Unexpected element type in feature: x expecting type: int64",
    ),
    "large integer": (
        {"examples": [{"x": 2**63}]},
        "Feature: x has uint64 element. Only int64 is supported.",
    ),
}


@pytest.mark.parametrize("case", EXAMPLE_ERRORS)
@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_examples_error(server, verb, case):
    document, text = EXAMPLE_ERRORS[case]
    answer = ask(server, "POST", f"/v1/models/heads:{verb}", json.dumps(document))
    assert (answer.status, answer.error) == (400, text)


def test_an_example_of_another_type_is_told_by_the_graph(server):
    body = json.dumps({"examples": [{"x": [1, 2]}]})
    answer = ask(server, "POST", "/v1/models/heads:classify", body)
    assert answer.status == 400
    assert "x" in answer.error


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


def test_deep_nesting_is_refused(server):
    body = b'{"signature_name": "echo", "inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    assert predict(server, body).status in (400, 500)
    assert predict(server, {"instances": [1]}).status == 200


def test_nan_is_no_integer(server):
    body = b'{"signature_name": "pair", "inputs": {"a": [[1, 2]], "b": [NaN]}}'
    answer = predict(server, body)
    text = "JSON Value: NaN Type: Number is not of expected type: int32"
    assert (answer.status, answer.error) == (400, text)
