"""Numbers, truths and texts in JSON, there and back."""

import base64

import numpy as np
import pytest

from tests.serving.rest_calls import predict
from tests.serving.rest_model import INTEGERS


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
