import keras
import numpy as np
import pytest
from scipy import stats

from keras_attn import LocationPolicy
from keras_attn.layers import location_policy
from keras_attn.ops.gaussian_policy import gaussian_sample


@pytest.fixture
def states(rng):
    return rng.normal(size=(20_000, 4)).astype("float32")


def mean_of(policy, states):
    """The formula of the docstring, in float64."""
    weights = [
        keras.ops.convert_to_numpy(w).astype("float64")
        for w in policy.trainable_weights
    ]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        states = np.maximum(states @ kernel + bias, 0.0)
    return np.tanh(states @ weights[-2] + weights[-1])


@pytest.mark.parametrize("hidden_units", [None, 6])
def test_without_training_the_location_is_the_mean(states, hidden_units):
    policy = LocationPolicy(0.3, hidden_units, bias_initializer="normal")
    location, log_prob = policy(states, return_log_prob=True)
    np.testing.assert_allclose(location, mean_of(policy, states), atol=1e-5)
    expected = 2 * stats.norm(scale=0.3).logpdf(0.0)
    np.testing.assert_allclose(log_prob, np.full(len(states), expected), rtol=1e-5)


def test_in_training_it_is_drawn_and_looked_at_from_the_edge(states):
    policy = LocationPolicy(0.3, seed=1)
    location, log_prob = policy(states, return_log_prob=True, training=True)
    location = keras.ops.convert_to_numpy(location)
    assert np.abs(location).max() == 1.0
    mean = mean_of(policy, states)
    inside = np.abs(location).max(axis=1) < 1.0
    density = stats.norm(mean, 0.3).logpdf(location).sum(axis=1)
    np.testing.assert_allclose(log_prob[inside], density[inside], atol=1e-4)
    free = np.abs(mean).max(axis=1) < 0.1  # which hardly ever reach the edge
    drawn = (location - mean)[free] / 0.3
    for column in drawn.T:
        assert stats.kstest(column, stats.norm.cdf).pvalue > 1e-4
    again = keras.ops.convert_to_numpy(policy(states, training=True))
    assert not np.array_equal(again, location)
    twin = LocationPolicy(0.3, seed=1)
    twin.build(states.shape)
    twin.set_weights(policy.get_weights())
    np.testing.assert_array_equal(twin(states, training=True), location)


def test_the_deviation_can_be_narrowed_and_is_not_trained(states):
    policy = LocationPolicy(0.3, kernel_initializer="zeros", seed=1)
    policy.build(states.shape)
    assert policy.non_trainable_weights == [policy.deviation]
    policy.deviation.assign(0.05)
    location, log_prob = policy(states, return_log_prob=True, training=True)
    location = keras.ops.convert_to_numpy(location)
    for column in location.T:
        assert stats.kstest(column / 0.05, stats.norm.cdf).pvalue > 1e-4
    density = stats.norm(0.0, 0.05).logpdf(location).sum(axis=1)
    np.testing.assert_allclose(log_prob, density, atol=1e-4)
    twin = LocationPolicy.from_config(policy.get_config())
    twin.build(states.shape)
    assert float(twin.deviation) == pytest.approx(0.3)
    twin.set_weights(policy.get_weights())
    assert float(twin.deviation) == pytest.approx(0.05)


def test_under_half_precision_the_deviation_keeps_its_bits(states):
    policy = LocationPolicy(0.3, dtype="mixed_bfloat16")
    _, log_prob = policy(states, return_log_prob=True)
    assert keras.backend.standardize_dtype(policy.deviation.dtype) == "float32"
    expected = 2 * stats.norm(scale=0.3).logpdf(0.0)
    np.testing.assert_allclose(log_prob, np.full(len(states), expected), rtol=1e-5)


def test_beyond_the_edge_the_log_probability_is_that_of_the_draw(states, monkeypatch):
    drawn = []

    def sampled(*arguments):
        drawn.append(gaussian_sample(*arguments))
        return drawn[-1]

    monkeypatch.setattr(location_policy, "gaussian_sample", sampled)
    policy = LocationPolicy(1.0, seed=1)
    location, log_prob = policy(states, return_log_prob=True, training=True)
    (drawn,) = (keras.ops.convert_to_numpy(draw) for draw in drawn)
    assert (np.abs(drawn) > 1).any(axis=1).mean() > 0.3
    np.testing.assert_array_equal(location, np.clip(drawn, -1, 1))
    density = stats.norm(mean_of(policy, states), 1.0).logpdf(drawn).sum(axis=1)
    np.testing.assert_allclose(log_prob, density, atol=1e-4)


@pytest.mark.parametrize("hidden_units", [None, 6])
def test_steps_begin_spread_over_the_image_whatever_is_seen(states, hidden_units):
    policy = LocationPolicy(0.3, hidden_units, num_steps=5)
    seen = np.stack([policy(states[:3], step=step) for step in range(5)], axis=1)
    np.testing.assert_array_equal(seen[0], seen[1])
    points = np.concatenate([[[0.0, 0.0]], seen[0]])
    assert np.abs(points).max() < 0.7
    apart = np.linalg.norm(points[:, None] - points, axis=-1) + np.eye(6)
    assert apart.min() > 0.2
    assert ((points > 0.1).any(axis=0) & (points < -0.1).any(axis=0)).all()


def test_each_step_has_a_bias_of_its_own(rng, states):
    policy = LocationPolicy(0.3, num_steps=2)
    policy.build(states.shape)
    kernel, bias, steps = (rng.normal(size=s) for s in [(4, 2), (2,), (2, 2)])
    policy.place.set_weights([kernel, bias])
    policy.step_bias.assign(steps)
    for step in range(2):
        expected = np.tanh(states.astype("float64") @ kernel + bias + steps[step])
        np.testing.assert_allclose(policy(states, step=step), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("num_steps", "step", "message"),
    [
        (None, 0, "`step` must be None with num_steps=None. Received: step=0"),
        (2, None, r"`step` must be in \[0, 2\) with num_steps=2. Received: step=None"),
        (2, 2, r"`step` must be in \[0, 2\) .* Received: step=2"),
        (2, -1, r"`step` must be in \[0, 2\) .* Received: step=-1"),
    ],
)
def test_a_step_there_is_not_is_named(states, num_steps, step, message):
    with pytest.raises(ValueError, match=message):
        LocationPolicy(num_steps=num_steps)(states, step=step)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"std": 0.0}, "`std` must be above 0. Received: std=0.0"),
        ({"std": float("nan")}, "`std` must be a finite number.* Received: std=nan"),
        ({"std": "a"}, "`std` must be a finite number.* Received: std='a'"),
        ({"hidden_units": 0}, "`hidden_units` must be an int of at least 1"),
        ({"num_steps": 0}, "`num_steps` must be an int of at least 1"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocationPolicy(**arguments)


def test_states_of_another_rank_or_width_are_named(states):
    policy = LocationPolicy()
    policy(states)
    with pytest.raises(ValueError, match=r"`inputs` must have shape \(batch, dim\)"):
        policy(states[None])
    with pytest.raises(ValueError, match="`inputs` must have width 4"):
        policy(states[:, :3])
