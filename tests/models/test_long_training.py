"""A training step over 16384 tokens, whose scores would take 2 GiB at a time."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import keras, numpy as np
import keras_attn

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def step(tokens, implementation):
    inputs = keras.Input((tokens, 32), batch_size=1)
    block = keras_attn.TransformerBlock(
        2, 64, positions=keras_attn.RotaryEmbedding(), implementation=implementation
    )
    model = keras.Model(inputs, block(inputs, use_causal_mask=True))
    compiled = keras.backend.backend() != "torch"
    model.compile("adam", "mse", jit_compile=compiled)
    assert model.jit_compile == compiled
    data = np.random.default_rng(0).normal(size=(1, tokens, 32)).astype("float32")
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    (loss,) = model.fit(data, data, verbose=0).history["loss"]
    moved = [np.abs(w - keras.ops.convert_to_numpy(v)).max()
             for w, v in zip(before, model.trainable_weights, strict=True)]
    assert np.isfinite(loss) and min(moved) > 0, (loss, moved)

step(256, "chunked")  # what the framework itself takes
start = peak()
step(16384, "auto")
print(peak() - start)
"""


@pytest.mark.slow
def test_it_takes_less_than_the_scores_of_one_head():
    """Most of what it takes are the compilers, whatever the length."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1024
