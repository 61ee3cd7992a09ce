"""A retina: what an eye sees of an image around the place it is turned to."""

from keras import ops


def glimpse(images, locations, size, num_scales=1):
    """Cuts square patches, each twice as wide as the one before, down to one size.

    All patches of an eye lie around one centre, so that the widest is cut and the
    others are its middle: one gather. What lies outside the image is zero, and so is a
    pixel that is NaN. A location of -1 is the upper or left edge of the image, 1 the
    lower or right one, and the patch lies on the grid of the pixels, as near to the
    location as that grid allows; the wider patches of an odd `size` lie half a pixel
    further up and left.

    Args:
        images: Tensor `(b, height, width, channels)`, floats or uint8.
        locations: Tensor `(b, p, 2)`, row and column of `p` eyes on each image. Beyond
            [-1, 1] less and less of the image is seen; at NaN nothing.
        size: Int, pixels along a side of what is seen.
        num_scales: Int, number of patches; that of scale `k` is `size * 2 ** k` wide,
            and each of its pixels the mean of a square.

    Returns:
        Tensor `(b, p, num_scales, size, size, channels)` of the dtype of `images`, or
        float32 in [0, 1] for uint8. Its gradient runs to `images` alone.

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247, section 3.
    """
    widest = size * 2 ** (num_scales - 1)
    margin = (widest - size) // 2
    height, width, channels = images.shape[1:]
    eyes = ops.shape(locations)[:2]
    patch = _cut(
        images,
        _first_pixel(locations[..., 0], height, size, margin, widest),
        _first_pixel(locations[..., 1], width, size, margin, widest),
        widest,
    )
    seen = []
    for scale in range(num_scales):
        square = 2**scale
        side = size * square
        first = margin - (side - size) // 2
        inner = slice(first, first + side)
        squares = (*eyes, size, square, size, square, channels)
        seen.append(ops.mean(ops.reshape(patch[:, :, inner, inner], squares), (3, 5)))
    return ops.stack(seen, axis=2)


def _first_pixel(location, length, size, margin, widest):
    """Where the widest patch begins, `(b, p)`; wholly outside is far enough."""
    center = (ops.cast(location, "float32") + 1.0) * (0.5 * length)
    first = ops.floor(center - 0.5 * size + 0.5) - margin
    first = ops.where(ops.isnan(first), -widest, first)
    return ops.cast(ops.clip(first, -widest, length), "int32")


def _cut(images, first_row, first_column, side):
    """`(b, p, side, side, channels)`, zeros beyond the image and for NaN."""
    height, width, channels = images.shape[1:]
    places = ops.arange(side, dtype="int32")
    rows = first_row[..., None] + places
    columns = first_column[..., None] + places
    inside = ops.logical_and(
        _within(rows, height)[..., :, None], _within(columns, width)[..., None, :]
    )
    batch = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None, None]
    flat = (
        batch * height + ops.clip(rows, 0, height - 1)[..., :, None]
    ) * width + ops.clip(columns, 0, width - 1)[..., None, :]
    pixels = ops.take(ops.reshape(images, (-1, channels)), flat, axis=0)
    if ops.dtype(pixels) == "uint8":
        pixels = ops.cast(pixels, "float32") / 255.0
    seen = ops.logical_and(inside[..., None], ops.logical_not(ops.isnan(pixels)))
    return ops.where(seen, pixels, 0.0)


def _within(places, length):
    return ops.logical_and(places >= 0, places < length)
