"""16-bit floats: scores that overflow them, long rows, and whole trainings."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import (
    MultiHeadSelfAttention,
    Transformer,
    TransformerBlock,
    TransformerEncoder,
)
from tests.gradients import BACKEND, gradients, weighted_sum

# Relative distance of neighbouring numbers.
EPSILON = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}
POLICIES = list(EPSILON)
IMPLEMENTATIONS = ["plain", "chunked", "window"]


def twins(policy, make):
    """A layer of the policy and one of float32, built with the same weights."""
    layers = make(policy), make("float32")
    for layer in layers:
        layer.build((None, None, 16))
    layers[0].set_weights(layers[1].get_weights())
    return layers


def to_float32(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_attention_is_that_of_float32(rng, implementation, policy):
    def make(dtype):
        window = 5 if implementation == "window" else None
        return MultiHeadSelfAttention(
            2, 8, window=window, implementation=implementation, dtype=dtype
        )

    layer, exact = twins(policy, make)
    x = rng.normal(size=(2, 20, 16)).astype("float32")
    mask = ops.convert_to_tensor(np.arange(20) < np.array([[20], [13]]))
    found, expected = (to_float32(each(x, mask=mask)) for each in (layer, exact))
    bound = 8 * EPSILON[policy] * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=bound, rtol=0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_scores_beyond_the_largest_float16_stay_finite(rng, implementation, policy):
    """In values and gradients, masked rows and all; the largest float16 is 65504."""
    window = 5 if implementation == "window" else None
    layer = MultiHeadSelfAttention(
        2, 8, window=window, implementation=implementation, dtype=policy
    )
    layer.build((None, None, 16))
    x = 300 * rng.normal(size=(2, 20, 16)).astype("float32")
    mask = ops.convert_to_tensor(np.arange(20) < np.array([[20], [0]]))
    projected = to_float32(layer.projection(ops.convert_to_tensor(x)))
    query, key = (projected[0, :, start : start + 8] for start in (0, 16))
    assert np.abs(query @ key.T).max() > 2 * 65504

    def loss(x):
        return weighted_sum(layer(x, mask=mask)) * 1e-3

    output = to_float32(layer(x, mask=mask))
    assert np.isfinite(output).all() and np.abs(output[0]).max() > 1
    np.testing.assert_array_equal(output[1], 0.0)
    for gradient in gradients(loss, [x], layer.trainable_variables):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("implementation", ["plain", "chunked"])
def test_a_bias_beyond_the_largest_float16_hides(rng, implementation, policy):
    layer = MultiHeadSelfAttention(2, 8, implementation=implementation, dtype=policy)
    x = rng.normal(size=(1, 20, 16)).astype("float32")
    hides = np.arange(20) >= 13
    bias = np.where(hides, -1e9, 0.0).astype("float32")[None, None]
    mask = ops.convert_to_tensor(~hides[None, None])
    found = to_float32(layer(x, bias=ops.convert_to_tensor(bias)))
    expected = to_float32(layer(x, attention_mask=mask))
    np.testing.assert_allclose(found, expected, atol=4 * EPSILON[policy])


@pytest.mark.parametrize("policy", POLICIES)
def test_the_weights_of_a_long_row_add_up_to_one(policy):
    """A sum of thousands of terms in 16 bits would stop growing."""
    layer = MultiHeadSelfAttention(1, 4, dtype=policy)
    x = np.zeros((1, 4096, 4), "float32")
    _, weights = layer(x[:, :4096], return_attention_scores=True)
    sums = to_float32(weights[0, 0, :8]).astype("float64").sum(axis=-1)
    np.testing.assert_allclose(sums, 1.0, atol=2 * EPSILON[policy])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("normalization", ["layer", "rms"])
def test_a_large_residual_stream_stays_finite(rng, normalization, policy):
    """The squares in a norm are beyond float16 from 256 on."""

    def make(dtype):
        return TransformerBlock(2, 32, normalization=normalization, dtype=dtype)

    block, exact = twins(policy, make)
    x = (2000 * rng.normal(size=(2, 6, 16))).astype("float32")
    found, expected = to_float32(block(x)), to_float32(exact(x))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=8000 * EPSILON[policy])


def classifier(policy):
    encoder = TransformerEncoder(
        9, 2, 16, 2, 32, positions="rotary", dtype=policy, name="encoder"
    )
    pooled = keras.layers.GlobalAveragePooling1D(dtype=policy)(encoder.output)
    head = keras.layers.Dense(9, dtype="float32")
    return keras.Model(encoder.input, head(pooled))


def translator(policy):
    return Transformer(9, 9, 2, 16, 2, 32, dtype=policy)


def losses(make, policy, tokens, labels):
    keras.utils.set_random_seed(0)
    model = make(policy)
    inputs = tokens
    if make is translator:
        inputs = {"source": tokens, "target": tokens}
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=BACKEND != "torch",
    )
    history = model.fit(
        inputs, labels, batch_size=32, epochs=8, shuffle=False, verbose=0
    )
    return np.array(history.history["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("make", [classifier, translator])
def test_a_training_goes_as_in_float32(rng, make):
    tokens = rng.integers(1, 9, size=(128, 6)).astype("int32")
    tokens[::3, 4:] = 0
    labels = tokens[:, 0] if make is classifier else np.roll(tokens, 1, axis=1)
    expected = losses(make, "float32", tokens, labels)
    assert expected[-1] < 0.9 * expected[0]
    for policy in POLICIES:
        found = losses(make, policy, tokens, labels)
        np.testing.assert_allclose(found, expected, rtol=0.03, err_msg=policy)
