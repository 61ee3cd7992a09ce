import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_attn import (
    GlimpseNetwork,
    GlimpseSensor,
    LocationPolicy,
    RecurrentAttention,
)
from keras_attn.layers import recurrent_attention
from keras_attn.ops.gaussian_policy import gaussian_sample
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, gradients, in_mode, weighted_sum

STD = 0.05


def make(cell="relu", num_glimpses=4, std=STD, hidden_units=None, scan=False, **kwargs):
    cells = {
        "relu": keras.layers.SimpleRNNCell(6, "relu"),
        "lstm": keras.layers.LSTMCell(6),
    }
    layer = RecurrentAttention(
        GlimpseNetwork(GlimpseSensor(3, 2), 5, 4, 3),
        LocationPolicy(std, hidden_units, num_glimpses - 1 if scan else None, seed=1),
        cells[cell],
        num_glimpses=num_glimpses,
        **{"num_classes": 3, **kwargs},
    )
    layer.build((None, 8, 8, 1))
    rng = np.random.default_rng(2)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return layer


@pytest.fixture
def images(rng):
    return rng.random((5, 8, 8, 1)).astype("float32")


def weights_of(layer):
    """The trainable weights, by the part that they belong to."""
    parts = {"classifier": layer.classifier, "baseline": layer.baseline}
    parts |= {"policy": layer.location_policy, "cell": layer.cell}
    parts["glimpse"] = layer.glimpse_network
    return {name: part.trainable_weights for name, part in parts.items()}


def follow(layer, images, locations):
    """States, logits, means and values along given locations, in float64."""

    def dense(sublayer, x, activation=lambda x: x):
        kernel, bias = (
            ops.convert_to_numpy(w).astype("float64") for w in sublayer.weights
        )
        return activation(x @ kernel + bias)

    def relu(x):
        return np.maximum(x, 0.0)

    network = layer.glimpse_network
    kernel, recurrent, bias = (
        ops.convert_to_numpy(w).astype("float64") for w in layer.cell.weights
    )
    state, states = np.zeros((len(images), 6)), []
    for step in range(locations.shape[1]):
        view = ops.convert_to_numpy(network.sensor(images, locations[:, step]))
        what = dense(network.what, view.reshape(len(images), -1), relu)
        where = dense(network.where, locations[:, step], relu)
        seen = dense(network.joint, np.concatenate([what, where], axis=-1), relu)
        state = relu(seen @ kernel + state @ recurrent + bias)
        states.append(state)
    before = np.stack(states[:-1], axis=1)
    policy = layer.location_policy
    means = dense(policy.place, before)
    if policy.step_bias is not None:
        means = means + ops.convert_to_numpy(policy.step_bias).astype("float64")
    values = dense(layer.baseline, before)[..., 0]
    return dense(layer.classifier, state), np.tanh(means), values


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_without_training_it_follows_the_means(images, mode, scan):
    layer = make(scan=scan)
    logits, trace = in_mode(lambda x: layer(x, return_trace=True), mode)(
        ops.convert_to_tensor(images)
    )
    assert_same(layer(images), logits)
    locations = ops.convert_to_numpy(trace["locations"])
    assert locations.shape == (5, 4, 2)
    np.testing.assert_array_equal(locations[:, 0], 0.0)
    expected, means, values = follow(layer, images, locations)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(locations[:, 1:], means, atol=1e-5)
    np.testing.assert_allclose(trace["values"], values, atol=1e-5)
    density = 2 * stats.norm(scale=STD).logpdf(0.0)
    np.testing.assert_allclose(trace["log_prob"], np.full((5, 3), density), rtol=1e-5)


def test_in_training_glimpses_and_states_are_dropped():
    """Each row of logits is that of one of the ways to drop, of which all come up."""
    layer = make(num_glimpses=1, dropout=0.5, num_classes=6)
    layer.classifier.set_weights([np.eye(6), np.zeros(6)])
    network, cell = layer.glimpse_network, layer.cell
    cell.set_weights([np.abs(w) for w in cell.get_weights()])  # no state is zero
    network.joint.set_weights([np.abs(w) for w in network.joint.get_weights()])
    images = np.ones((2000, 8, 8, 1), "float32")
    kernel, _, bias = (ops.convert_to_numpy(w) for w in cell.weights)
    seen = ops.convert_to_numpy(network(images[:1], np.zeros((1, 2), "float32")))
    ways = np.array(list(itertools.product([0.0, 2.0], repeat=5)))
    states = 2 * (ways * seen @ kernel + bias)
    logits = ops.convert_to_numpy(layer(images, training=True))
    fits = (logits[:, None] == 0) | np.isclose(logits[:, None], states, atol=1e-5)
    fits = fits.all(axis=-1)[(logits != 0).sum(axis=-1) > 3]
    assert fits.any(axis=-1).all() and fits.any(axis=0).all()
    assert abs((logits == 0).mean() - 0.5) < 0.05
    np.testing.assert_allclose(
        layer(images[:1]), seen @ kernel + bias, atol=1e-5, err_msg="in inference"
    )


@pytest.mark.parametrize("scan", [False, True])
def test_samples_are_passes_of_their_own(images, scan):
    layer = make(scan=scan)
    logits, trace = layer(images, num_samples=6, return_trace=True)
    assert logits.shape == (5, 6, 3) and trace["log_prob"].shape == (5, 6, 3)
    for sample in range(6):
        locations = ops.convert_to_numpy(trace["locations"])[:, sample]
        expected, means, values = follow(layer, images, locations)
        np.testing.assert_allclose(logits[:, sample], expected, atol=1e-5)
        np.testing.assert_allclose(trace["values"][:, sample], values, atol=1e-5)
        inside = np.abs(locations[:, 1:]).max(axis=-1) < 1.0
        density = stats.norm(means, STD).logpdf(locations[:, 1:]).sum(axis=-1)
        found = ops.convert_to_numpy(trace["log_prob"])[:, sample]
        np.testing.assert_allclose(found[inside], density[inside], atol=2e-3)
        assert inside.mean() > 0.5
    spread = ops.convert_to_numpy(trace["locations"])[:, :, 1].std(axis=1)
    assert 0.01 < spread.mean() < 0.1


def test_wide_draws_are_looked_at_from_the_edge(images, monkeypatch):
    drawn = []

    def sampled(*arguments):
        drawn.append(gaussian_sample(*arguments))
        return drawn[-1]

    monkeypatch.setattr(recurrent_attention, "gaussian_sample", sampled)
    layer = make(std=1.0)
    images = np.tile(images, (40, 1, 1, 1))
    _, trace = layer(images, num_samples=2, return_trace=True)
    draws = np.stack([ops.convert_to_numpy(draw) for draw in drawn], axis=2)
    locations = ops.convert_to_numpy(trace["locations"])
    np.testing.assert_array_equal(locations[:, :, 1:], np.clip(draws, -1, 1))
    noise = []
    for sample in range(2):
        _, means, _ = follow(layer, images, locations[:, sample])
        density = stats.norm(means, 1.0).logpdf(draws[:, sample]).sum(axis=-1)
        found = trace["log_prob"][:, sample]
        np.testing.assert_allclose(found, density, atol=1e-4)
        noise.append(draws[:, sample] - means)
    noise = np.stack(noise, axis=2).reshape(200, -1)  # steps, samples and entries
    apart = np.corrcoef(noise, rowvar=False) - np.eye(12)
    assert np.abs(apart).max() < 5 / np.sqrt(200)
    assert stats.kstest(noise.ravel(), stats.norm.cdf).pvalue > 1e-4


def test_the_pass_by_the_means_comes_before_the_samples(images):
    layer = make()
    passes, trace = layer(
        images, num_samples=2, include_mean=True, return_trace=True, training=True
    )
    expected, straight = layer(images, return_trace=True)
    passes = ops.convert_to_numpy(passes)
    assert passes.shape == (5, 3, 3)
    assert_same(passes[:, 0], expected)
    assert_same(trace["locations"][:, 0], straight["locations"])
    assert np.abs(passes[:, 1] - passes[:, 2]).max() > 1e-4
    assert np.abs(passes[:, 1] - passes[:, 0]).max() > 1e-4


def test_in_training_the_one_pass_is_drawn(images):
    layer = make()
    drawn, straight = (
        ops.convert_to_numpy(layer(images, training=training))
        for training in (True, False)
    )
    assert drawn.shape == (5, 3)
    assert np.abs(drawn - straight).max() > 1e-4


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_gradients_stop_where_the_paper_has_them_stop(images, cell):
    layer = make(cell, std=0.5, hidden_units=4)
    parts = weights_of(layer)
    reached = {
        "logits": {"classifier", "cell", "glimpse"},
        "log_prob": {"policy"},
        "values": {"baseline"},
        "locations": set(),
    }
    for output, expected in reached.items():

        def loss(x, output=output):
            logits, trace = layer(x, num_samples=3, return_trace=True)
            return weighted_sum({"logits": logits, **trace}[output])

        found = gradients(loss, [images], layer.trainable_weights)
        paths = [weight.path for weight in layer.trainable_weights]
        slopes = dict(zip(paths, found[1:], strict=True))
        for name, weights in parts.items():
            for weight in weights:
                moves = np.abs(slopes[weight.path]).max() > 0
                assert moves == (name in expected), (output, weight.path)
        assert (np.abs(found[0]).max() > 0) == (output == "logits")


def test_the_gradient_of_the_logits_is_that_of_fixed_locations(images):
    """As if someone else had said where to look."""
    layer = make(num_glimpses=3)
    weight = layer.cell.recurrent_kernel
    _, trace = layer(images, return_trace=True)
    locations = ops.convert_to_numpy(trace["locations"])
    factors = np.cos(np.arange(15)).reshape(5, 3)
    found = gradients(lambda x: weighted_sum(layer(x)), [images], [weight])[1]
    start = ops.convert_to_numpy(weight).astype("float64")

    class Moved:
        """The layer with other recurrent weights, in float64."""

        def __init__(self, kernel):
            kernels = [layer.cell.kernel, kernel, layer.cell.bias]
            self.cell = type("Cell", (), {"weights": kernels})
            for name in ("glimpse_network", "location_policy", "classifier"):
                setattr(self, name, getattr(layer, name))
            self.baseline = layer.baseline

    for place in [(0, 0), (3, 1), (5, 5)]:
        ends = []
        for sign in (1, -1):
            kernel = start.copy()
            kernel[place] += sign * 1e-6
            logits, _, _ = follow(Moved(kernel), images, locations)
            ends.append((logits * factors).sum())
        assert abs(found[place] - (ends[0] - ends[1]) / 2e-6) < 1e-4


def test_one_glimpse_decides_nothing(images):
    logits, trace = make(num_glimpses=1)(images, num_samples=2, return_trace=True)
    assert logits.shape == (5, 2, 3)
    assert trace["log_prob"].shape == trace["values"].shape == (5, 2, 0)
    assert_same(logits[:, 0], logits[:, 1])


def test_bytes_are_seen_as_numbers_up_to_one(images):
    layer = make()
    pixels = (images * 255).astype("uint8")
    assert_same(layer(pixels), layer((pixels / 255).astype("float32")))


def test_a_pixel_that_is_no_number_is_dark(images):
    layer = make()
    images[0, 3:6, 3, 0] = np.nan, np.inf, -np.inf
    dark = np.where(np.isfinite(images), images, 0.0).astype("float32")
    assert_same(layer(images), layer(dark))


def test_what_happened_is_told_in_full_precision(images):
    layer = make(dtype="mixed_bfloat16")
    logits, trace = layer(images, return_trace=True)
    assert ops.dtype(logits) == "bfloat16"
    assert {ops.dtype(tensor) for tensor in trace.values()} == {"float32"}


@pytest.mark.skipif(BACKEND == "torch", reason="torch has no compiled mode here")
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_draws_the_same_passes(images, mode):
    expected = make()(images, num_samples=3, include_mean=True, return_trace=True)
    layer = make()

    def call(x):
        return layer(x, num_samples=3, include_mean=True, return_trace=True)

    if BACKEND == "jax" and mode == "xla":
        seed = layer.location_policy.seed_generator.state
        with keras.StatelessScope(state_mapping=[(seed, seed.value)]):
            found = in_mode(call, mode)(ops.convert_to_tensor(images))
    else:
        found = in_mode(call, mode)(ops.convert_to_tensor(images))
    assert_same(found, expected)


DROPPING = keras.layers.GRUCell(4, dropout=0.5)


def test_cells_may_be_stacked(images):
    cells = [keras.layers.LSTMCell(6), keras.layers.SimpleRNNCell(7)]
    layer = RecurrentAttention(
        GlimpseNetwork(GlimpseSensor(3), 5),
        LocationPolicy(seed=1),
        keras.layers.StackedRNNCells(cells),
        num_classes=3,
        num_glimpses=3,
    )
    logits, trace = layer(images, num_samples=2, return_trace=True)
    assert layer.classifier.kernel.shape == (7, 3)
    assert logits.shape == (len(images), 2, 3)
    assert trace["locations"].shape == (len(images), 2, 3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_glimpses": 0}, "`num_glimpses` must be an int of at least 1.*=0"),
        ({"num_classes": 0}, "`num_classes` must be an int of at least 1.*=0"),
        ({"cell": 8}, "`cell` must be a Keras RNN cell.*cell=8"),
        ({"cell": keras.layers.LSTM(4)}, "`cell` must be a Keras RNN cell.*LSTM"),
        (
            {"cell": keras.layers.LSTMCell(4, recurrent_dropout=0.5)},
            "`cell` must have no dropout of its own.*cell.recurrent_dropout=0.5",
        ),
        (
            {"cell": keras.layers.StackedRNNCells([DROPPING])},
            "`cell` must have no dropout of its own.*cell.dropout=0.5",
        ),
        ({"location_policy": 8}, "`location_policy` must be a LocationPolicy.*8"),
        (
            {"location_policy": LocationPolicy(num_steps=6)},
            "`location_policy` must have a step for each .* 5. Received: num_steps=6",
        ),
        ({"glimpse_network": 8}, "`glimpse_network` must be a GlimpseNetwork.*8"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    sound = {
        "glimpse_network": GlimpseNetwork(GlimpseSensor(3)),
        "location_policy": LocationPolicy(),
        "cell": keras.layers.LSTMCell(4),
        "num_classes": 3,
    }
    with pytest.raises(ValueError, match=message):
        RecurrentAttention(**{**sound, **arguments})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"num_samples": 0}, "`num_samples` must be an int of at least 1.*=0"),
        ({"include_mean": True}, "`include_mean` needs `num_samples`"),
    ],
    ids=str,
)
def test_bad_calls_are_named(images, call, message):
    with pytest.raises(ValueError, match=message):
        make()(images, **call)


def test_images_of_another_rank_are_named(images):
    with pytest.raises(ValueError, match="`images` must have shape"):
        make()(images[..., 0])
