import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import KnownLabelsLoss
from tests.gradients import BACKEND, MODES, gradients, in_mode

LABELS = np.float32([[1, np.nan, 0], [np.nan, np.nan, 1], [0, 1, np.nan]])
LOGITS = np.float32([[0.3, -2.0, 1.0], [4.0, 0.1, -0.5], [2.0, 0.2, 0.0]])
KNOWN = ~np.isnan(LABELS)


def crossentropy(labels, logits):
    return np.logaddexp(0.0, logits) - labels * logits


@pytest.fixture
def loss():
    return KnownLabelsLoss(keras.losses.BinaryCrossentropy(from_logits=True))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0]])
def test_is_the_mean_over_known_labels(loss, mode, weights):
    each = crossentropy(LABELS, LOGITS)[KNOWN]
    rows = np.broadcast_to(np.c_[weights or np.ones(3)], (3, 3))[KNOWN]
    expected = (each * rows).sum() / rows.sum()
    arguments = [LABELS, LOGITS] + ([np.float32(weights)] if weights else [])
    found = in_mode(loss, mode)(*map(ops.convert_to_tensor, arguments))
    np.testing.assert_allclose(float(found), expected, rtol=1e-6)


def test_a_missing_label_has_no_gradient(loss):
    logits = np.where(KNOWN, LOGITS, np.float32(1e30))
    (found,) = gradients(lambda x: loss(ops.convert_to_tensor(LABELS), x), [logits])
    sigmoid = 1 / (1 + np.exp(-LOGITS))
    expected = np.where(KNOWN, (sigmoid - np.nan_to_num(LABELS)) / KNOWN.sum(), 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_known_costs_nothing(loss, mode):
    labels = ops.convert_to_tensor(np.full((3, 3), np.nan, "float32"))
    logits = ops.convert_to_tensor(LOGITS)
    assert float(in_mode(loss, mode)(labels, logits)) == 0.0
    (found,) = gradients(lambda x: loss(labels, x), [LOGITS], mode=mode)
    np.testing.assert_array_equal(found, 0.0)


def test_weights_of_single_labels(loss):
    weights = np.float32([[1, 5, 2], [0, 0, 1], [3, 0, 9]])
    each = (crossentropy(LABELS, LOGITS) * weights)[KNOWN]
    expected = each.sum() / weights[KNOWN].sum()
    np.testing.assert_allclose(
        float(loss(LABELS, LOGITS, weights)), expected, rtol=1e-6
    )


def test_learns_in_fit_as_a_loop_by_hand():
    """One compiled step of gradient descent on a squared error."""
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")
    model = keras.Model(inputs, layer(inputs))
    model.compile(
        keras.optimizers.SGD(1.0),
        KnownLabelsLoss(keras.losses.MeanSquaredError()),
        jit_compile=BACKEND != "torch",
    )
    model.fit(LOGITS, LABELS, batch_size=3, verbose=0)
    slope = np.where(KNOWN, -2 * np.nan_to_num(LABELS), 0.0) / KNOWN.sum()
    expected = -LOGITS.T @ slope
    np.testing.assert_allclose(model.get_weights()[0], expected, atol=1e-6)


def test_is_saved_with_the_model(loss, tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss, jit_compile=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").loss
    assert loaded.get_config() == loss.get_config()
    assert float(loaded(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))


@pytest.mark.parametrize(
    "other", [None, "mean_squared_error", keras.losses.mean_squared_error]
)
def test_refuses_what_is_no_loss(other):
    with pytest.raises(ValueError, match=r"must be a keras\.losses\.Loss.*Received"):
        KnownLabelsLoss(other)
