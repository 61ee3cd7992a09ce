"""Predict requests whose document is none, or not a request."""

import pytest

from tests.serving.rest_calls import predict
from tests.serving.rest_contract.refusals import assert_refused, failed

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
}


@pytest.mark.parametrize("case", ERRORS)
def test_document_is_refused(server, case):
    assert_refused(server, ERRORS[case])


def test_deep_nesting_is_refused(server):
    body = b'{"signature_name": "echo", "inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    assert predict(server, body).status in (400, 500)
    assert predict(server, {"instances": [1]}).status == 200
