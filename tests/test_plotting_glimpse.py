import io
import itertools

import numpy as np
import pytest

from keras_attn.ops.glimpse import glimpse
from keras_attn.plotting import (
    glimpse as plotting,
)
from keras_attn.plotting import (
    glimpse_animation,
    glimpse_grid,
    glimpse_path,
    glimpse_views,
)

plt = pytest.importorskip("matplotlib.pyplot")
LOCATIONS = np.float32([[0, 0], [-0.5, 0.25], [0.9, -0.9]])


@pytest.fixture
def image(rng):
    yield rng.random((12, 10, 1)).astype("float32")
    plt.close("all")


def frames(ax):
    """First row, first column and side of each, on the grid of the pixels."""
    boxes = [(p.get_y() + 0.5, p.get_x() + 0.5, p.get_width()) for p in ax.patches]
    return np.array(boxes)


def test_each_frame_lies_around_what_was_seen(image):
    ax = glimpse_path(image, LOCATIONS, size=3, num_scales=2)
    found = frames(ax).reshape(3, 2, 3)
    np.testing.assert_array_equal(found[..., 2], [[3, 6]] * 3)
    padded = np.pad(image[..., 0], 10)
    views = np.asarray(glimpse(image[None], LOCATIONS[None], 3, 2))[0, ..., 0]
    for boxes, view in zip(found.astype(int), views, strict=True):
        for scale, (row, column, side) in enumerate(boxes):
            patch = padded[row + 10 :, column + 10 :][:side, :side]
            pooled = patch.reshape(3, side // 3, 3, side // 3).mean(axis=(1, 3))
            np.testing.assert_allclose(view[scale], pooled, atol=1e-6)


def test_the_path_goes_through_the_middle_of_what_was_looked_at(image):
    ax = glimpse_path(image, [[0, 0], [1, -1]], size=2)
    line = ax.lines[0].get_xydata()
    np.testing.assert_allclose(line, [[4.5, 5.5], [-0.5, 11.5]])
    assert ax.get_ylim() == (11.5, -0.5)  # the first row is on top
    np.testing.assert_allclose(ax.lines[1].get_xydata(), line[:1])  # where it begins
    first, last = (patch.get_edgecolor() for patch in ax.patches)
    assert first == pytest.approx(plt.get_cmap(plotting.COLORS)(0.0))
    assert last == pytest.approx(plt.get_cmap(plotting.COLORS)(1.0))


def test_views_are_what_the_retina_shows(image):
    axes = glimpse_views((image * 255).astype("uint8"), LOCATIONS, 3, 2)
    assert axes.shape == (2, 3)
    views = np.asarray(glimpse(image[None], LOCATIONS[None], 3, 2))[0]
    for step, scale in np.ndindex(3, 2):
        shown = axes[scale, step].images[0].get_array()
        np.testing.assert_allclose(shown, views[step, scale, ..., 0], atol=0.005)


def test_a_grid_has_a_path_for_each_image(image):
    images, paths = np.stack([image] * 7), np.stack([LOCATIONS] * 7)
    axes = glimpse_grid(images, paths, 3, titles=list("abcdefg"))
    assert [ax.get_title() for ax in axes] == list("abcdefg")
    assert len(axes[0].figure.axes) == 7
    assert all(len(ax.patches) == 3 for ax in axes)
    _, own = plt.subplots(1, 2)
    assert list(glimpse_grid(images[:2], paths[:2], 3, axes=own)) == list(own)


def test_colours_are_drawn_in_colour(rng):
    ax = glimpse_path(rng.random((6, 6, 3)), LOCATIONS, 2)
    assert ax.images[0].get_array().shape == (6, 6, 3)
    plt.close("all")


def test_an_animation_has_a_picture_for_each_glimpse(image, tmp_path, monkeypatch):
    from PIL import Image

    drawn = []

    def path(image, locations, *arguments, **options):
        drawn.append(len(locations))
        return glimpse_path(image, locations, *arguments, **options)

    monkeypatch.setattr(plotting, "glimpse_path", path)
    glimpse_animation(image, LOCATIONS, tmp_path / "look.gif", 3, 2, 4.0)
    assert drawn[-3:] == [1, 2, 3]
    with Image.open(io.BytesIO((tmp_path / "look.gif").read_bytes())) as film:
        assert film.n_frames == 3 and film.info["duration"] == 250
        pictures = []
        for step in range(3):
            film.seek(step)
            pictures.append(np.asarray(film.convert("L")).copy())
    assert all((a != b).any() for a, b in itertools.pairwise(pictures))
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("shape", "locations", "message"),
    [
        ((4, 4, 2), LOCATIONS, r"`image` must have shape.*\(4, 4, 2\)"),
        ((4,), LOCATIONS, "`image` must have shape"),
        ((4, 4), LOCATIONS[0], "`locations` must have shape"),
        ((4, 4), LOCATIONS[:0], "at least one glimpse"),
        ((4, 4), LOCATIONS * np.nan, "`locations` must be finite"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_named(shape, locations, message):
    with pytest.raises(ValueError, match=message):
        glimpse_path(np.zeros(shape), locations, 2)


def test_dark_pictures_are_not_black(image):
    axes = glimpse_views(image - 5, LOCATIONS, size=3)
    shown = axes[0, 0].get_images()[0]
    assert shown.get_clim() == pytest.approx((image.min() - 5, 0), abs=0.5)


def test_sizes_and_rates_that_show_nothing_are_named(image, tmp_path):
    with pytest.raises(ValueError, match=r"`size` must be .*size=0"):
        glimpse_path(image, LOCATIONS, size=0)
    with pytest.raises(ValueError, match=r"`num_scales` must be .*num_scales=0"):
        glimpse_views(image, LOCATIONS, size=3, num_scales=0)
    with pytest.raises(ValueError, match=r"above 0.*frames_per_second=0"):
        glimpse_animation(
            image, LOCATIONS, tmp_path / "path.gif", size=3, frames_per_second=0
        )


def test_axes_and_titles_must_match(image):
    with pytest.raises(ValueError, match=r"`axes` must be 3\. Received: 1 axes"):
        glimpse_views(image, LOCATIONS, 3, axes=plt.subplots()[1])
    with pytest.raises(ValueError, match="1 images, 1 locations, 2 titles"):
        glimpse_grid(image[None], LOCATIONS[None], 3, titles=["a", "b"])
