"""JSON as TF Serving reads and writes it, without a server."""

import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_attn.serving.server.rest.decimals import round_to_digits, spell
from keras_attn.serving.server.rest.json_reader import _Reader, read_json
from keras_attn.serving.server.rest.json_tensors import to_array
from keras_attn.serving.server.rest.json_writer import write_columns, write_rows
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.wire.tensors import data_type_of

FLOAT, INT32, STRING = 1, 3, 7

UNHURRIED = settings(deadline=None)  # a busy machine is no error

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
TEXTS = st.text(st.characters(codec="utf-8"))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda values: st.lists(values) | st.dictionaries(TEXTS, values),
    max_leaves=50,
)
SPACES = st.sampled_from([b"", b" ", b"\n", b"\r\n\t "])


def same(one, other):
    """Equal in value and in type: 1, 1.0 and true are three things."""
    return json.dumps(one) == json.dumps(other)


@given(DOCUMENTS, SPACES, st.booleans())
@UNHURRIED
def test_reads_step_by_step_what_is_read_at_once(document, space, indented):
    text = space + orjson.dumps(document) + space
    if indented:
        text = space + json.dumps(document, indent=3).encode() + b" junk"
    assert same(_Reader(text).read(), document)
    assert same(read_json(text), document)


@given(
    st.recursive(
        st.integers(0, 9) | st.sampled_from(["a]", "],[", 'b"', "\\"]),
        lambda values: st.lists(values, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from([",", ", ", " ,\n"]),
)
@settings(UNHURRIED, max_examples=30)
def test_reads_windows_of_long_arrays(element, comma):
    document = {"inputs": [element] * 800, "more": [[element, 1.5]] * 300}
    document["instances"] = [{"x": element, "y": {"b64": "x"}, "z": 1}] * 500
    text = json.dumps(document, separators=(comma, ":")).encode()
    assert same(_Reader(text).read(), document)


def test_reads_nan_among_many_numbers():
    row = [1.0, float("nan"), -float("inf"), 2.5]
    text = json.dumps({"instances": [row] * 5000}).encode()
    rows = np.array(read_json(text)["instances"])
    np.testing.assert_array_equal(rows, np.array([row] * 5000))


def test_the_first_of_equal_keys_counts_where_orjson_is_not_asked():
    assert read_json(b'{"a": 1, "a": NaN}') == {"a": 1}


@given(st.binary(max_size=40) | st.text('[]{}":,0123.-+eNaInfty \\u"tru', max_size=30))
@example(b"\xef\xbb\xbf")
@example("[" * 5000)
@UNHURRIED
def test_reading_never_fails_otherwise(text):
    text = text if isinstance(text, bytes) else text.encode()
    try:
        read_json(text)
    except StatusError as error:
        assert error.message.startswith("JSON Parse error: ")


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        (b" ", "The document is empty.", 1),
        (b"]", "The document is empty.", 0),
        (b"x", "Invalid value.", 0),
        (b"[1,", "Invalid value.", 3),
        (b"[1,]", "Invalid value.", 3),
        (b"[tru]", "Invalid value.", 4),
        (b"-", "Invalid value.", 1),
        (b"{a:1}", "Missing a name for object member.", 1),
        (b'{"a":1,}', "Missing a name for object member.", 7),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a":1 "b"}', "Missing a comma or } after an object member.", 7),
        (b"[1 2]", "Missing a comma or ] after an array element.", 3),
        (b"[01]", "Missing a comma or ] after an array element.", 2),
        (b'"\\ud800"', "The surrogate pair in string is invalid.", 1),
        (b'"\\udc00"', "The surrogate pair in string is invalid.", 1),
        (b'"\\x"', "Invalid escape character in string.", 1),
        (b'"\\u12"', "Incorrect hex digit after \\u escape in string.", 1),
        (b'"a', "Missing a closing quotation mark in string.", 2),
        (b'"a\x01"', "Invalid encoding in string.", 2),
        (b"[1e400]", "Number too big to be stored in double.", 1),
        (b"1.", "Miss fraction part in number.", 2),
        (b"1e+", "Miss exponent in number.", 3),
    ],
)
def test_an_error_says_where_and_what(text, problem, offset):
    with pytest.raises(StatusError) as caught:
        read_json(text)
    message = f"JSON Parse error: {problem} at offset: {offset}"
    assert caught.value.message == message


def test_numbers_beyond_64_bits_are_floats():
    assert isinstance(read_json(b"18446744073709551616"), float)
    assert isinstance(_Reader(b"18446744073709551616").read(), float)
    assert read_json(b"-9223372036854775808") == -(2**63)


def test_nesting_may_be_deep():
    value = read_json(b"[" * 100_000 + b"]" * 100_000)
    depth = 1
    while value:
        (value,) = value
        depth += 1
    assert depth == 100_000


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_side=5), elements=FINITE))
@UNHURRIED
def test_float32_digits_bring_back_the_number(values):
    texts = spell(values)
    np.testing.assert_array_equal(np.array(texts).astype(np.float32), values.ravel())
    for text, value in zip(texts, values.ravel().tolist(), strict=True):
        six = f"{value:.6g}"
        enough = np.float32(six) == np.float32(value)
        assert float(text) == float(six if enough else f"{value:.9g}")
        assert "." in text or "e" in text


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=FINITE))
@example(np.float32([0.0, -0.0, 1e-45, 3.4e38, 9.9999999e8, 0.5, 16777217]))
@UNHURRIED
def test_rounded_at_array_speed_are_the_digits_spelled(values):
    expected = np.array([float(text) for text in spell(values)])
    np.testing.assert_array_equal(round_to_digits(values), expected)


def test_rounded_at_array_speed_over_all_floats():
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint64)
    values = bits.astype(np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    expected = np.array([float(text) for text in spell(values)])
    np.testing.assert_array_equal(round_to_digits(values), expected)


DTYPES = st.sampled_from("? f4 f8 i1 i2 i4 i8 u1 u4 u8".split())


@given(st.data(), DTYPES, st.integers(1, 3), st.sampled_from([1, 600]))
@UNHURRIED
def test_what_is_written_is_read_back(data, dtype, width, repeats):
    rows = st.integers(1, 3)
    shape = data.draw(st.tuples(rows, st.just(width)))
    array = np.repeat(data.draw(hnp.arrays(dtype, shape)), repeats, axis=0)
    number = data_type_of(array).number
    columns = read_json(write_columns({"y": array}))["outputs"]
    np.testing.assert_array_equal(to_array(columns, number), array)
    predictions = read_json(write_rows({"y": array}))["predictions"]
    np.testing.assert_array_equal(to_array(predictions, number), array)
    named = read_json(write_rows({"y": array, "z": array[:, 0]}))["predictions"]
    np.testing.assert_array_equal(to_array([r["y"] for r in named], number), array)
    np.testing.assert_array_equal(
        to_array([r["z"] for r in named], number), array[:, 0]
    )


@given(st.lists(st.binary(max_size=8), min_size=1))
@UNHURRIED
def test_strings_are_read_back(strings):
    array = np.array(strings, object)
    for alias in ("y", "y_bytes"):
        values = read_json(write_columns({alias: array}))["outputs"]
        assert to_array(values, STRING).tolist() == strings


@pytest.mark.parametrize(
    ("shape", "known"), [((0,), (0,)), ((0, 3), (0,)), ((3, 0, 2), (3, 0))]
)
def test_nothing_keeps_its_shape_up_to_the_axis_without_elements(shape, known):
    answer = read_json(write_columns({"y": np.zeros(shape, "float32")}))["outputs"]
    assert np.array(answer).shape == known
    rows = read_json(write_rows({"y": np.zeros(shape, "float32")}))["predictions"]
    assert len(rows) == shape[0]


def test_layout_of_nested_columns():
    outputs = {"b": np.array([[1, 2]]), "a_bytes": np.array([b"x"], object)}
    assert write_columns(outputs).decode() == (
        '{\n    "outputs": {\n        "a_bytes": [\n            {\n'
        '                "b64": "eA=="\n            }\n        ],\n'
        '        "b": [\n            [\n                1,\n                2\n'
        "            ]\n        ]\n    }\n}"
    )


def test_a_large_answer_may_hold_scalars_and_nothing():
    outputs = {
        "a": np.zeros(1000, "int64"),
        "b": np.zeros((0, 2), "float32"),
        "c": np.float32(0.1).reshape(()),
        "d": np.zeros(5, bool),
    }
    answer = read_json(write_columns(outputs))["outputs"]
    assert answer["b"] == []
    assert (answer["c"], answer["d"]) == (0.1, [False] * 5)


@pytest.mark.parametrize("size", [3, 3000])
def test_numbers_that_are_none_have_names_in_any_answer(size):
    array = np.array([math.nan, math.inf, -math.inf] * (size // 3), "float32")
    text = write_rows({"y": array}).decode()
    assert text.startswith('{\n    "predictions": [NaN, Infinity, -Infinity')
    assert "null" not in text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ([1, [2]], FLOAT),
        ([[1], 2], FLOAT),
        ([[1, 2], [3]], FLOAT),
        ([True], FLOAT),
        (["1"], FLOAT),
        ([1.0], INT32),
        ([2**31], INT32),
        ([1], STRING),
        ([{"b64": "?"}], STRING),
        ([1], 19),
    ],
)
def test_what_is_no_tensor_of_a_type(value, number):
    assert to_array(value, number) is None
