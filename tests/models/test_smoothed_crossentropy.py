import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import SmoothedCrossentropy
from tests.gradients import BACKEND, gradients


@pytest.fixture
def labels(rng):
    return rng.integers(0, 7, (3, 5)).astype("int32")


@pytest.fixture
def logits(rng):
    return (3 * rng.normal(size=(3, 5, 7))).astype("float32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_equals_keras_on_one_hot_labels(labels, logits, smoothing):
    theirs = keras.losses.CategoricalCrossentropy(True, smoothing)
    ours = SmoothedCrossentropy(smoothing)
    one_hot = np.eye(7, dtype="float32")[labels]
    weights = np.float32([[1], [0], [2]]) * np.ones((3, 5), "float32")
    for arguments in ({}, {"sample_weight": weights}):
        np.testing.assert_allclose(
            ours(labels, logits, **arguments),
            theirs(one_hot, logits, **arguments),
            rtol=1e-5,
        )
    found, expected = (
        gradients(lambda z, loss=loss, y=y: loss(y, z), [logits])[0]
        for loss, y in ((ours, labels), (theirs, one_hot))
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equals_the_formula(labels, logits):
    aim = 0.7 * np.eye(7)[labels] + 0.3 / 7
    scores = logits - np.log(np.exp(logits.astype("float64")).sum(-1, keepdims=True))
    found = SmoothedCrossentropy(0.3, reduction=None)(labels, logits)
    np.testing.assert_allclose(found, -(aim * scores).sum(axis=-1), rtol=1e-5)


def test_the_mask_of_the_logits_counts(labels, logits):
    mask = np.arange(5) < np.array([[5], [2], [0]])
    masked = ops.convert_to_tensor(logits)
    masked._keras_mask = ops.convert_to_tensor(mask)
    loss = SmoothedCrossentropy(0.1)
    found = loss(labels, masked)
    alone = SmoothedCrossentropy(0.1, reduction=None)(labels, logits)
    expected = ops.convert_to_numpy(alone)[mask].mean()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_large_logits_stay_finite():
    logits = np.float32([[1e4, -1e4, 0.0]])
    assert np.isfinite(float(SmoothedCrossentropy(0.1)(np.int32([1]), logits)))


def test_the_config_makes_a_twin():
    loss = SmoothedCrossentropy(0.2, reduction="sum", name="smooth")
    config = keras.losses.serialize(loss)
    twin = keras.losses.deserialize(config)
    assert type(twin) is SmoothedCrossentropy
    assert twin.get_config() == loss.get_config()
    assert twin.label_smoothing == 0.2


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_trains_under_xla(rng, labels):
    """To the smoothed distribution, not to certainty."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    loss = SmoothedCrossentropy(0.2)
    model.compile(keras.optimizers.Adam(0.1), loss, jit_compile=True)
    assert model.jit_compile
    model.fit(np.ones((8, 1)), np.full(8, 2), epochs=150, batch_size=8, verbose=0)
    chances = ops.convert_to_numpy(ops.softmax(model(np.ones((1, 1)))))[0]
    np.testing.assert_allclose(chances, [0.05, 0.05, 0.85, 0.05], atol=0.01)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_refuses(smoothing):
    with pytest.raises(ValueError, match=f"`label_smoothing` must be .*={smoothing}"):
        SmoothedCrossentropy(smoothing)


def test_labels_may_be_a_column_and_nothing_else(labels, logits):
    loss = SmoothedCrossentropy(0.1)
    np.testing.assert_allclose(
        loss(labels[..., None], logits), loss(labels, logits), rtol=1e-6
    )
    for wrong in (np.eye(7)[labels], labels[0]):
        with pytest.raises(ValueError, match=r"`y_true` must be ids.*y_pred\.shape"):
            loss(wrong, logits)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_refuses_a_dtype_that_holds_no_ids(dtype):
    with pytest.raises(ValueError, match=rf"`dtype` must not be of 16.*{dtype}"):
        SmoothedCrossentropy(dtype=dtype)
