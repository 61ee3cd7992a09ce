"""Paths that lead to no answer."""

import pytest

from tests.serving.rest_calls import ask

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
