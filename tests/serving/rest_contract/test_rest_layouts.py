"""Rows, columns and named tensors of a Predict request, and their answers."""

import gzip

from tests.serving.rest_calls import predict


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
