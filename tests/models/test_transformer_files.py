"""Saved Transformers, loaded by a fresh process that knows none of them."""

import subprocess
import sys

import numpy as np
from keras import ops

from keras_attn import Transformer, TransformerDecoder, TransformerEncoder
from tests.models.transformers import (
    CHOICES,
    SIZES,
    name_of,
    ragged,
    with_random_weights,
)

PROGRAM = """
import pathlib, sys
import keras_attn
import keras, numpy as np

folder = pathlib.Path(sys.argv[1])
inputs = dict(np.load(folder / "inputs.npz"))
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    given = inputs if len(model.inputs) == 2 else inputs["source"]
    answer = keras.ops.convert_to_numpy(model(given))
    np.testing.assert_allclose(answer, np.load(path.with_suffix(".npy")), atol=1e-5)
    print(path.stem, type(model).__name__, model.name, sep="/")
"""


def models():
    for choice in CHOICES:
        options = {**SIZES, **choice, "name": "reader", "dropout": 0.1}
        yield f"both-{name_of(choice)}", Transformer(9, 9, **options)
    yield "encoder", TransformerEncoder(9, **options)
    yield "decoder", TransformerDecoder(9, **options)


def test_a_fresh_process_loads_the_files(rng, tmp_path):
    source = ragged(rng, [5, 1, 3], 5, largest=8)
    inputs = {"source": source, "target": source[:, :4]}
    np.savez(tmp_path / "inputs.npz", **inputs)
    expected = set()
    for name, model in models():
        with_random_weights(model).save(tmp_path / f"{name}.keras")
        answer = model(inputs if name.startswith("both") else source)
        np.save(tmp_path / f"{name}.npy", ops.convert_to_numpy(answer))
        expected.add(f"{name}/{type(model).__name__}/reader")
    command = [sys.executable, "-W", "error::UserWarning", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == expected
