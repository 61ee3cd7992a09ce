"""The arithmetic is tested in `tests/ops/test_glimpse.py`."""

import keras
import numpy as np
import pytest

from keras_attn import GlimpseNetwork, GlimpseSensor
from keras_attn.ops.glimpse import glimpse
from tests.comparison import assert_same


@pytest.fixture
def batch(rng):
    images = rng.normal(size=(2, 9, 8, 3)).astype("float32")
    return images, rng.uniform(-1, 1, (2, 4, 5, 2)).astype("float32")


def test_any_axes_of_eyes_look_at_one_image(batch):
    images, locations = batch
    sensor = GlimpseSensor(3, 2)
    seen = sensor(images, locations)
    assert seen.shape == (2, 4, 5, 2, 3, 3, 3)
    expected = glimpse(images, locations.reshape(2, 20, 2), 3, 2)
    assert_same(keras.ops.reshape(seen, expected.shape), expected)
    assert_same(sensor(images, locations[:, 1, 2]), seen[:, 1, 2])


def test_a_batch_of_one_and_an_image_smaller_than_a_glimpse(batch):
    images, locations = batch
    assert GlimpseSensor(12)(images[:1], locations[:1]).shape == (1, 4, 5, 1, 12, 12, 3)


@pytest.mark.parametrize("num_scales", [1, 3])  # cut first, shrunk first
def test_the_number_of_images_may_be_unknown(rng, num_scales):
    images, locations = keras.Input((6, 7, 1)), keras.Input((2,))
    sensor = GlimpseSensor(2, num_scales)
    model = keras.Model([images, locations], sensor(images, locations))
    assert model.output_shape == (None, num_scales, 2, 2, 1)
    batch = rng.random((3, 6, 7, 1)), rng.uniform(-1, 1, (3, 2))
    np.testing.assert_allclose(model.predict(batch, verbose=0), sensor(*batch))


def test_locations_stay_exact_in_sixteen_bits(rng):
    """A bfloat16 of 0.74 is off by 0.002, half a pixel of 500."""
    images = rng.normal(size=(1, 500, 500, 1)).astype("float32")
    locations = rng.uniform(-0.9, 0.9, (1, 30, 2)).astype("float32")
    half = GlimpseSensor(4, dtype="mixed_bfloat16")(images, locations)
    assert keras.ops.dtype(half) == "bfloat16"
    np.testing.assert_allclose(
        keras.ops.cast(half, "float32"), glimpse(images, locations, 4), atol=0.03
    )


@pytest.mark.parametrize(
    ("images", "locations", "message"),
    [
        ((2, 9, 8), (2, 2), r"`images` must have shape .*Received: .*\(2, 9, 8\)"),
        ((2, 9, 8, 3), (2,), "`locations` must have shape"),
        ((2, 9, 8, 3), (2, 3), r"rows and columns.*locations.shape=\(2, 3\)"),
        ((2, 9, 8, 3), (3, 2), "must have the same batch"),
    ],
    ids=str,
)
def test_bad_shapes_are_named(images, locations, message):
    with pytest.raises(ValueError, match=message):
        GlimpseSensor(3)(np.zeros(images, "float32"), np.zeros(locations, "float32"))


def test_an_unknown_size_of_the_image_is_named():
    images, location = keras.Input((None, 8, 1)), keras.Input((2,))
    with pytest.raises(ValueError, match="`images` must have a known height"):
        GlimpseSensor(3)(images, location)


def test_images_of_another_shape_than_at_first_are_named(batch):
    images, locations = batch
    sensor = GlimpseSensor(3)
    sensor(images, locations)
    with pytest.raises(ValueError, match=r"`images` must have shape \(9, 8, 3\)"):
        sensor(images[..., :1], locations)


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_other_integers_than_bytes_are_named(dtype):
    images, locations = np.zeros((1, 4, 4, 1), dtype), np.zeros((1, 2), "float32")
    with pytest.raises(ValueError, match=f"floats, or uint8.*images.dtype={dtype}"):
        GlimpseSensor(3)(images, locations)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": 2, "num_scales": 0}])
def test_sizes_below_one_are_named(arguments):
    with pytest.raises(
        ValueError, match=r"must be an int of at least 1\. Received: .*=0"
    ):
        GlimpseSensor(**arguments)


def test_the_network_joins_what_and_where(batch, rng):
    """Against the formula of the docstring, in float64."""
    images, locations = batch
    network = GlimpseNetwork(GlimpseSensor(3, 2), 7, 6, 5, bias_initializer="normal")
    found = network(images, locations)
    what, what_bias, where, where_bias, joint, bias = (
        keras.ops.convert_to_numpy(w).astype("float64") for w in network.weights
    )

    def relu(x):
        return np.maximum(x, 0.0)

    views = keras.ops.convert_to_numpy(network.sensor(images, locations))
    seen = relu(views.reshape(2, 4, 5, -1) @ what + what_bias)
    place = relu(locations @ where + where_bias)
    expected = relu(np.concatenate([seen, place], axis=-1) @ joint + bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_network_wants_a_sensor():
    with pytest.raises(ValueError, match=r"`sensor` must be a GlimpseSensor.*8"):
        GlimpseNetwork(8)
