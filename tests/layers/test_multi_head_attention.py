"""Bad input, caches and memories; what the layers compute is tested pair by pair."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import (
    AlibiBias,
    MultiHeadAttention,
    MultiHeadSelfAttention,
    RelativePositionBias,
    RotaryEmbedding,
)
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, in_mode

X = np.zeros((2, 3, 4), "float32")
MEMORY = np.zeros((2, 5, 6), "float32")


def draw(rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, r"`num_heads`.*at least 1.*num_heads=0"),
        ({"num_heads": 2.0}, r"`num_heads` must be an int.*num_heads=2\.0"),
        ({"key_dim": -1}, r"`key_dim`.*key_dim=-1"),
        ({"value_dim": 0}, r"`value_dim`.*value_dim=0"),
        ({"output_dim": 0}, r"`output_dim`.*output_dim=0"),
        ({"window": 0}, r"`window`.*window=0"),
        ({"window": -3}, r"`window`.*window=-3"),
        (
            {"num_key_value_heads": 3},
            r"must divide.*num_key_value_heads=3, num_heads=4",
        ),
        (
            {"num_key_value_heads": 8},
            r"must divide.*num_key_value_heads=8, num_heads=4",
        ),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\).*dropout=1\.0"),
        ({"dropout": -0.1}, r"`dropout`.*dropout=-0\.1"),
        ({"implementation": "flash"}, r"`implementation`.*'flash'"),
        ({"positions": "rotary"}, r"`positions` must be a layer.*'rotary'"),
        ({"positions": RotaryEmbedding(), "key_dim": 3}, r"even `key_dim`.*key_dim=3"),
        ({"positions": RelativePositionBias(2)}, r"num_heads=2 where the layer has 4"),
    ],
)
@pytest.mark.parametrize("kind", [MultiHeadSelfAttention, MultiHeadAttention])
def test_arguments_of_the_constructor(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"num_heads": 4, "key_dim": 2, **arguments})


BOOLS = np.ones((2, 3), "bool")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": X[0]}, r"`inputs` must have shape \(batch, time, dim\)"),
        ({"inputs": np.zeros((2, 3, 5))}, r"`inputs` must have width 4"),
        ({"mask": BOOLS[:, :2]}, r"`mask` must have shape \(2, 3\).*\(2, 2\)"),
        ({"mask": BOOLS.astype("float32")}, r"`mask` must be boolean.*float32"),
        ({"mask": BOOLS.astype("int32")}, r"`mask` must be boolean.*int32"),
        (
            {"attention_mask": np.ones((3, 3), "bool")},
            r"`attention_mask`.*\(batch, heads",
        ),
        ({"attention_mask": np.ones((2, 3, 4), "bool")}, r"broadcast.*\(2, 1, 3, 4\)"),
        (
            {"attention_mask": np.ones((2, 3, 3, 3), "bool")},
            r"broadcast.*\(2, 3, 3, 3\)",
        ),
        ({"attention_mask": np.ones((2, 3, 3))}, r"`attention_mask` must be boolean"),
        ({"bias": np.ones((2, 3))}, r"`bias` must have shape"),
        ({"bias": np.ones((3, 3, 3))}, r"`bias` must broadcast"),
        ({"bias": np.ones((2, 3, 3), "bool")}, r"`bias` is added.*attention_mask"),
    ],
)
def test_arguments_of_the_call(arguments, message):
    layer = MultiHeadSelfAttention(4, 2)
    layer.build(X.shape)
    with pytest.raises(ValueError, match=message):
        layer(**{"inputs": X, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": X[0]}, r"`query` must have shape"),
        ({"value": MEMORY[..., :5]}, r"`value` must have width 6"),
        ({"key": MEMORY[..., :5]}, r"`key` must have width 6"),
        ({"value": MEMORY[:1]}, r"`query` and `value` must have the same batch"),
        (
            {"key": MEMORY[:, :4]},
            r"`key` and `value` must have the same batch and slots",
        ),
        ({"query_mask": np.ones((2, 5), "bool")}, r"`query_mask` must have shape"),
        ({"value_mask": BOOLS}, r"`value_mask` must have shape \(2, 5\)"),
        ({"key_mask": BOOLS}, r"`key_mask` must have shape \(2, 5\)"),
        ({"attention_mask": np.ones((2, 5, 3), "bool")}, r"broadcast.*\(2, 4, 3, 5\)"),
        ({"projected": {"key": X}}, r"`projected` must be a dict of `project_memory`"),
        (
            {
                "projected": {
                    "key": np.zeros((2, 4, 4, 2)),
                    "value": np.zeros((2, 4, 5, 2)),
                }
            },
            r"`projected\['key'\]` must have shape \(2, 4, 5, 2\).*\(2, 4, 4, 2\)",
        ),
    ],
)
def test_arguments_of_the_call_with_a_memory(arguments, message):
    layer = MultiHeadAttention(4, 2)
    layer.build(X.shape, MEMORY.shape)
    with pytest.raises(ValueError, match=message):
        layer(**{"query": X, "value": MEMORY, **arguments})


def caches(**changes):
    shapes = {"key": (2, 4, 6, 2), "value": (2, 4, 6, 3), **changes}
    return {name: np.zeros(shape, "float32") for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache": caches()}, r"`cache` and `cache_positions` go together"),
        ({"cache_positions": [0, 0]}, r"`cache` and `cache_positions` go together"),
        ({"cache": caches(), "cache_positions": 3}, r"shape \(2,\).*\(\)"),
        ({"cache": caches(), "cache_positions": [0]}, r"shape \(2,\).*\(1,\)"),
        ({"cache": {"key": X}, "cache_positions": [0, 0]}, r"dict of `make_cache`"),
        (
            {"cache": caches(key=(2, 2, 6, 2)), "cache_positions": [0, 0]},
            r"`cache\['key'\]` must have shape \(2, 4, 6, 2\).*\(2, 2, 6, 2\)",
        ),
        (
            {"cache": caches(value=(2, 4, 6, 2)), "cache_positions": [0, 0]},
            r"`cache\['value'\]` must have shape \(2, 4, 6, 3\)",
        ),
        (
            {
                "cache": caches(key=(2, 4, 2, 2), value=(2, 4, 2, 3)),
                "cache_positions": [0, 0],
            },
            r"room for 2 steps. Received: 3 at once",
        ),
        (
            {"cache": caches(), "cache_positions": [0, 4]},
            r"room for 6.*3 from position 4",
        ),
    ],
)
def test_caches(arguments, message):
    layer = MultiHeadSelfAttention(4, 2, value_dim=3)
    layer.build(X.shape)
    if "cache_positions" in arguments:
        positions = np.array(arguments["cache_positions"], "int32")
        arguments = {**arguments, "cache_positions": positions}
    with pytest.raises(ValueError, match=message):
        layer(X, **arguments)


@pytest.mark.skipif(BACKEND == "torch", reason="there all positions are known")
@pytest.mark.parametrize("mode", MODES[1:] or ["eager"])
@pytest.mark.parametrize("mask", [None, np.ones((2, 3), "bool")])
def test_a_step_past_the_end_of_the_cache_yields_zeros_when_compiled(mask, mode, rng):
    layer = MultiHeadSelfAttention(2, 2, bias_initializer="ones")
    inputs = draw(rng, 2, 3, 4)
    layer.build(inputs.shape)
    cache = layer.make_cache(2, 4)

    def call(inputs, positions):
        output, scores, new = layer(
            inputs,
            mask=mask,
            cache=cache,
            cache_positions=positions,
            return_attention_scores=True,
        )
        return output, scores, new

    positions = ops.convert_to_tensor(np.array([1, 3], "int32"))
    output, scores, new = in_mode(call, mode)(inputs, positions)
    output, scores = ops.convert_to_numpy(output), ops.convert_to_numpy(scores)
    assert np.abs(output[0]).min() > 0
    assert np.abs(output[1, 0]).min() > 0
    np.testing.assert_array_equal(output[1, 1:], 0.0)
    np.testing.assert_array_equal(scores[1, :, 1:], 0.0)
    assert all(np.isfinite(ops.convert_to_numpy(x)).all() for x in new.values())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": RotaryEmbedding},
        {"positions": AlibiBias},
        {"positions": lambda: RelativePositionBias(4)},
        {"window": 2},
        {"num_key_value_heads": 2, "query_key_norm": True},
    ],
)
def test_rows_of_different_lengths_go_on_from_a_cache(options, rng):
    """First all there is, padded to the right, then a step, then two."""
    if "positions" in options:
        options = {"positions": options["positions"]()}
    layer = MultiHeadSelfAttention(4, 2, **options)
    inputs = draw(rng, 2, 7, 4)
    expected = ops.convert_to_numpy(layer(inputs, use_causal_mask=True))
    cache, position = layer.make_cache(2, 8), np.array([0, 0], "int32")
    found = [[], []]
    for lengths in ([4, 2], [1, 1], [2, 2]):
        longest = max(lengths)
        rows = np.zeros((2, longest, 4), "float32")
        for row, length in enumerate(lengths):
            start = position[row]
            rows[row, :length] = inputs[row, start : start + length]
        mask = np.arange(longest) < np.array(lengths)[:, None]
        output, cache = layer(
            rows, mask=mask, cache=cache, cache_positions=position.copy()
        )
        for row, length in enumerate(lengths):
            found[row].extend(ops.convert_to_numpy(output)[row, :length])
        position += np.array(lengths, "int32")
    for row, outputs in enumerate(found):
        np.testing.assert_allclose(outputs, expected[row, : len(outputs)], atol=1e-5)


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("options", [{}, {"window": 1}, {"positions": RotaryEmbedding}])
def test_short_sequences(options, steps, rng):
    if "positions" in options:
        options = {"positions": options["positions"]()}
    layer = MultiHeadSelfAttention(2, 2, **options)
    layer.build((2, 3, 4))
    mask = ops.ones((2, steps), "bool")
    output, scores = layer(
        draw(rng, 2, steps, 4),
        mask=mask,
        use_causal_mask=True,
        return_attention_scores=True,
    )
    assert tuple(output.shape) == (2, steps, 4)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(scores), np.ones((2, 2, steps, steps))
    )


def test_a_memory_without_slots_yields_zeros(rng):
    layer = MultiHeadAttention(2, 2, bias_initializer="ones")
    output = layer(draw(rng, 2, 3, 4), draw(rng, 2, 0, 6))
    np.testing.assert_array_equal(ops.convert_to_numpy(output), np.zeros((2, 3, 4)))


def test_a_projected_memory_answers_alike(rng):
    layer = MultiHeadAttention(4, 2, num_key_value_heads=2, query_key_norm=True)
    query, value, key = draw(rng, 2, 3, 4), draw(rng, 2, 5, 6), draw(rng, 2, 5, 3)
    mask = ops.convert_to_tensor(np.arange(5) < np.array([[5], [2]]))
    expected = layer(query, value, key, value_mask=mask)
    projected = layer.project_memory(value, key, mask)
    found = layer(query, value, key, value_mask=mask, projected=projected)
    assert_same(found, expected)


def test_both_masks_of_a_memory_hide(rng):
    layer = MultiHeadAttention(2, 2)
    query, value = draw(rng, 1, 3, 4), draw(rng, 1, 4, 6)
    masks = np.array([[[True, True, False, True]], [[True, False, True, True]]])
    _, scores = layer(
        query,
        value,
        value_mask=ops.convert_to_tensor(masks[0]),
        key_mask=ops.convert_to_tensor(masks[1]),
        return_attention_scores=True,
    )
    seen = ops.convert_to_numpy(scores) > 0
    np.testing.assert_array_equal(seen, np.broadcast_to(masks.all(0), (1, 2, 3, 4)))


def test_one_matrix_makes_queries_keys_and_values():
    layer = MultiHeadSelfAttention(4, 2, value_dim=3, num_key_value_heads=2)
    layer.build(X.shape)
    paths = [weight.path.split("/", 1)[1] for weight in layer.trainable_weights]
    assert paths == [
        "projection/kernel",
        "projection/bias",
        "output/kernel",
        "output/bias",
    ]
    assert layer.projection.kernel.shape == (4, 4 * 2 + 2 * 2 + 2 * 3)


def test_float16_stays_finite(rng):
    """Scores pass the largest number of the type, masks and biases reach its end."""
    layer = MultiHeadSelfAttention(2, 8, dtype="float16")
    inputs = 300.0 * draw(rng, 2, 6, 16)
    bias = np.zeros((1, 6, 6), "float32")
    bias[:, 2, :] = -np.inf
    bias[:, 3, :3] = -1e9
    for scores in (False, True):
        answer = layer(
            inputs,
            mask=ops.convert_to_tensor(np.arange(6) < np.array([[6], [0]])),
            bias=ops.convert_to_tensor(bias),
            return_attention_scores=scores,
        )
        for tensor in keras.tree.flatten(answer):
            assert np.isfinite(ops.convert_to_numpy(tensor)).all()


def test_dropout_only_in_training(rng):
    layer = MultiHeadSelfAttention(2, 2, dropout=0.5, seed=1)
    inputs = draw(rng, 2, 8, 4)
    still = [ops.convert_to_numpy(layer(inputs)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    first, second = (
        ops.convert_to_numpy(layer(inputs, training=True)) for _ in range(2)
    )
    assert np.abs(first - still[0]).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("kind", [MultiHeadSelfAttention, MultiHeadAttention])
def test_regularizers_and_constraints_reach_the_projections(kind):
    layer = kind(
        2,
        2,
        kernel_regularizer="l2",
        bias_regularizer="l1",
        kernel_constraint="unit_norm",
    )
    layer(X) if kind is MultiHeadSelfAttention else layer(X, MEMORY)
    kernels = [w for w in layer.trainable_weights if w.path.endswith("kernel")]
    assert {type(w.constraint).__name__ for w in kernels} == {"UnitNorm"}
    assert len(layer.losses) == len(layer.trainable_weights)
