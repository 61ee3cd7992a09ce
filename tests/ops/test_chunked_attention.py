"""The form that walks over chunks, against the plain one."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops import chunked_attention as module
from keras_attn.ops.chunked_attention import plan_tiles
from keras_attn.ops.stateless_dropout import dropout_factors
from tests.comparison import assert_same
from tests.compiled import largest_array
from tests.gradients import (
    BACKEND,
    MODES,
    QUICKEST,
    gradients,
    in_mode,
    with_gradients,
)
from tests.ops.attention_inputs import (
    BATCH,
    HEADS,
    STEPS,
    TERMS,
    as_tensor,
    draw,
    loss,
    make_terms,
    output,
)


@pytest.fixture(params=["one_head", "all_heads"])
def tiles(request, monkeypatch):
    """Chunks of two queries, so that the last one is half empty; two in a segment."""
    monkeypatch.setattr(module, "_SHORTEST_SEGMENT", 3)
    monkeypatch.setattr(module, "_SHORTEST_CHUNK", 2)
    monkeypatch.setattr(module, "_LONGEST_CHUNK", 2)
    if request.param == "one_head":
        monkeypatch.setattr(module, "_TILE_BYTES", 1)
    return request.param


def both(tensors, terms, mode, **options):
    """Values and gradients of the chunked and of the plain form."""
    terms = dict(terms)
    sources = [*tensors, *([terms["bias"]] if "bias" in terms else [])]
    for implementation in ("chunked", "plain"):
        function = loss(implementation, terms, **options)
        chosen = mode if implementation == "chunked" else QUICKEST
        yield in_mode(with_gradients(function), chosen)(*sources)


@pytest.mark.parametrize("name", TERMS)
def test_equals_the_plain_form(name, tiles, rng):
    tensors, terms = draw(rng, 5, 6), make_terms(name, rng, 5, 6)
    assert_same(*both(tensors, terms, QUICKEST))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["nothing", "shared_bias", "everything"])
def test_equals_the_plain_form_however_it_is_run(name, mode, tiles, rng):
    tensors, terms = draw(rng), make_terms(name, rng)
    assert_same(*both(tensors, terms, mode))


def test_groups_share_keys(tiles, rng):
    tensors = draw(rng, groups=2)
    assert_same(*both(tensors, {"causal": True}, QUICKEST))


def test_positions_are_those_of_each_row(tiles, rng):
    tensors = draw(rng, 3, 8)
    terms = {
        "positions": as_tensor(np.array([[0, 1, 2], [5, 6, 7]], "int32")),
        "causal": True,
        "window": 3,
        "slopes": as_tensor(np.array([0.5, 0.25, 0.1, 0.0])),
    }
    assert_same(*both(tensors, terms, QUICKEST))


def test_one_chunk_is_enough_for_little(rng):
    tensors, terms = draw(rng), make_terms("everything", rng)
    assert_same(*both(tensors, terms, QUICKEST))


def test_a_row_far_below_zero_has_the_plain_gradients(tiles, rng):
    """Beside 1e9 the logarithm of a number of keys would be lost."""
    tensors = draw(rng)
    terms = {"bias": as_tensor(np.full((1, 1, STEPS, STEPS), -1e9))}
    assert_same(*both(tensors, terms, QUICKEST))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_have_the_types_of_what_they_are_of(dtype, tiles, rng):
    tensors = [ops.cast(x, dtype) for x in draw(rng)]
    bias = ops.cast(make_terms("bias", rng)["bias"], dtype)
    function = with_gradients(loss("chunked", {}))
    _, found = in_mode(function, QUICKEST)(*tensors, bias)
    assert {ops.dtype(x) for x in found} == {dtype}
    _, full = in_mode(with_gradients(loss("plain", {})), QUICKEST)(
        *(ops.cast(x, "float32") for x in (*tensors, bias))
    )
    for half, single in zip(found, full, strict=True):
        half, single = (
            ops.convert_to_numpy(ops.cast(x, "float32")) for x in (half, single)
        )
        np.testing.assert_allclose(half, single, atol=0.03 * np.abs(single).max())


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs step by step")
def test_the_batch_need_not_be_known(rng):
    """An exported model has an open batch."""
    query, key, value = (keras.Input(x.shape[1:]) for x in draw(rng))
    model = keras.Model([query, key, value], Chunked()([query, key, value]))
    tensors = draw(rng)
    assert_same(model(tensors), output("plain", *tensors, {}))


class Chunked(keras.layers.Layer):
    def call(self, tensors):
        return output("chunked", *tensors, {})


def some_seed():
    return ops.convert_to_tensor(np.array([3, 14], "uint32"))


@pytest.mark.parametrize("causal", [False, True])
def test_dropout_is_the_same_in_both_passes(causal, tiles, rng):
    """Else the slopes along any direction would not be the gradients."""
    tensors, terms = draw(rng), {**make_terms("key_mask", rng), "causal": causal}
    function = loss("chunked", terms, dropout=0.5, seed=some_seed())
    found = gradients(function, tensors, mode=QUICKEST)
    value = in_mode(function, QUICKEST)
    for place, gradient in enumerate(found):
        direction = rng.normal(size=gradient.shape).astype("float32")
        direction /= np.linalg.norm(direction)
        ends = []
        for sign in (1, -1):
            moved = list(tensors)
            moved[place] = tensors[place] + as_tensor(sign * 0.02 * direction)
            ends.append(float(value(*moved)))
        slope = (ends[0] - ends[1]) / 0.04
        np.testing.assert_allclose(slope, np.sum(gradient * direction), atol=5e-3)


@pytest.mark.parametrize("causal", [False, True])
def test_dropout_leaves_the_weights_of_the_plain_form(causal, tiles, rng):
    """Values of one key at a time read off what is kept of the weights."""
    terms = {"causal": causal}
    query, key, _ = draw(rng)
    value = as_tensor(np.broadcast_to(np.eye(STEPS), (BATCH, HEADS, STEPS, STEPS)))
    full = ops.convert_to_numpy(output("plain", query, key, value, terms))
    dropped = ops.convert_to_numpy(
        output("chunked", query, key, value, terms, dropout=0.5, seed=some_seed())
    )
    is_kept = dropped > full
    np.testing.assert_allclose(dropped, np.where(is_kept, 2.0, 0.0) * full, atol=1e-5)
    assert 0.35 < is_kept[full > 0].mean() < 0.65
    patterns = is_kept.reshape(-1, STEPS)  # no two tiles drop alike
    assert len(np.unique(patterns, axis=0)) > 10


def test_dropout_is_that_of_the_seed(rng):
    shape = (50, 40)
    index = ops.convert_to_tensor(np.int32(1))
    first, again, other_index, other_seed = (
        ops.convert_to_numpy(dropout_factors(seed, place, shape, 0.25))
        for seed, place in (
            (some_seed(), index),
            (some_seed(), index),
            (some_seed(), index + 1),
            (some_seed() + ops.convert_to_tensor(np.array([0, 1], "uint32")), index),
        )
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.unique(first), [0.0, 4 / 3], 1e-6)
    assert abs(first.mean() - 1) < 0.05
    for other in (other_index, other_seed):
        assert 0.2 < (first != other).mean() < 0.55  # 3/8 where nothing is shared


def test_tiles_fill_the_cache_and_no_more():
    for heads, batch, steps in ((1, 1, 8192), (8, 4, 1024), (8, 64, 2048), (16, 1, 90)):
        plan = plan_tiles((batch, heads, steps, 64), steps)
        assert plan.heads in (1, heads)
        assert 1 <= plan.chunk <= min(steps, 256)
        tile = 4 * batch * plan.heads * plan.chunk * steps
        assert tile <= 8 * 2**20 or plan.chunk == 32
    assert plan_tiles((4, 8, 1024, 64), 1024, together=True).heads == 8
    assert plan_tiles((None, 8, 1024, 64), 1024) == plan_tiles((8, 8, 1024, 64), 1024)


@pytest.mark.skipif(BACKEND == "torch", reason="it has no XLA")
@pytest.mark.parametrize("name", ["nothing", "slopes", "causal"])
def test_no_matrix_of_scores_in_either_pass(name, rng):
    steps = 4096
    tensors = [as_tensor(np.zeros((1, 1, steps, 8))) for _ in range(3)]
    terms = {"slopes": as_tensor(np.ones(1)), "causal": True}
    terms = {key: value for key, value in terms.items() if key == name}
    sizes = {
        implementation: largest_array(
            with_gradients(loss(implementation, terms)), *tensors
        )
        for implementation in ("chunked", "plain")
    }
    assert sizes["plain"] >= steps * steps
    assert sizes["chunked"] <= 256 * steps


STEP = """
import resource
import numpy as np
from keras import ops
from keras_attn.ops.dot_product_attention import dot_product_attention
from keras_attn.ops.score_terms import ScoreTerms
from tests.gradients import MODES, in_mode, with_gradients

def loss(query, key, value):
    output, _ = dot_product_attention(
        query, key, value, ScoreTerms(causal=True), implementation="chunked"
    )
    return ops.sum(output * output)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def step(steps):
    tensors = [ops.ones((1, 1, steps, 8)) for _ in range(3)]
    _, found = in_mode(with_gradients(loss), MODES[-1])(*tensors)
    return float(ops.sum(found[0]))

step(512)
start = peak()
step(8192)
print(peak() - start)
"""


@pytest.mark.slow
def test_a_step_of_8192_takes_less_than_one_matrix():
    """Which has 256 MiB; the plain form holds several."""
    done = subprocess.run(
        [sys.executable, "-c", STEP], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 200
