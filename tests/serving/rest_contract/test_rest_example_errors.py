"""Classify and Regress requests with examples that are none."""

import json

import pytest

from tests.serving.rest_calls import ask

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
