"""Low-rank updates: they alone learn, and a saved model has them merged."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import MultiHeadSelfAttention, Transformer, TransformerEncoder
from keras_attn.lora import FEED_FORWARD, enable_lora
from tests.comparison import assert_same
from tests.gradients import BACKEND
from tests.models.transformers import SIZES, ragged
from tests.quantized import quantize

ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def tokens(rng):
    return ragged(rng, [5, 2, 4, 3], 5, largest=8)


@pytest.fixture
def model():
    return Transformer(9, 9, **SIZES)


def answer(model, tokens):
    return ops.convert_to_numpy(model({"source": tokens, "target": tokens}))


def train(model, inputs, labels):
    model.compile(keras.optimizers.Adam(0.02), ENTROPY, jit_compile=BACKEND != "torch")
    history = model.fit(inputs, labels, batch_size=4, epochs=15, verbose=0)
    return history.history["loss"]


def values(weights):
    return {weight.path: ops.convert_to_numpy(weight) for weight in weights}


def test_the_updates_alone_learn(model, tokens):
    expected = answer(model, tokens)
    enable_lora(model, rank=2)
    assert_same(answer(model, tokens), expected)  # they begin as nothing
    paths = {
        f"{tower}_block_{index}/{projection}/lora_kernel_{side}"
        for index in (0, 1)
        for tower, projections in {
            "encoder": ["self_attention/projection", "self_attention/output"],
            "decoder": [
                "self_attention/projection",
                "self_attention/output",
                *(f"cross_attention/{n}" for n in ("query", "key", "value", "output")),
            ],
        }.items()
        for projection in projections
        for side in "ab"
    }
    assert {weight.path for weight in model.trainable_weights} == paths
    before = values(model.weights)
    losses = train(model, {"source": tokens, "target": tokens}, tokens)
    assert losses[-1] < 0.9 * losses[0]
    changed = {
        path
        for path, value in values(model.weights).items()
        if not np.array_equal(value, before[path])
    }
    assert changed == paths


def test_a_saved_model_has_them_merged(model, tokens, tmp_path):
    enable_lora(model, rank=2)
    expected = answer(model, tokens)
    train(model, {"source": tokens, "target": tokens}, tokens)
    found = answer(model, tokens)
    assert np.abs(found - expected).max() > 0.1
    model.save(tmp_path / "tuned.keras")
    loaded = keras.saving.load_model(tmp_path / "tuned.keras", compile=False)
    assert not any("lora" in weight.path for weight in loaded.weights)
    assert_same(answer(loaded, tokens), found)
    enable_lora(loaded, rank=1)  # and may be tuned again
    assert_same(answer(loaded, tokens), found)


def test_the_projections_are_chosen_by_name(model):
    chosen = enable_lora(model, 3, names=("query", *FEED_FORWARD), alpha=6.0)
    names = [projection.name for projection in chosen]
    assert sorted(set(names)) == ["narrow", "query", "widen"]
    assert len(names) == 2 + 4 + 4
    assert len(model.trainable_weights) == 2 * len(chosen)
    for projection in chosen:
        assert (projection.lora_rank, projection.lora_alpha) == (3, 6.0)


def test_a_head_on_a_frozen_encoder_learns_on(tokens):
    encoder = TransformerEncoder(9, **SIZES)
    pooled = keras.layers.GlobalAveragePooling1D()(encoder.output)
    model = keras.Model(encoder.input, keras.layers.Dense(9, name="head")(pooled))
    enable_lora(encoder, rank=2)
    learning = [weight.path for weight in model.trainable_weights]
    assert len(learning) == 2 * 2 * 2 + 2
    assert {"head/kernel", "head/bias"} <= set(learning)
    losses = train(model, tokens, tokens[:, 0])
    assert losses[-1] < losses[0]


def test_a_quantized_model_is_tuned_and_saved(tokens, tmp_path):
    model = TransformerEncoder(9, **SIZES)
    quantize(model, filters="projection|output|widen|narrow")
    kernels = values(w for w in model.weights if ops.dtype(w) == "int8")
    assert len(kernels) == 2 * 4
    enable_lora(model, rank=2)
    head = keras.layers.Dense(9)(model.output)
    train(keras.Model(model.input, head), tokens, tokens)
    for path, value in values(model.weights).items():
        if path in kernels:
            np.testing.assert_array_equal(value, kernels[path])
    tuned = ops.convert_to_numpy(model(tokens))
    model.save(tmp_path / "tuned.keras")
    loaded = keras.saving.load_model(tmp_path / "tuned.keras")
    error = np.abs(ops.convert_to_numpy(loaded(tokens)) - tuned).max()
    assert error < 0.05 * np.abs(tuned).max()  # the merged kernels are rounded anew


def test_refuses_what_cannot_be(model):
    with pytest.raises(ValueError, match=r"`rank` must be an int .*rank=0"):
        enable_lora(model, 0)
    with pytest.raises(ValueError, match=r"`names` must be among .*\['keys'\]"):
        enable_lora(model, 2, names=("query", "keys"))
    with pytest.raises(ValueError, match=r"`model` must have projections .*plain"):
        enable_lora(keras.Sequential([keras.layers.Dense(2)], name="plain"), 2)
    inputs = keras.Input((None, 8))
    constrained = MultiHeadSelfAttention(2, 4, kernel_constraint="max_norm")
    frozen = keras.Model(inputs, constrained(inputs))
    with pytest.raises(ValueError, match="constraint"):
        enable_lora(frozen, 2)
    assert frozen.trainable_weights
    enable_lora(model, 2)
    with pytest.raises(ValueError, match="no low-rank update yet"):
        enable_lora(model, 2)
