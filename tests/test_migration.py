import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import (
    AlibiBias,
    MultiHeadAttention,
    MultiHeadSelfAttention,
    TransformerBlock,
)
from keras_attn.migration import load_weights_from
from tests.comparison import assert_same

QUERY, VALUE, KEY = (2, 5, 6), (2, 7, 4), (2, 7, 3)


@pytest.fixture
def hub():
    return pytest.importorskip("keras_hub")


def randomise(layer, rng):
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))


def theirs(rng, cross=False, **options):
    """A Keras layer with numbers everywhere, biases too."""
    layer = keras.layers.MultiHeadAttention(**{"num_heads": 4, "key_dim": 3, **options})
    layer.build(QUERY, VALUE, KEY) if cross else layer.build(QUERY, QUERY)
    randomise(layer, rng)
    return layer


def grouped(rng, cross=False, **options):
    layer = keras.layers.GroupQueryAttention(3, 4, 2, **options)
    layer.build(QUERY, VALUE, KEY) if cross else layer.build(QUERY, QUERY)
    randomise(layer, rng)
    return layer


def draw(rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize(
    ("their_options", "our_options"),
    [
        ({}, {}),
        ({"value_dim": 5}, {"value_dim": 5}),
        ({"output_shape": 3}, {"output_dim": 3}),
        ({"use_bias": False}, {"use_bias": False}),
        ({"sliding_window": 3}, {"window": 2}),
        ({"dropout": 0.5}, {}),
    ],
)
def test_self_attention(their_options, our_options, is_built, rng):
    source = theirs(rng, **their_options)
    layer = MultiHeadSelfAttention(4, 3, **our_options)
    if is_built:
        layer.build(QUERY)
    load_weights_from(layer, source)
    inputs = draw(rng, *QUERY)
    mask = ops.convert_to_tensor(rng.random((2, 5, 5)) < 0.7)
    mask = ops.logical_or(mask, ops.eye(5, dtype="bool"))
    for causal in (False, True):
        found = layer(inputs, attention_mask=mask, use_causal_mask=causal)
        # With the scores, without which its values must be as wide as keys on JAX.
        expected, _ = source(
            inputs,
            inputs,
            attention_mask=mask,
            use_causal_mask=causal,
            return_attention_scores=True,
        )
        assert_same(found, expected)


@pytest.mark.parametrize("make", [theirs, grouped])
def test_cross_attention(make, rng):
    source = make(rng, cross=True)
    groups = 2 if make is grouped else None
    layer = MultiHeadAttention(4, 3, num_key_value_heads=groups)
    load_weights_from(layer, source)
    query, value, key = (draw(rng, *shape) for shape in (QUERY, VALUE, KEY))
    found = layer(query, value, key, return_attention_scores=True)
    expected = source(query, value, key, return_attention_scores=True)
    assert_same(found, expected)


def test_grouped_self_attention(rng):
    source = grouped(rng)
    layer = MultiHeadSelfAttention(4, 3, num_key_value_heads=2)
    load_weights_from(layer, source)
    inputs = draw(rng, *QUERY)
    found = layer(inputs, use_causal_mask=True)
    assert_same(found, source(inputs, inputs, use_causal_mask=True))


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_hub_encoder(hub, normalize_first, activation, rng):
    options = {"activation": activation, "normalize_first": normalize_first}
    source = hub.layers.TransformerEncoder(7, 2, layer_norm_epsilon=1e-3, **options)
    source.build(QUERY)
    randomise(source, rng)
    layer = TransformerBlock(2, 7, epsilon=1e-3, **options)
    load_weights_from(layer, source)
    inputs = draw(rng, *QUERY)
    found = layer(inputs, return_attention_scores=True)
    assert_same(found, source(inputs, return_attention_scores=True))
    kept = np.arange(5) < np.array([[5], [3]])
    expected = ops.convert_to_numpy(
        source(inputs, padding_mask=ops.convert_to_tensor(kept))
    )
    found = layer(inputs, mask=ops.convert_to_tensor(kept))
    assert_same(found, np.where(kept[..., None], expected, 0.0))


def test_a_hub_encoder_of_narrow_heads(hub, rng):
    """It gives 2 heads of a width of 7 three coordinates each; here one says so."""
    source = hub.layers.TransformerEncoder(4, 2)
    source.build((2, 5, 7))
    randomise(source, rng)
    layer = TransformerBlock(2, 4, key_dim=3, normalize_first=False)
    load_weights_from(layer, source)
    inputs = draw(rng, 2, 5, 7)
    assert_same(layer(inputs), source(inputs))


@pytest.mark.parametrize(
    ("their_options", "our_options", "message"),
    [
        ({"use_gate": True}, {}, r"`use_gate` of `source` has no counterpart"),
        ({"output_shape": (2, 3)}, {}, r"`output_shape`.*one width.*\(2, 3\)"),
        ({}, {"num_heads": 2}, r"num_heads=4.*Received: num_heads=2"),
        ({}, {"key_dim": 2}, r"key_dim=3.*Received: key_dim=2"),
        ({}, {"num_key_value_heads": 2}, r"num_key_value_heads=4.*=2"),
        ({"value_dim": 5}, {}, r"value_dim=5.*Received: value_dim=3"),
        ({"sliding_window": 3}, {"window": 3}, r"window=2.*Received: window=3"),
        ({"use_bias": False}, {}, r"use_bias=False.*Received: use_bias=True"),
        ({}, {"positions": AlibiBias()}, r"positions=None.*AlibiBias"),
        ({}, {"query_key_norm": True}, r"query_key_norm=False.*=True"),
        ({"output_shape": 5}, {}, r"output projection.*\(12, 5\).*\(12, 6\)"),
    ],
)
def test_what_does_not_fit_is_named(their_options, our_options, message, rng):
    layer = MultiHeadSelfAttention(**{"num_heads": 4, "key_dim": 3, **our_options})
    with pytest.raises(ValueError, match=message):
        load_weights_from(layer, theirs(rng, **their_options))


def test_a_layer_of_another_width(rng):
    layer = MultiHeadSelfAttention(4, 3, output_dim=6)
    layer.build((2, 5, 8))
    with pytest.raises(ValueError, match=r"fused projection.*\(6, 36\).*\(8, 36\)"):
        load_weights_from(layer, theirs(rng))


def test_three_widths_are_not_one_sequence(rng):
    with pytest.raises(ValueError, match=r"one input.*\[6, 3, 4\]"):
        load_weights_from(MultiHeadSelfAttention(4, 3), theirs(rng, cross=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gated": True}, "gated=False"),
        ({"normalize_first": True}, "normalize_first=False"),
        ({"activation": "gelu"}, "activation='relu'.*'gelu'"),
        ({"epsilon": 1e-3}, "epsilon=1e-05.*0.001"),
        ({"intermediate_dim": 6}, "intermediate_dim=7.*6"),
        ({"num_key_value_heads": 1}, "num_key_value_heads=2.*1"),
    ],
)
def test_a_block_that_does_not_fit_is_named(hub, changes, message):
    source = hub.layers.TransformerEncoder(7, 2)
    source.build(QUERY)
    ours = {"num_heads": 2, "intermediate_dim": 7, "normalize_first": False, **changes}
    with pytest.raises(ValueError, match=message):
        load_weights_from(TransformerBlock(**ours), source)


def test_attention_over_a_grid_is_refused():
    source = keras.layers.MultiHeadAttention(4, 3, attention_axes=(1, 2))
    source.build((2, 5, 5, 6), (2, 5, 5, 6))
    with pytest.raises(ValueError, match=r"`attention_axes` .*\(1, 2\)"):
        load_weights_from(MultiHeadSelfAttention(4, 3), source)


def test_an_unbuilt_source():
    source = keras.layers.MultiHeadAttention(4, 3)
    with pytest.raises(ValueError, match="`source` must be built"):
        load_weights_from(MultiHeadSelfAttention(4, 3), source)


def test_other_layers():
    dense = keras.layers.Dense(3)
    with pytest.raises(TypeError, match=r"Received: keras.*Dense for .*SelfAttention"):
        load_weights_from(MultiHeadSelfAttention(4, 3), dense)
    with pytest.raises(TypeError, match=r"MultiHeadAttention for .*Block"):
        load_weights_from(TransformerBlock(4, 3), keras.layers.MultiHeadAttention(4, 3))
