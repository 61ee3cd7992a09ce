"""Every two options together, in values and gradients, against NumPy."""

import itertools

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
from keras_attn.ops import chunked_attention, window_attention
from keras_attn.ops.stateless_dropout import dropout_factors
from tests.comparison import assert_same, to_numpy
from tests.gradients import (
    BACKEND,
    QUICKEST,
    in_mode,
    weighted_sum,
    with_gradients,
)
from tests.layers.multi_head_reference import (
    Call,
    multi_head,
    variables_of,
    weights_of,
)

BATCH, HEADS, STEPS, SLOTS, DIM, ROOM, RATE = 3, 4, 5, 7, 6, 9, 0.4

ARGUMENTS = {
    "rotary": lambda: {"positions": RotaryEmbedding()},
    "alibi": lambda: {"positions": AlibiBias()},
    "relative": lambda: {"positions": RelativePositionBias(HEADS, 8, 5)},
    "window": lambda: {"window": 2},
    "grouped": lambda: {"num_key_value_heads": 2},
    "query_key_norm": lambda: {"query_key_norm": True},
    "value_dim": lambda: {"value_dim": 3},
    "output_dim": lambda: {"output_dim": 3},
    "no_bias": lambda: {"use_bias": False},
    "rate": lambda: {"dropout": RATE},
    "dropout": lambda: {"dropout": RATE},  # and training
    "bfloat16": lambda: {"dtype": "mixed_bfloat16"},
    "plain": lambda: {"implementation": "plain"},
    "chunked": lambda: {"implementation": "chunked"},
    "blocks": lambda: {"implementation": "window", "window": 2},
}
CALLS = (
    "causal",
    "padding",
    "attention_mask",
    "head_mask",
    "bias",
    "head_bias",
    "scores",
    "cache",
    "cross",
)
# Two of a row are two values of one argument.
ALTERNATIVES = (
    {"rotary", "alibi", "relative"},
    {"plain", "chunked", "blocks"},
    {"window", "blocks"},
    {"rate", "dropout"},
    {"attention_mask", "head_mask"},
    {"bias", "head_bias"},
    {"cache", "cross"},  # which is of the other layer
)
REFUSED = {frozenset(("blocks", "cache")), frozenset(("blocks", "cross"))}
OPTIONS = (*ARGUMENTS, *CALLS)
PAIRS = [
    pair
    for pair in itertools.combinations(OPTIONS, 2)
    if not any(set(pair) <= row for row in ALTERNATIVES)
    and frozenset(pair) not in REFUSED
]
# Everything else goes through the plain form too, by itself.
WITH_GRADIENTS = [
    pair
    for pair in PAIRS
    if set(pair) & {"plain", "chunked", "blocks"} and "bfloat16" not in pair
]


@pytest.fixture(autouse=True)
def several_tiles(monkeypatch):
    """Cuts what is small: two queries at a time, and one head."""
    monkeypatch.setattr(chunked_attention, "_LONGEST_CHUNK", 2)
    monkeypatch.setattr(chunked_attention, "_SHORTEST_CHUNK", 2)
    monkeypatch.setattr(chunked_attention, "_TILE_BYTES", 1)
    monkeypatch.setattr(window_attention, "_SMALLEST_BLOCK", 1)


class Trial:
    """A layer with some options, and arrays to call it with."""

    def __init__(self, options, rng):
        self.options = set(options)
        self.rng = rng
        self.is_cross = "cross" in options
        self.slots = SLOTS if self.is_cross else STEPS
        if "cache" in options:
            self.slots = ROOM
        self.layer = self._layer()
        self.arrays = self._arrays()

    def _layer(self):
        arguments = {"num_heads": HEADS, "key_dim": 2}
        for option in self.options & set(ARGUMENTS):
            arguments |= ARGUMENTS[option]()
        kind = MultiHeadAttention if self.is_cross else MultiHeadSelfAttention
        layer = kind(**arguments)
        shape = (BATCH, STEPS, DIM)
        if self.is_cross:
            layer.build(shape, (BATCH, SLOTS, 4), (BATCH, SLOTS, 3))
        else:
            layer.build(shape)
        for weight in layer.trainable_weights:
            weight.assign(self.rng.normal(scale=0.6, size=weight.shape))
        return layer

    def _arrays(self):
        """The call's arrays by their names in `Call`."""
        normal, options = self.rng.normal, self.options
        arrays = {"query": normal(size=(BATCH, STEPS, DIM))}
        if self.is_cross:
            arrays["value"] = normal(size=(BATCH, SLOTS, 4))
            arrays["key"] = normal(size=(BATCH, SLOTS, 3))
        if "padding" in options:
            lengths = np.array([[STEPS], [3], [0]])
            arrays["query_mask"] = np.arange(STEPS) < lengths
            if self.is_cross:
                arrays["value_mask"] = np.arange(SLOTS) < np.array([[4], [7], [0]])
        for name, heads in (("attention_mask", ()), ("head_mask", (HEADS,))):
            if name in options:
                mask = self.rng.random((BATCH, *heads, STEPS, self.slots)) < 0.7
                mask[0, ..., 1, :] = False
                arrays["attention_mask"] = mask
        if "bias" in options:
            arrays["bias"] = normal(size=(BATCH, STEPS, self.slots))
        if "head_bias" in options:
            arrays["bias"] = normal(size=(1, HEADS, STEPS, self.slots))
        if "cache" in options:
            cache = self.layer.make_cache(BATCH, ROOM)
            arrays["cache"] = {k: normal(size=v.shape) for k, v in cache.items()}
            arrays["cache_positions"] = np.array([0, 2, 4], "int32")
        return {
            name: {k: v.astype("float32") for k, v in array.items()}
            if isinstance(array, dict)
            else array.astype("float32" if array.dtype == "float64" else array.dtype)
            for name, array in arrays.items()
        }

    @property
    def differentiable(self):
        return [n for n in ("query", "value", "key", "bias") if n in self.arrays]

    def call(self, *tensors):
        """The layer's answer; `tensors` replace what is differentiable."""
        given = {
            name: {k: ops.convert_to_tensor(v) for k, v in array.items()}
            if isinstance(array, dict)
            else ops.convert_to_tensor(array)
            for name, array in self.arrays.items()
        }
        given |= zip(self.differentiable, tensors, strict=False)
        if not self.is_cross:
            renamed = {"query": "inputs", "query_mask": "mask"}
            given = {renamed.get(name, name): x for name, x in given.items()}
        return self.layer(
            **given,
            use_causal_mask="causal" in self.options,
            return_attention_scores="scores" in self.options,
            training="dropout" in self.options,
        )

    def expect(self, weights, arrays, keep):
        """The reference's answer."""
        call = Call(**arrays, use_causal_mask="causal" in self.options, keep=keep)
        output, scores = multi_head(self.layer, weights, call)
        return [output, scores] if "scores" in self.options else [output]

    def keep(self):
        """What the next call drops, put where the reference looks for it."""
        if "dropout" not in self.options:
            return None
        seed = ops.convert_to_tensor(self.layer.seed_generator.state)

        def draw(index, *shape):
            factors = dropout_factors(seed, ops.convert_to_tensor(index), shape, RATE)
            return ops.convert_to_numpy(factors)

        if "chunked" in self.options:
            return _join_tiles(draw, self.slots)
        if "blocks" in self.options:
            return _join_blocks(draw, "causal" in self.options)
        return draw(0, BATCH, HEADS, STEPS, self.slots)


def _join_tiles(draw, slots):
    """A tile is two queries of a head, or of all heads that share a bias."""
    chunks = -(-STEPS // 2)
    heads = [
        np.concatenate(
            [draw(head * chunks + c, BATCH, 1, 2, slots) for c in range(chunks)], axis=2
        )
        for head in range(HEADS)
    ]
    return np.concatenate(heads, axis=1)[:, :, :STEPS]


def _join_blocks(draw, is_causal):
    """A block is two queries, with the two keys before, of, and after it."""
    count, seen = -(-STEPS // 2), 4 if is_causal else 6
    blocks = draw(0, BATCH, HEADS, count, 2, seen)
    keep = np.zeros((BATCH, HEADS, STEPS, STEPS))
    for block, query, key in np.ndindex(count, 2, seen):
        i, j = 2 * block + query, 2 * block + key - 2
        if i < STEPS and 0 <= j < STEPS:
            keep[:, :, i, j] = blocks[:, :, block, query, key]
    return keep


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_values(pair, rng):
    trial = Trial(pair, rng)
    keep = trial.keep()
    found = to_numpy(trial.call())
    expected = trial.expect(weights_of(trial.layer), trial.arrays, keep)
    found = found[: len(expected)]  # then comes the cache
    if "bfloat16" not in pair:
        assert_same(found, expected)
        return
    for half, full in zip(found, expected, strict=True):
        bound = 0.06 * max(1.0, np.abs(full).max())
        np.testing.assert_allclose(half, full, atol=bound, rtol=0)


@pytest.mark.parametrize("pair", WITH_GRADIENTS, ids="-".join)
def test_gradients(pair, rng):
    """Along a direction in each tensor and weight, against differences in float64."""
    trial = Trial(pair, rng)
    keep, variables = trial.keep(), variables_of(trial.layer)
    weights = weights_of(trial.layer)
    assert len(variables) == len(trial.layer.trainable_variables)

    def loss(*tensors):
        answer = trial.call(*tensors)
        return weighted_sum(answer[:-1] if "cache" in pair else answer)

    tensors = [ops.convert_to_tensor(trial.arrays[n]) for n in trial.differentiable]
    function = with_gradients(loss, variables.values())
    _, found = in_mode(function, QUICKEST)(*tensors)
    found = [ops.convert_to_numpy(gradient) for gradient in found]

    def reference(changed):
        arrays = {n: changed.get(n, x) for n, x in trial.arrays.items()}
        parameters = {n: changed.get(n, x) for n, x in weights.items()}
        return sum(
            np.sum(output * np.cos(np.arange(output.size)).reshape(output.shape))
            for output in trial.expect(parameters, arrays, keep)
        )

    places = [*trial.differentiable, *variables]
    for place, gradient in zip(places, found, strict=True):
        start = np.float64({**trial.arrays, **weights}[place])
        direction = rng.normal(size=start.shape)
        step = 1e-5 * direction
        rise = reference({place: start + step}) - reference({place: start - step})
        slope = np.sum(gradient * direction)
        bound = 1e-4 * max(1.0, np.abs(gradient).max())
        assert abs(slope - rise / 2e-5) < bound * np.sqrt(start.size), place


@pytest.mark.parametrize("pair", sorted(map(sorted, REFUSED)), ids="-".join)
def test_refused(pair, rng):
    with pytest.raises(ValueError, match=r'implementation="window" wants'):
        Trial(pair, rng).call()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere all lengths are known")
@pytest.mark.parametrize("implementation", ["window", "chunked"])
def test_an_unknown_length_is_refused(implementation):
    layer = MultiHeadSelfAttention(2, 2, window=1, implementation=implementation)
    with pytest.raises(ValueError, match=rf'implementation="{implementation}" wants'):
        layer(keras.Input((None, 4)))


@pytest.mark.skipif(BACKEND != "torch", reason="elsewhere there is no such kernel")
def test_dropout_by_the_native_kernel_is_refused():
    layer = MultiHeadSelfAttention(2, 2, dropout=0.5, implementation="native")
    inputs = ops.ones((1, 3, 4))
    layer(inputs)
    with pytest.raises(ValueError, match=r'implementation="native" is for'):
        layer(inputs, training=True)
