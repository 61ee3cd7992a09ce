import keras
from keras import ops

from keras_attn.layers._checks import (
    check_axes,
    check_counts,
    check_rank,
    check_shape,
)
from keras_attn.ops.glimpse import glimpse


@keras.saving.register_keras_serializable("keras_attn")
class GlimpseSensor(keras.layers.Layer):
    """A retina: sharp in the middle, coarser and wider around it.

    Around each location it cuts square patches, each twice as wide as the one before,
    and shrinks them to one size by the means of squares of pixels. Location (0, 0) is
    the middle of the image, (-1, -1) its upper left and (1, 1) its lower right corner.
    What lies outside the image is zero, and so is a pixel that is NaN or
    infinite.

    Args:
        size: Int, pixels along a side of what is seen at each scale.
        num_scales: Int, number of patches; that of scale `k` covers `size * 2 ** k`
            pixels along a side. It may be wider than the image.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        images: Tensor `(batch, height, width, channels)`, floats as they are, or uint8,
            which becomes [0, 1].
        locations: Tensor `(batch, *eyes, 2)`, row and column. Beyond [-1, 1] less and
            less of the image is seen, in the end nothing, as at NaN.

    Returns:
        Tensor `(batch, *eyes, num_scales, size, size, channels)`. Its gradient runs to
        `images`; there is none of the locations, as the patches lie on the grid of the
        pixels.

    Raises:
        ValueError: If an argument has the wrong rank, shape, dtype or value.

    Example:
        >>> retina = keras_attn.GlimpseSensor(size=12, num_scales=3)
        >>> views = retina(images, locations)  # (batch, 3, 12, 12, channels)

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247, section 3.
    """

    def __init__(self, size, num_scales=1, **kwargs):
        super().__init__(autocast=False, **kwargs)  # 16 bits are few for a location
        check_counts(size=size, num_scales=num_scales)
        self.size = size
        self.num_scales = num_scales

    def build(self, images_shape, locations_shape):
        self._image_shape = tuple(images_shape[1:])

    def call(self, images, locations):
        self._check(images, locations)
        eyes = ops.shape(locations)[1:-1]
        flat = ops.reshape(locations, (ops.shape(locations)[0], -1, 2))
        if ops.dtype(images) != "uint8":
            images = ops.cast(images, self.compute_dtype)
        seen = glimpse(images, flat, self.size, self.num_scales)
        shape = (ops.shape(images)[0], *eyes, *seen.shape[2:])
        return ops.reshape(ops.cast(seen, self.compute_dtype), shape)

    def _check(self, images, locations):
        check_rank("images", images.shape, (4,), "(batch, height, width, channels)")
        check_shape("images", images.shape[1:], self._image_shape)
        check_rank("locations", locations.shape, range(2, 9), "(batch, *eyes, 2)")
        check_axes("images", images.shape, "locations", locations.shape, 1, "batch")
        if None in self._image_shape:
            raise ValueError(
                "`images` must have a known height, width and number of channels. "
                f"Received: images.shape={tuple(images.shape)}"
            )
        if locations.shape[-1] != 2:
            raise ValueError(
                "`locations` must be rows and columns, (batch, *eyes, 2). "
                f"Received: locations.shape={tuple(locations.shape)}"
            )
        dtype = keras.backend.standardize_dtype(images.dtype)
        if "float" not in dtype and dtype != "uint8":
            raise ValueError(
                "`images` must be floats, or uint8 from 0 to 255. "
                f"Received: images.dtype={dtype}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "num_scales": self.num_scales,
        }
