"""A retina: what an eye sees of an image around the place it is turned to."""

from keras import backend, ops


def glimpse(images, locations, size, num_scales=1):
    """Cuts square patches, each twice as wide as the one before, down to one size.

    What lies outside the image is zero, and so is a pixel that is NaN or
    infinite. A location of -1
    is the upper or left edge of the image, 1 the lower or right one, and the patch lies
    on the grid of the pixels, as near to the location as that grid allows; the wider
    patches of an odd `size` lie half a pixel further down and right.

    A small image is shrunk first, from every pixel on, and a look takes what it wants
    of that: it does not depend on the locations, so a compiled model shrinks once for
    all its looks. Of a large image the widest patch is cut and shrunk.

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
    dtype = "float32" if ops.dtype(images) == "uint8" else images.dtype
    height, width = images.shape[1:3]
    widest = size * 2 ** (num_scales - 1)
    corners = _corners(locations, height, width, size, widest)
    look = _shrink_then_cut if height * width <= 2 * widest**2 else _cut_then_shrink
    seen = look(images, corners, size, num_scales)
    return ops.cast(ops.stack(seen, axis=2), dtype)


def _clean(images):
    if ops.dtype(images) == "uint8":
        return ops.cast(images, "float32") / 255.0
    images = ops.cast(images, backend.result_type(images.dtype, "float32"))
    return ops.where(ops.isfinite(images), images, 0.0)


def _corners(locations, height, width, size, widest):
    """First row and column of the sharpest patch, `(b, p, 2)`; far outside at NaN."""
    shape = ops.convert_to_tensor([height, width], "float32")
    centers = (ops.cast(locations, "float32") + 1.0) * (0.5 * shape)
    corners = ops.floor(centers - 0.5 * size + 0.5)
    outside = float(max(height, width) + 2 * widest)
    corners = ops.where(ops.isnan(corners), outside, corners)
    return ops.cast(ops.clip(corners, -outside, outside), "int32")


def _shrink_then_cut(images, corners, size, num_scales):
    images = _clean(images)
    seen = []
    for scale in range(num_scales):
        square = 2**scale
        if scale:
            images = _mean_of_neighbours(images, square // 2)
        # The first mean is that of the square which has only its last pixel inside.
        first = corners - size * (square - 1) // 2 + (square - 1)
        seen.append(_cut(images, first, size, square))
    return seen


def _mean_of_neighbours(images, distance):
    """Means of four pixels so far apart, from those on that begin outside."""
    rows, columns = (length + distance for length in images.shape[1:3])
    images = ops.pad(images, [(0, 0), (distance,) * 2, (distance,) * 2, (0, 0)])
    images = 0.5 * (images[:, :rows] + images[:, distance:])
    return 0.5 * (images[:, :, :columns] + images[:, :, distance:])


def _cut_then_shrink(images, corners, size, num_scales):
    margin = size * (2 ** (num_scales - 1) - 1) // 2
    patch = _clean(_cut(images, corners - margin, size * 2 ** (num_scales - 1)))
    seen = []
    for scale in range(num_scales):
        square = 2**scale
        begin = margin - size * (square - 1) // 2
        inner = slice(begin, begin + size * square)
        squares = (*ops.shape(patch)[:2], size, square, size, square, patch.shape[-1])
        seen.append(ops.mean(ops.reshape(patch[:, :, inner, inner], squares), (3, 5)))
    return seen


def _cut(images, first, side, stride=1):
    """Every `stride`-th pixel, `(b, p, side, side, channels)`; beyond the image 0."""
    height, width, channels = images.shape[1:]
    places = ops.arange(side, dtype="int32") * stride
    rows, columns = (first[..., i, None] + places for i in (0, 1))
    inside = ops.logical_and(
        _within(rows, height)[..., :, None], _within(columns, width)[..., None, :]
    )
    batch = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None, None]
    flat = (
        batch * height + ops.clip(rows, 0, height - 1)[..., :, None]
    ) * width + ops.clip(columns, 0, width - 1)[..., None, :]
    pixels = ops.take(ops.reshape(images, (-1, channels)), flat, axis=0)
    return ops.where(inside[..., None], pixels, ops.zeros_like(pixels))


def _within(places, length):
    return ops.logical_and(places >= 0, places < length)
