"""Where a model of glimpses looked, and what it saw there."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.plotting.attention import _pyplot

INCHES = 2.2  # of a picture's side
INCHES_OF_A_VIEW = 0.9
MOST_COLUMNS = 6
COLORS = "autumn"  # from the first glimpse to the last


def glimpse_path(
    image: Any,
    locations: Any,
    size: int,
    num_scales: int = 1,
    ax: Any = None,
) -> Any:
    """Draws an image with the path of the glimpses, each a frame around what it saw.

    The frames run from red, the first glimpse, to yellow, the last one; the wider
    scales of a glimpse are thin.

    Args:
        image: Array `(height, width)` or `(height, width, channels)`, bytes or floats.
        locations: Array `(glimpses, 2)`, row and column in [-1, 1].
        size, num_scales: Ints, those of the `GlimpseSensor`.
        ax: The matplotlib axes to draw on. A figure is made if None.

    Returns:
        The axes; `ax.figure.savefig(path)` writes the picture.

    Raises:
        ValueError: If the image or the locations have another shape, the locations
            are not finite, or `size` or `num_scales` is below 1.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    answer = model.explain(images)
    ax = glimpse_path(images[0], answer["locations"][0], size=8)
    ax.figure.savefig("path.png")
    ```
    """
    picture, locations = _picture(image), _locations(locations)
    _check_retina(size, num_scales)
    plt = _pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=(INCHES, INCHES), layout="constrained")
    ax.imshow(picture, cmap="gray", interpolation="nearest")
    # An axis of pixels has 0 in the middle of the first one.
    places = (locations + 1) / 2 * picture.shape[:2] - 0.5
    ax.plot(places[:, 1], places[:, 0], color="tab:cyan", linewidth=1)
    for color, location in zip(_colors(plt, locations), locations, strict=True):
        for scale in range(num_scales):
            row, column = _corner(location, picture.shape, size, scale)
            side = size * 2**scale
            frame = plt.Rectangle(
                (column - 0.5, row - 0.5),
                *(side, side),
                fill=False,
                edgecolor=color,
                linewidth=0.5 if scale else 1.5,
            )
            ax.add_patch(frame)
    ax.plot(places[0, 1], places[0, 0], "o", color="tab:cyan", markersize=4)
    ax.set_xlim(-0.5, picture.shape[1] - 0.5)
    ax.set_ylim(picture.shape[0] - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def glimpse_views(
    image: Any,
    locations: Any,
    size: int,
    num_scales: int = 1,
    axes: Any = None,
) -> Any:
    """Draws what the retina showed at each step: glimpses across, scales down.

    Args:
        image, locations, size, num_scales: See `glimpse_path`.
        axes: The matplotlib axes to draw on, `(num_scales, glimpses)` of them. A
            figure is made if None.

    Returns:
        Array of the axes, `(num_scales, glimpses)`.

    Raises:
        ValueError: See `glimpse_path`; or if the number of axes is another one.
        ImportError: If matplotlib is not installed.
    """
    picture, locations = _picture(image), _locations(locations)
    _check_retina(size, num_scales)
    views = _views(picture, locations, size, num_scales)
    plt = _pyplot()
    shape = (num_scales, len(locations))
    if axes is None:
        inches = (INCHES_OF_A_VIEW * shape[1], INCHES_OF_A_VIEW * shape[0] + 0.2)
        _, axes = plt.subplots(
            *shape, figsize=inches, layout="constrained", squeeze=False
        )
    axes = _checked_axes(axes, math.prod(shape)).reshape(shape)
    light = _light(views)
    for step, scale in np.ndindex(shape[::-1]):
        ax = axes[scale, step]
        ax.imshow(views[step, scale], cmap="gray", **light)
        ax.set_xticks([])
        ax.set_yticks([])
        if scale == 0:
            ax.set_title(f"{step + 1}", fontsize="small")
    return axes


def glimpse_grid(
    images: Any,
    locations: Any,
    size: int,
    num_scales: int = 1,
    titles: Sequence[str] | None = None,
    axes: Any = None,
) -> Any:
    """Draws the paths over several images, a `glimpse_path` for each.

    Args:
        images: Array `(images, height, width, channels)`.
        locations: Array `(images, glimpses, 2)`.
        size, num_scales: See `glimpse_path`.
        titles: Optional strings, one for each image.
        axes: The matplotlib axes to draw on, one for each image. A figure is made if
            None.

    Returns:
        Array of the axes.

    Raises:
        ValueError: See `glimpse_path`; or if there are more of one than of another.
        ImportError: If matplotlib is not installed.
    """
    count = len(images)
    titles = [""] * count if titles is None else list(titles)
    if not 0 < count == len(locations) == len(titles):
        raise ValueError(
            "There must be locations, and a title if any, for each of at least one "
            f"image. Received: {count} images, {len(locations)} locations, "
            f"{len(titles)} titles"
        )
    plt = _pyplot()
    if axes is None:
        columns = min(count, MOST_COLUMNS)
        rows = -(-count // columns)
        inches = (INCHES * columns, (INCHES + 0.3) * rows)
        figure, axes = plt.subplots(
            rows, columns, figsize=inches, layout="constrained", squeeze=False
        )
        for ax in axes.flat[count:]:
            figure.delaxes(ax)
        axes = axes.flat[:count]
    axes = _checked_axes(axes, count)
    for ax, image, path, title in zip(axes, images, locations, titles, strict=True):
        glimpse_path(image, path, size, num_scales, ax=ax)
        ax.set_title(title, fontsize="small")
    return axes


def glimpse_animation(
    image: Any,
    locations: Any,
    path: str | os.PathLike[str],
    size: int,
    num_scales: int = 1,
    frames_per_second: float = 1.0,
) -> None:
    """Writes an animated GIF: glimpse by glimpse the path, and what is seen.

    Args:
        image, locations, size, num_scales: See `glimpse_path`.
        path: The file to write, `*.gif`.
        frames_per_second: Float above 0, glimpses a second.

    Raises:
        ValueError: See `glimpse_path`; or if there is no frame a second.
        ImportError: If matplotlib is not installed.
    """
    picture, locations = _picture(image), _locations(locations)
    _check_retina(size, num_scales)
    if not 0 < frames_per_second < math.inf:
        raise ValueError(
            "`frames_per_second` must be finite and above 0. "
            f"Received: frames_per_second={frames_per_second}"
        )
    views = _views(picture, locations, size, num_scales)
    plt = _pyplot()
    from matplotlib.animation import FuncAnimation

    figure = plt.figure(figsize=(2 * INCHES, INCHES), layout="constrained")
    left, right = figure.subfigures(1, 2)
    whole = left.subplots()
    parts = np.atleast_1d(right.subplots(1, num_scales))
    light = _light(views)

    def show(step: int) -> None:
        whole.clear()
        glimpse_path(picture, locations[: step + 1], size, num_scales, ax=whole)
        whole.set_title(f"glimpse {step + 1}", fontsize="small")
        for scale, ax in enumerate(parts):
            ax.clear()
            ax.imshow(views[step, scale], cmap="gray", **light)
            ax.set_xticks([])
            ax.set_yticks([])

    animation = FuncAnimation(
        figure, show, frames=len(locations), interval=1000 / frames_per_second
    )
    try:
        animation.save(Path(path), writer="pillow")
    finally:
        plt.close(figure)


def _check_retina(size: int, num_scales: int) -> None:
    from keras_attn.layers._checks import check_counts

    check_counts(size=size, num_scales=num_scales)


def _light(views: np.ndarray) -> dict[str, float]:
    """Limits of grey for all views: beyond the image is 0, which may lie anywhere."""
    darkest = min(0.0, float(views.min()))
    return {"vmin": darkest, "vmax": max(float(views.max()), darkest + 1e-9)}


def _picture(image: Any) -> np.ndarray:
    """`(height, width)` or, in colours, `(height, width, 3)`, from 0 to 1."""
    picture = np.asarray(image)
    if picture.dtype == np.uint8:
        picture = picture / 255.0
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[-1] != 3):
        raise ValueError(
            "`image` must have shape (height, width), or with one or three channels. "
            f"Received: shape {np.shape(image)}"
        )
    return picture.astype("float32")


def _locations(locations: Any) -> np.ndarray:
    path = np.asarray(locations, "float32")
    if path.ndim != 2 or path.shape[-1] != 2 or not len(path):
        raise ValueError(
            "`locations` must have shape (glimpses, 2), at least one glimpse. "
            f"Received: shape {path.shape}"
        )
    if not np.isfinite(path).all():
        raise ValueError("`locations` must be finite. Received: NaN or infinite ones")
    return path


def _views(
    picture: np.ndarray, locations: np.ndarray, size: int, num_scales: int
) -> np.ndarray:
    """What the retina shows, `(glimpses, num_scales, size, size, channels)`."""
    from keras import ops

    from keras_attn.ops.glimpse import glimpse

    images = picture.reshape(1, *picture.shape[:2], -1)
    seen = glimpse(ops.convert_to_tensor(images), locations[None], size, num_scales)
    return ops.convert_to_numpy(seen)[0]


def _corner(
    location: np.ndarray, shape: tuple[int, ...], size: int, scale: int
) -> tuple[int, int]:
    """First row and column of a patch, as `ops.glimpse` lays it."""
    margin = size * (2**scale - 1) // 2
    row, column = (
        math.floor((x + 1) / 2 * length - size / 2 + 0.5) - margin
        for x, length in zip(location, shape[:2], strict=True)
    )
    return row, column


def _colors(plt: Any, locations: np.ndarray) -> Any:
    return plt.get_cmap(COLORS)(np.linspace(0.0, 1.0, len(locations)))


def _checked_axes(axes: Any, count: int) -> np.ndarray:
    flat = np.asarray(list(np.asarray(axes, dtype=object).flat), dtype=object)
    if flat.size != count:
        raise ValueError(f"`axes` must be {count}. Received: {flat.size} axes")
    return flat
