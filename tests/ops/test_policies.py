"""Policies against scipy's distributions."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_attn.ops.categorical_policy import (
    categorical_entropy,
    categorical_log_prob,
    categorical_sample,
)
from keras_attn.ops.gaussian_policy import (
    gaussian_entropy,
    gaussian_log_prob,
    gaussian_sample,
)
from keras_attn.ops.stateless_random import random_gumbel, random_normal
from tests.gradients import gradients

SEED = np.array([7, 8], "uint32")


@pytest.mark.parametrize(
    "std", [0.3, np.float32([[0.3, 2.0, 1.0]])], ids=["one", "own"]
)
def test_the_normal_distribution_is_scipys(rng, std):
    mean = rng.normal(size=(4, 3)).astype("float32")
    action = rng.normal(size=(4, 3)).astype("float32")
    expected = stats.norm(mean.astype("float64"), std)
    tensor = ops.convert_to_tensor(mean)
    np.testing.assert_allclose(
        gaussian_log_prob(ops.convert_to_tensor(action), tensor, std),
        expected.logpdf(action).sum(axis=-1),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        gaussian_entropy(tensor, std), expected.entropy().sum(axis=-1), rtol=1e-5
    )


def test_what_is_drawn_has_the_mean_and_the_deviation():
    mean = ops.convert_to_tensor(np.tile(np.float32([1.0, -2.0]), (50_000, 1)))
    std = np.float32([0.5, 3.0])
    noise = random_normal(ops.convert_to_tensor(SEED), 0, mean.shape)
    drawn = ops.convert_to_numpy(gaussian_sample(mean, std, noise))
    for column, expected in zip(drawn.T, ((1.0, 0.5), (-2.0, 3.0)), strict=True):
        assert stats.kstest(column, stats.norm(*expected).cdf).pvalue > 1e-4


def test_no_gradient_runs_through_what_was_drawn():
    """Else the log-probability would be constant, and its gradient zero."""

    def log_prob(mean):
        action = mean + 0.5  # drawn, but not by `gaussian_sample`
        return ops.sum(gaussian_log_prob(action, mean, 1.0))

    (slope,) = gradients(log_prob, [np.zeros((2, 3), "float32")])
    np.testing.assert_allclose(slope, 0.5, rtol=1e-6)


def test_entries_are_drawn_by_the_softmax_of_those_that_are_kept(rng):
    logits = np.float32([1.0, 0.0, 5.0, -1.0])
    mask = np.array([True, True, False, True])
    rows = ops.convert_to_tensor(np.tile(logits, (50_000, 1)))
    noise = random_gumbel(ops.convert_to_tensor(SEED), 0, rows.shape)
    for kept in (None, mask):
        drawn = ops.convert_to_numpy(categorical_sample(rows, noise, kept))
        weights = np.exp(logits.astype("float64")) * (1 if kept is None else kept)
        counts = np.bincount(drawn, minlength=4)
        possible = weights > 0
        assert not counts[~possible].any()
        expected = 50_000 * weights / weights.sum()
        assert stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-4


def test_without_noise_the_most_probable_entry_is_taken():
    logits = ops.convert_to_tensor(np.float32([[1.0, 3.0, 2.0], [0.0, -1.0, 9.0]]))
    np.testing.assert_array_equal(categorical_sample(logits), [1, 2])
    kept = np.array([[True, False, True], [True, True, False]])
    np.testing.assert_array_equal(categorical_sample(logits, None, kept), [2, 0])


@pytest.mark.parametrize("masked", [False, True])
def test_the_categorical_distribution_is_scipys(rng, masked):
    logits = rng.normal(size=(5, 4)).astype("float32")
    kept = np.array([True, False, True, True]) if masked else np.ones(4, bool)
    weights = np.exp(logits.astype("float64")) * kept
    weights /= weights.sum(axis=-1, keepdims=True)
    mask = kept if masked else None
    actions = np.int32([0, 2, 3, 0, 2])
    tensor = ops.convert_to_tensor(logits)
    np.testing.assert_allclose(
        categorical_log_prob(ops.convert_to_tensor(actions), tensor, mask),
        np.log(weights[np.arange(5), actions]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        categorical_entropy(tensor, mask),
        [stats.entropy(row) for row in weights],
        rtol=1e-5,
    )


def test_a_row_with_nothing_to_draw_is_zero_in_values_and_gradients():
    mask = np.array([[True, True], [False, False]])
    logits = np.float32([[0.3, 0.1], [0.7, 0.2]])

    def total(logits):
        action = categorical_sample(logits, None, mask)
        log_prob = categorical_log_prob(action, logits, mask)
        return ops.sum(log_prob + categorical_entropy(logits, mask))

    values = categorical_log_prob(np.int32([0, 0]), ops.convert_to_tensor(logits), mask)
    assert ops.convert_to_numpy(values)[1] == 0.0
    assert categorical_sample(ops.convert_to_tensor(logits), None, mask)[1] == 0
    (slope,) = gradients(total, [logits])
    np.testing.assert_array_equal(slope[1], 0.0)
    assert np.isfinite(slope).all() and np.abs(slope[0]).max() > 0


def test_what_is_minus_infinite_is_never_chosen_and_has_no_share():
    logits = np.float32([[-np.inf, 1.0, 2.0], [0.5, -np.inf, -np.inf]])
    finite = np.float32([[1.0, 2.0], [0.5, -1e30]])
    found = categorical_entropy(ops.convert_to_tensor(logits))
    expected = stats.entropy(np.exp(finite.astype("float64")), axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-6)

    def both(logits):
        action = categorical_sample(logits)
        return ops.sum(
            categorical_entropy(logits) + categorical_log_prob(action, logits)
        )

    (slope,) = gradients(both, [logits])
    assert np.isfinite(slope).all() and np.abs(slope[0, 1:]).min() > 1e-3
    np.testing.assert_array_equal(slope[np.isneginf(logits)], 0.0)


def test_an_action_may_be_of_another_precision(rng):
    mean = ops.convert_to_tensor(rng.normal(size=(4, 2)).astype("float32"))
    action = ops.cast(mean, "bfloat16")
    expected = gaussian_log_prob(ops.cast(action, "float32"), mean, 0.5)
    np.testing.assert_allclose(gaussian_log_prob(action, mean, 0.5), expected)
