import numpy as np
import pytest
from keras import ops

from keras_attn.ops.softmax import masked_softmax
from tests.gradients import gradients, weighted_sum

MASK = np.array([[True] * 4, [True, False, True, False], [False] * 4])


def reference(scores, mask):
    """The softmax of the kept entries, in float64, one row at a time."""
    weights = np.zeros(scores.shape)
    for row, scores_row, kept in zip(
        weights, scores.astype("float64"), mask, strict=True
    ):
        if kept.any():
            powers = np.exp(scores_row[kept] - scores_row[kept].max())
            row[kept] = powers / powers.sum()
    return weights


@pytest.fixture
def scores(rng):
    return 10 * rng.normal(size=(3, 4)).astype("float32")


def test_matches_numpy(scores):
    tensor = ops.convert_to_tensor(scores)
    weights = masked_softmax(tensor, ops.convert_to_tensor(MASK))
    np.testing.assert_allclose(weights, reference(scores, MASK), atol=1e-6)
    full = reference(scores, np.ones_like(MASK))
    np.testing.assert_allclose(masked_softmax(tensor), full, atol=1e-6)


@pytest.mark.parametrize("filler", [1e30, np.inf, np.nan])
def test_what_is_masked_does_not_matter(scores, filler):
    noisy = np.where(MASK, scores, filler).astype("float32")
    weights = masked_softmax(ops.convert_to_tensor(noisy), ops.convert_to_tensor(MASK))
    np.testing.assert_allclose(weights, reference(scores, MASK), atol=1e-6)


def test_gradient_stays_within_the_mask(scores):
    def loss(scores):
        return weighted_sum(masked_softmax(scores, ops.convert_to_tensor(MASK)))

    (found,) = gradients(loss, [scores])
    weights = reference(scores, MASK)
    upstream = np.cos(np.arange(12)).reshape(3, 4)
    mean = (weights * upstream).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, weights * (upstream - mean), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_full(dtype):
    scores = ops.zeros((1, 3000), dtype)  # float16 sums of ones would stop at 2048
    weights = masked_softmax(scores, ops.ones((1, 3000), "bool"))
    assert ops.dtype(weights) == dtype
    total = ops.sum(ops.cast(weights, "float32"))
    np.testing.assert_allclose(total, 1.0, rtol=1e-2)
