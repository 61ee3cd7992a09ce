"""The retina against one that walks over the pixels, in float64."""

import numpy as np
import pytest
from keras import ops

from keras_attn.ops.glimpse import glimpse
from tests.gradients import MODES, gradients, in_mode, weighted_sum


def reference(image, location, size, num_scales):
    """What one eye sees of one image: `(num_scales, size, size, channels)`."""
    height, width, channels = image.shape
    image = np.nan_to_num(image.astype("float64"), nan=0.0)
    views = np.zeros((num_scales, size, size, channels))
    corner = [
        int(np.floor((x + 1) / 2 * length - size / 2 + 0.5))
        for x, length in zip(location, (height, width), strict=True)
    ]
    for scale in range(num_scales):
        square = 2**scale
        margin = size * (square - 1) // 2
        for row, column in np.ndindex(size * square, size * square):
            y, x = corner[0] - margin + row, corner[1] - margin + column
            if 0 <= y < height and 0 <= x < width:
                views[scale, row // square, column // square] += image[y, x]
        views[scale] /= square**2
    return views


def all_of(images, locations, size, num_scales):
    return np.array(
        [
            [reference(image, eye, size, num_scales) for eye in eyes]
            for image, eyes in zip(images, locations, strict=True)
        ]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "size", "num_scales"),
    [
        ((9, 12, 1), 4, 1),
        ((12, 9, 3), 4, 3),
        ((10, 11, 2), 3, 2),
        ((25, 30, 1), 3, 3),
        ((7, 7, 1), 5, 3),
        ((3, 2, 1), 8, 2),
        ((6, 6, 1), 1, 2),
    ],
    ids=str,
)
def test_matches_the_walk_over_the_pixels(shape, size, num_scales, mode, rng):
    """Where the image is smaller than a glimpse, and where it is far larger."""
    images = rng.normal(size=(3, *shape)).astype("float32")
    locations = rng.uniform(-1.2, 1.2, (3, 4, 2)).astype("float32")
    locations[0] = [[0, 0], [-1, -1], [1, 1], [-1, 1]]
    locations[1, :2] = [[30, 0], [0, -1e30]]
    function = in_mode(lambda x, y: glimpse(x, y, size, num_scales), mode)
    found = ops.convert_to_numpy(
        function(ops.convert_to_tensor(images), ops.convert_to_tensor(locations))
    )
    expected = all_of(images, locations, size, num_scales)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.any(found[1, :2])


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_reaches_the_pixels_that_were_seen(mode, rng):
    """The retina is linear: a slope times a picture is what is seen of the picture."""
    images, other = rng.normal(size=(2, 2, 7, 6, 2)).astype("float32")
    locations = rng.uniform(-1, 1, (2, 3, 2)).astype("float32")
    images[0, 2, 3] = np.nan
    (slope,) = gradients(
        lambda x: weighted_sum(glimpse(x, locations, 3, 2)), [images], mode=mode
    )
    other[0, 2, 3] = 0.0
    seen = weighted_sum(glimpse(ops.convert_to_tensor(other), locations, 3, 2))
    np.testing.assert_allclose((slope * other).sum(), seen, rtol=1e-4)
    np.testing.assert_array_equal(slope[0, 2, 3], 0.0)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_a_number_is_not_seen(mode, rng):
    images = rng.normal(size=(2, 6, 6, 1)).astype("float32")
    images[0, 3, 3] = np.nan
    locations = np.float32([[[0, 0]], [[np.nan, 0]]])
    function = in_mode(lambda x, y: glimpse(x, y, 4), mode)
    found = ops.convert_to_numpy(
        function(ops.convert_to_tensor(images), ops.convert_to_tensor(locations))
    )
    np.testing.assert_allclose(found[0], all_of(images[:1], locations[:1], 4, 1)[0])
    np.testing.assert_array_equal(found[1], 0.0)


def test_bytes_become_numbers_up_to_one(rng):
    images = rng.integers(0, 256, (2, 6, 6, 1)).astype("uint8")
    locations = rng.uniform(-1, 1, (2, 3, 2)).astype("float32")
    found = glimpse(ops.convert_to_tensor(images), locations, 4, 2)
    expected = all_of(images / 255.0, locations, 4, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
