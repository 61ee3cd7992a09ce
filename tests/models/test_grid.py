"""From an image to a grid: what is where, and that nothing else depends on it."""

import numpy as np
import pytest
from keras import layers, ops

from keras_attn import ImageCaptioner
from keras_attn.models._grid import Grid, with_places

WIDTHS = (3, 5)


def test_a_thing_looks_the_same_wherever_it_is(rng):
    grid = Grid(WIDTHS, "float32")
    thing = rng.random((4, 4, 2)).astype("float32")
    images = np.zeros((2, 24, 32, 2), "float32")
    images[0, 8:12, 8:12], images[1, 8:12, 16:20] = thing, thing
    first, second = ops.convert_to_numpy(grid(images))
    assert first.shape == (6, 8, 5) and np.ptp(first[1:4, 1:4], axis=(0, 1)).max() > 0.1
    np.testing.assert_allclose(first[1:4, 1:4], second[1:4, 3:6], atol=1e-6)


@pytest.mark.parametrize("most_across, columns", [(None, 8), (1, 16), (0, 32)])
def test_levels_may_halve_the_height_only(rng, most_across, columns):
    grid = Grid(WIDTHS, "float32", most_across)
    images = rng.random((2, 24, 32, 1)).astype("float32")
    assert tuple(grid(images).shape) == (2, 6, columns, 5)
    assert grid.smallest == (4, 32 // columns)


def test_blank_places_stay_dark_beside_ink(rng):
    """Each channel is normalized over all places: the blank ones share one value."""
    grid = Grid((4,), "float32")
    images = np.zeros((2, 16, 16, 1), "float32")
    images[:, 4:8, 4:8] = 10 * rng.random((2, 4, 4, 1))
    convolution, norm, _ = grid.levels[0]
    found = ops.convert_to_numpy(norm(convolution(images), training=True))
    raw = ops.convert_to_numpy(convolution(images)).astype("float64")
    mean, variance = raw.mean(axis=(0, 1, 2)), raw.var(axis=(0, 1, 2))
    np.testing.assert_allclose(
        found, (raw - mean) / np.sqrt(variance + 1e-3), atol=1e-4
    )
    assert isinstance(norm, layers.BatchNormalization) and convolution.bias is None


def test_places_are_the_last_two_channels(rng):
    grid = rng.random((2, 3, 5, 4)).astype("float32")
    found = ops.convert_to_numpy(with_places(grid))
    np.testing.assert_array_equal(found[..., :4], grid)
    rows, columns = np.meshgrid([-1, 0, 1], [-1, -0.5, 0, 0.5, 1], indexing="ij")
    for image in found:
        np.testing.assert_allclose(image[..., 4], rows)
        np.testing.assert_allclose(image[..., 5], columns)


def test_what_a_captioner_remembers_of_a_place_says_where_it_is(rng):
    model = ImageCaptioner(9, (16, 16, 3), WIDTHS, units=8, embedding_dim=4)
    memory, _ = model.read(rng.random((2, 16, 16, 3)).astype("float32"))
    found = ops.convert_to_numpy(memory)
    assert found.shape == (2, 4, 4, WIDTHS[-1] + 2)
    steps = np.linspace(-1, 1, 4)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    expected = np.tile(np.stack([rows, columns], -1), (2, 1, 1, 1))
    np.testing.assert_allclose(found[..., -2:], expected, atol=1e-6)
