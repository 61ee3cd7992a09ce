"""Predict requests with values that the tensors of a signature cannot hold."""

import pytest

from tests.serving.rest_calls import predict
from tests.serving.rest_contract.refusals import NAMED, ROW, assert_refused, failed

ERRORS = {
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
}


@pytest.mark.parametrize("case", ERRORS)
def test_value_is_refused(server, case):
    assert_refused(server, ERRORS[case])


def test_nan_is_no_integer(server):
    body = b'{"signature_name": "pair", "inputs": {"a": [[1, 2]], "b": [NaN]}}'
    answer = predict(server, body)
    text = "JSON Value: NaN Type: Number is not of expected type: int32"
    assert (answer.status, answer.error) == (400, text)
