"""Every argument that cannot be served is refused by name, and nothing is written."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_attn.serving.export import export

SPECS = {"x": tf.TensorSpec((None, 2), tf.float32)}


def same(inputs):
    return {"y": inputs["x"]}


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), layers.Dense(1)])


def refused(model, folder, message, **arguments):
    with pytest.raises(ValueError, match=message):
        export(model, folder / "m", **arguments)
    assert list(folder.iterdir()) == []


def test_not_a_model(tmp_path):
    refused(layers.Dense(2), tmp_path, "must be a keras.Model. Received: Dense")


def test_never_built(tmp_path):
    refused(keras.Sequential([layers.Dense(2)]), tmp_path, "`model` must be built")


def test_sparse_input(tmp_path):
    sparse = keras.Input((4,), sparse=True, name="bag")
    model = keras.Model(sparse, layers.Dense(2)(sparse))
    refused(model, tmp_path, "Input 'bag' of `model` must be dense")


def test_path_is_or_runs_through_a_file(tmp_path, model):
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file", tmp_path / "file" / "m"):
        with pytest.raises(ValueError, match=r"`path` must be a folder.*is a file"):
            export(model, path)
    assert (tmp_path / "file").read_text() == "kept"


def test_path_is_a_version_or_an_address(model):
    with pytest.raises(ValueError, match="ends in a version"):
        export(model, "m/3")
    with pytest.raises(ValueError, match="must be a local folder"):
        export(model, "gs://bucket/m")


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ({}, "`signatures` must be a non-empty dict"),
        ([same], "`signatures` must be a non-empty dict"),
        ({"score": (same, SPECS)}, r"must have 'serving_default'.*\['score'\]"),
        ({"a b": (same, SPECS)}, "A signature's name must be .* 'a b'"),
        ({"variables": (same, SPECS)}, "A signature's name must be .* 'variables'"),
        ({"serving_default": same}, r"must be a pair `\(function, inputs\)`"),
        ({"serving_default": ("same", SPECS)}, r"must be a pair"),
        ({"serving_default": (same, {})}, "inputs of signature .* must be a non-empty"),
        ({"serving_default": (same, {"x": (None, 2)})}, "must be a tf.TensorSpec"),
    ],
)
def test_signatures(tmp_path, model, signatures, message):
    refused(model, tmp_path, message, signatures=signatures)


@pytest.mark.parametrize("name", ["a b", "_x", "class", "self", "", 3])
def test_names_of_tensors(tmp_path, model, name):
    spec = tf.TensorSpec((None, 2))
    inputs = {"serving_default": (lambda x: {"y": x[name]}, {name: spec})}
    refused(model, tmp_path, "name of an input of .* must", signatures=inputs)
    outputs = {"serving_default": (lambda x: {name: x["x"]}, SPECS)}
    refused(model, tmp_path, "name of an output of .* must", signatures=outputs)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (tf.TensorSpec((None, 2), tf.float16), "one of bool, .*dtype=float16"),
        (tf.TensorSpec((None, 2), tf.complex64), "one of bool, .*dtype=complex64"),
        (tf.TensorSpec((), tf.float32), r"batch as its first .*shape=\(\)"),
        (tf.TensorSpec((4, 2), tf.float32), r"batch as its first .*shape=\(4, 2\)"),
        (tf.TensorSpec(None, tf.float32), r"batch as its first .*shape=<unknown>"),
    ],
)
def test_specs(tmp_path, model, spec, message):
    signatures = {"serving_default": (same, {"x": spec})}
    refused(model, tmp_path, f"Input 'x' .* must .*{message}", signatures=signatures)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x["x"], "must return a dict of tensors"),
        (lambda x: {}, "must return a dict of tensors"),
        (lambda x: {"y": tf.reduce_sum(x["x"])}, r"batch as its first .*shape=\(\)"),
        (lambda x: {"y": tf.zeros((1, 3))}, r"batch as its first .*shape=\(1, 3\)"),
        (lambda x: {"y": tf.cast(x["x"], tf.complex64)}, "one of .*dtype=complex64"),
    ],
)
def test_outputs(tmp_path, model, function, message):
    signatures = {"serving_default": (function, SPECS)}
    refused(model, tmp_path, message, signatures=signatures)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"score": {"inputs": [[1, 2]]}}, "`examples` must be .*serving_default"),
        (
            {"serving_default": {"x": [[1, 2]]}},
            r"with the inputs \['inputs'\].*\['x'\]",
        ),
        ({"serving_default": [[1, 2]]}, "must be a dict with the inputs"),
        ({"serving_default": {"inputs": [[1, 2, 3]]}}, r"shape=\(1, 3\)"),
        ({"serving_default": {"inputs": np.zeros((0, 2))}}, r"at least one row"),
        ({"serving_default": {"inputs": [["a", "b"]]}}, "must hold float32 rows"),
        ({"serving_default": {"inputs": [[1], [2, 3]]}}, "must hold float32 rows"),
    ],
)
def test_examples(tmp_path, model, examples, message):
    refused(model, tmp_path, message, examples=examples)


def test_examples_of_unequal_length(tmp_path, model):
    specs = {**SPECS, "z": tf.TensorSpec((None,))}
    refused(
        model,
        tmp_path,
        r"equally many rows for every input. Received: {'x': 2, 'z': 1}",
        signatures={"serving_default": (same, specs)},
        examples={"serving_default": {"x": [[1, 2], [3, 4]], "z": [1]}},
    )


@pytest.mark.parametrize("sizes", [(), (0, 1), (2, 1), (1, 1), (1.5,)])
def test_batch_sizes(tmp_path, model, sizes):
    refused(model, tmp_path, "increasing positive ints", allowed_batch_sizes=sizes)


def test_too_many_warmup_requests(tmp_path, model):
    sizes = range(1, 1002)
    refused(model, tmp_path, "at most 1000 warm-up", allowed_batch_sizes=sizes)


@pytest.mark.parametrize("card", ["text", {1: "a"}, {"model": object()}])
def test_card(tmp_path, model, card):
    refused(model, tmp_path, "`card` must", card=card)


def test_other_backends_are_told_what_to_do():
    pytest.importorskip("jax")
    script = """
import keras
from keras_attn.serving.export import export
try:
    export(keras.Sequential([keras.Input((2,))]), "m")
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Received: backend=jax" in done.stdout
    assert "KERAS_BACKEND=tensorflow" in done.stdout
