"""Requests that are refused, and how that is checked."""

import json

from tests.serving.rest_calls import predict

ROW = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "
NAMED = "Failed to process element: {} key: {} of 'instances' list. "
NAMED += "Error: INVALID_ARGUMENT: "


def failed(status, text, **document):
    return json.dumps(document).encode(), status, text


def assert_refused(server, refusal):
    body, status, text = refusal
    answer = predict(server, body)
    assert (answer.status, answer.error) == (status, text)
    assert answer.headers["Content-Type"] == "application/json"
