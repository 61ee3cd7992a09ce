"""The plain form, against sums and exponentials written out."""

import math

import numpy as np
import pytest
from keras import ops

from keras_attn.ops.dot_product_attention import dot_product_attention
from keras_attn.ops.plain_attention import grouped_matmul, softmax_parts
from keras_attn.ops.score_terms import ScoreTerms
from tests.comparison import assert_same
from tests.gradients import gradients
from tests.ops.attention_inputs import TERMS, as_tensor, draw, loss, make_terms, output


def reference(query, key, value, terms, scale):
    query, key, value = (
        ops.convert_to_numpy(x).astype("float64") for x in (query, key, value)
    )
    terms = {
        k: ops.convert_to_numpy(v) if ops.is_tensor(v) else v for k, v in terms.items()
    }
    batch, heads, steps, _ = query.shape
    groups, slots = key.shape[1:3]
    context = np.zeros((batch, heads, steps, value.shape[-1]))
    weights = np.zeros((batch, heads, steps, slots))
    for b, h, i in np.ndindex(batch, heads, steps):
        g = h * groups // heads
        total = 0.0
        for j in range(slots):
            if not sees(terms, b, h, i, j):
                continue
            score = scale * query[b, h, i] @ key[b, g, j]
            if "bias" in terms:
                score += at(terms["bias"], b, h, i, j)
            if "slopes" in terms:
                score -= terms["slopes"][h] * abs(i - j)
            weights[b, h, i, j] = math.exp(score)
            total += weights[b, h, i, j]
        if total:
            weights[b, h, i] /= total
        context[b, h, i] = weights[b, h, i] @ value[b, g]
    return context, weights


def sees(terms, b, h, i, j):
    return not (
        ("key_mask" in terms and not terms["key_mask"][b, j])
        or ("mask" in terms and not at(terms["mask"], b, h, i, j))
        or (terms.get("causal") and j > i)
        or ("window" in terms and abs(i - j) > terms["window"])
    )


def at(pairs, *index):
    """An entry of what broadcasts."""
    return pairs[tuple(i % size for i, size in zip(index, pairs.shape, strict=True))]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("name", TERMS)
def test_matches_numpy(name, groups, rng):
    tensors, terms = draw(rng, 5, 6, groups), make_terms(name, rng, 5, 6)
    context, weights = reference(*tensors, terms, 1 / math.sqrt(3))
    assert_same(output("plain", *tensors, terms), context)
    found = dot_product_attention(
        *tensors, ScoreTerms(**terms), return_attention_scores=True
    )
    assert_same(found, [context, weights])


def test_the_scale_is_the_one_given(rng):
    tensors = draw(rng)
    context, _ = reference(*tensors, {}, 0.3)
    assert_same(output("plain", *tensors, {}, scale=0.3), context)


@pytest.mark.parametrize("return_attention_scores", [True, False])
@pytest.mark.parametrize("implementation", ["plain", "chunked", "auto"])
def test_float16_does_not_overflow(implementation, return_attention_scores, rng):
    """Neither the scores, which reach 4e6, nor the sum of values, which is 2e5."""
    query, key, value = (
        ops.cast(500.0 * ops.ones(shape), "float16")
        for shape in ((1, 2, 3, 16), (1, 2, 400, 16), (1, 2, 400, 2))
    )
    found, _ = dot_product_attention(
        query,
        key,
        value,
        ScoreTerms(),
        return_attention_scores=return_attention_scores,
        implementation=implementation,
    )
    assert ops.dtype(found) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(found), 500.0, rtol=5e-3)


@pytest.mark.parametrize("number", [-np.inf, -1e9, -1e4])
@pytest.mark.parametrize("implementation", ["plain", "chunked", "auto"])
def test_a_bias_that_hides_everything_hides_as_a_mask_does(implementation, number, rng):
    """Nothing is left that would tell the visible keys apart; hidden ones stay so."""
    query, key, value = draw(rng, 3, 3)
    value = as_tensor(np.ones(value.shape) * np.array([1, 1, 9e3])[:, None])
    terms = {
        "bias": as_tensor(np.full((1, 1, 3, 3), number)),
        "key_mask": as_tensor(np.array([[True, True, False]] * 2)),
    }
    for dtype in ("float32", "float16", "bfloat16"):
        tensors = [ops.cast(x, dtype) for x in (query, key, value)]
        found = ops.cast(output(implementation, *tensors, terms), "float32")
        np.testing.assert_allclose(ops.convert_to_numpy(found), 1.0, rtol=1e-2)


def test_scores_or_not_makes_no_difference(rng):
    """Where rows are fully masked, where a bias is -inf, and everywhere else."""
    tensors, terms = draw(rng), make_terms("everything", rng)
    bias = np.zeros((1, 1, 5, 5))
    bias[..., 1, :] = -np.inf
    terms["bias"] = as_tensor(bias)
    found, _ = dot_product_attention(
        *tensors, ScoreTerms(**terms), return_attention_scores=True
    )
    assert_same(output("plain", *tensors, terms), found)


@pytest.mark.parametrize("name", ["empty_row", "everything", "bias"])
def test_gradients_match_differences(name, rng):
    tensors, terms = draw(rng), make_terms(name, rng)
    sources = [ops.convert_to_numpy(x) for x in tensors]
    found = gradients(loss("plain", terms), sources)

    def total(*arrays):
        context, _ = reference(*arrays, terms, 1 / math.sqrt(3))
        return np.sum(context * np.cos(np.arange(context.size)).reshape(context.shape))

    for place, gradient in enumerate(found):
        direction = rng.normal(size=gradient.shape)
        moved = [np.float64(x) for x in sources]
        ends = []
        for sign in (1, -1):
            moved[place] = sources[place] + sign * 1e-5 * direction
            ends.append(total(*moved))
        slope = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), slope, atol=1e-3)


def test_parts_of_a_softmax(rng):
    scores = rng.normal(size=(3, 4)).astype("float32")
    mask = np.array([[True] * 4, [True, False, True, False], [False] * 4])
    exponentials, total, highest = (
        ops.convert_to_numpy(x)
        for x in softmax_parts(ops.convert_to_tensor(scores), as_tensor(mask))
    )
    kept = np.where(mask, np.exp(scores), 0.0)
    np.testing.assert_allclose(exponentials[:2] * np.exp(highest[:2]), kept[:2], 1e-5)
    np.testing.assert_array_equal(exponentials[2], 0.0)
    np.testing.assert_allclose(total[:, 0], [*exponentials[:2].sum(-1), 1.0], 1e-6)
    assert highest[1, 0] == max(scores[1, 0], scores[1, 2])


def test_grouped_product(rng):
    left = rng.normal(size=(2, 6, 3, 4)).astype("float32")
    right = rng.normal(size=(2, 2, 4, 5)).astype("float32")
    expected = left @ np.repeat(right, 3, axis=1)
    assert_same(grouped_matmul(as_tensor(left), as_tensor(right)), expected)
