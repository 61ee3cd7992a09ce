"""Blocks of encoder and decoder, as sums of what their sublayers make."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import RotaryEmbedding, TransformerBlock, TransformerDecoderBlock
from tests.comparison import assert_same, to_numpy

DIM, BATCH, STEPS, SLOTS = 6, 2, 5, 4


def draw(rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


def build(block, rng, *shapes):
    block.build(*shapes)
    for weight in block.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return block


def numbers(weight):
    return ops.convert_to_numpy(weight).astype("float64")


def normalise(layer, x):
    if isinstance(layer, keras.layers.RMSNormalization):
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5)
        return x / scale * numbers(layer.scale)
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    return centred / scale * numbers(layer.gamma) + numbers(layer.beta)


def feed_forward(layer, x, activation, gated):
    hidden = x @ numbers(layer.widen.kernel) + numbers(layer.widen.bias)
    if gated:
        gate, hidden = np.split(hidden, 2, axis=-1)
        hidden = activation(gate) * hidden
    else:
        hidden = activation(hidden)
    return hidden @ numbers(layer.narrow.kernel) + numbers(layer.narrow.bias)


def relu(x):
    return np.maximum(x, 0)


def silu(x):
    return x / (1 + np.exp(-x))


def residual(block, norm, sublayer, x):
    if block.normalize_first:
        return x + sublayer(normalise(norm, x))
    return normalise(norm, x + sublayer(x))


def as_function(layer, **arguments):
    """An attention layer, which is tested by itself, on float64 arrays."""
    return lambda x, *memory: np.float64(
        ops.convert_to_numpy(
            layer(np.float32(x), *(np.float32(m) for m in memory), **arguments)
        )
    )


KINDS = [
    {},
    {"normalize_first": False},
    {"normalization": "rms"},
    {"gated": True, "activation": "silu"},
]


@pytest.mark.parametrize("options", KINDS)
def test_an_encoder_block_matches_numpy(options, rng):
    block = build(TransformerBlock(2, 7, **options), rng, (BATCH, STEPS, DIM))
    inputs = draw(rng, BATCH, STEPS, DIM)
    attend = as_function(block.self_attention)
    activation = silu if options.get("gated") else relu
    x = np.float64(ops.convert_to_numpy(inputs))
    x = residual(block, block.self_attention_norm, attend, x)
    x = residual(
        block,
        block.feed_forward_norm,
        lambda x: feed_forward(
            block.feed_forward, x, activation, options.get("gated", False)
        ),
        x,
    )
    assert_same(block(inputs), x)


@pytest.mark.parametrize("options", KINDS[:2])
def test_a_decoder_block_matches_numpy(options, rng):
    block = TransformerDecoderBlock(2, 7, **options)
    build(block, rng, (BATCH, STEPS, DIM), (BATCH, SLOTS, 3))
    inputs, memory = draw(rng, BATCH, STEPS, DIM), draw(rng, BATCH, SLOTS, 3)
    attend = as_function(block.self_attention, use_causal_mask=True)
    read = as_function(block.cross_attention)
    x = np.float64(ops.convert_to_numpy(inputs))
    x = residual(block, block.self_attention_norm, attend, x)
    x = residual(
        block, block.cross_attention_norm, lambda x: read(x, to_numpy(memory)[0]), x
    )
    x = residual(
        block,
        block.feed_forward_norm,
        lambda x: feed_forward(block.feed_forward, x, relu, False),
        x,
    )
    assert_same(block(inputs, memory), x)


def test_a_decoder_sees_nothing_that_comes_later(rng):
    block = build(TransformerDecoderBlock(2, 7), rng, (1, STEPS, DIM), (1, SLOTS, DIM))
    inputs, memory = draw(rng, 1, STEPS, DIM), draw(rng, 1, SLOTS, DIM)
    later = np.array(ops.convert_to_numpy(inputs))
    later[:, 3:] += 1
    before, after = (ops.convert_to_numpy(block(x, memory)) for x in (inputs, later))
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-2


def test_the_scores_are_those_of_the_sublayers(rng):
    block = build(TransformerDecoderBlock(2, 7), rng, (1, STEPS, DIM), (1, SLOTS, DIM))
    inputs, memory = draw(rng, 1, STEPS, DIM), draw(rng, 1, SLOTS, DIM)
    output, own, read = block(inputs, memory, return_attention_scores=True)
    assert_same(block(inputs, memory), output)
    assert tuple(own.shape) == (1, 2, STEPS, STEPS)
    assert tuple(read.shape) == (1, 2, STEPS, SLOTS)
    own, read = ops.convert_to_numpy(own), ops.convert_to_numpy(read)
    np.testing.assert_array_equal(np.triu(own[0, 0], 1), 0.0)
    np.testing.assert_allclose(own.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(read.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("return_attention_scores", [False, True])
def test_steps_one_by_one_reach_what_all_at_once_do(return_attention_scores, rng):
    block = TransformerDecoderBlock(2, 7, positions=RotaryEmbedding(), key_dim=4)
    build(block, rng, (BATCH, STEPS, DIM), (BATCH, SLOTS, DIM))
    inputs, memory = draw(rng, BATCH, STEPS, DIM), draw(rng, BATCH, SLOTS, DIM)
    mask = ops.convert_to_tensor(np.arange(SLOTS) < np.array([[SLOTS], [2]]))
    expected = block(inputs, memory, memory_mask=mask)
    cache, outputs = block.make_cache(BATCH, STEPS), []
    projected = block.project_memory(memory, mask)
    for step in range(STEPS):
        output, *scores, cache = block(
            inputs[:, step : step + 1],
            memory,
            memory_mask=mask,
            projected_memory=projected,
            cache=cache,
            cache_positions=ops.full((BATCH,), step, "int32"),
            return_attention_scores=return_attention_scores,
        )
        outputs.append(output)
        shapes = [tuple(score.shape) for score in scores]
        assert shapes == [(BATCH, 2, 1, STEPS), (BATCH, 2, 1, SLOTS)] * (
            return_attention_scores
        )
    assert_same(ops.concatenate(outputs, axis=1), expected)


def test_an_encoder_block_goes_on_from_a_cache(rng):
    block = build(TransformerBlock(2, 7), rng, (BATCH, STEPS, DIM))
    inputs = draw(rng, BATCH, STEPS, DIM)
    expected = block(inputs, use_causal_mask=True)
    first, cache = block(
        inputs[:, :3],
        cache=block.make_cache(BATCH, STEPS),
        cache_positions=ops.zeros((BATCH,), "int32"),
    )
    second, _ = block(
        inputs[:, 3:], cache=cache, cache_positions=ops.full((BATCH,), 3, "int32")
    )
    assert_same(ops.concatenate([first, second], axis=1), expected)


def test_stochastic_depth_skips_whole_rows(rng):
    """A row is what it was, or has twice the change, for each of the sublayers."""
    block = TransformerBlock(2, 7, stochastic_depth=0.5, seed=3)
    build(block, rng, (64, 3, DIM))
    block.feed_forward.narrow.kernel.assign(np.zeros((7, DIM)))
    block.feed_forward.narrow.bias.assign(np.zeros(DIM))
    inputs = draw(rng, 64, 3, DIM)
    full = ops.convert_to_numpy(block(inputs) - inputs)
    found = ops.convert_to_numpy(block(inputs, training=True) - inputs)
    is_kept = np.abs(found).max(axis=(1, 2)) > 1e-6
    np.testing.assert_allclose(found, is_kept[:, None, None] * 2 * full, atol=1e-4)
    assert 0.25 < is_kept.mean() < 0.75


@pytest.mark.parametrize("place", ["dropout", "stochastic_depth"])
def test_no_dropout_at_inference(place, rng):
    block = build(TransformerBlock(2, 7, **{place: 0.5}), rng, (BATCH, STEPS, DIM))
    inputs = draw(rng, BATCH, STEPS, DIM)
    plain = TransformerBlock(2, 7)
    plain.build((BATCH, STEPS, DIM))
    for ours, theirs in zip(
        plain.trainable_weights, block.trainable_weights, strict=True
    ):
        ours.assign(theirs)
    assert_same(block(inputs), plain(inputs))
    changed = ops.convert_to_numpy(block(inputs, training=True) - plain(inputs))
    assert np.abs(changed).max() > 1e-2


def test_the_mask_of_the_inputs_is_used_and_passed_on(rng):
    tokens = ops.convert_to_tensor(np.int32([[3, 4, 5], [6, 0, 0]]))
    embed = keras.layers.Embedding(9, DIM, mask_zero=True)
    first, second = TransformerBlock(2, 7), TransformerBlock(2, 7)
    output = second(first(embed(tokens)))
    mask = ops.not_equal(tokens, 0)
    embedded = ops.convert_to_tensor(ops.convert_to_numpy(embed(tokens)))
    expected = second(first(embedded, mask=mask), mask=mask)
    assert_same(output, expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(output)[1, 1:], 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intermediate_dim": 0}, r"`intermediate_dim`.*intermediate_dim=0"),
        ({"normalization": "batch"}, r"`normalization`.*'batch'"),
        ({"dropout": 1.0}, r"`dropout`.*1\.0"),
        ({"stochastic_depth": -0.5}, r"`stochastic_depth`.*-0\.5"),
        ({"positions": 3}, r"`positions` must be a layer.*positions=3"),
    ],
)
@pytest.mark.parametrize("kind", [TransformerBlock, TransformerDecoderBlock])
def test_arguments_of_the_constructor(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"num_heads": 2, "intermediate_dim": 7, **arguments})


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"`num_heads` must divide.*num_heads=4.*6"):
        TransformerBlock(4, 7)(np.zeros((1, 2, 6), "float32"))
    TransformerBlock(4, 7, key_dim=2)(np.zeros((1, 2, 6), "float32"))


X, MEMORY = np.zeros((2, 3, DIM), "float32"), np.zeros((2, SLOTS, 4), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": X[0]}, r"`inputs` must have shape"),
        ({"inputs": X[..., :4]}, r"`inputs` must have width 6"),
        ({"memory": MEMORY[0]}, r"`memory` must have shape"),
        ({"memory": MEMORY[..., :3]}, r"`memory` must have width 4"),
        ({"memory": MEMORY[:1]}, r"`inputs` and `memory` must have the same batch"),
        ({"inputs_mask": np.ones((2, 4), "bool")}, r"`inputs_mask` must have shape"),
        ({"memory_mask": np.ones((2, 3), "bool")}, r"`memory_mask` must have shape"),
        ({"memory_mask": np.ones((2, SLOTS))}, r"`memory_mask` must be boolean"),
        ({"projected_memory": 3}, r"`projected` must be a dict"),
    ],
)
def test_arguments_of_the_call(arguments, message):
    block = TransformerDecoderBlock(2, 7)
    block.build(X.shape, MEMORY.shape)
    with pytest.raises(ValueError, match=message):
        block(**{"inputs": X, "memory": MEMORY, **arguments})


@pytest.mark.parametrize("steps", [0, 1])
def test_short_sequences(steps, rng):
    block = build(TransformerDecoderBlock(2, 7), rng, X.shape, MEMORY.shape)
    output = block(draw(rng, 2, steps, DIM), draw(rng, 2, SLOTS, 4))
    assert tuple(output.shape) == (2, steps, DIM)
    assert np.isfinite(ops.convert_to_numpy(output)).all()
