"""From an image to a grid of features."""

import numpy as np
from keras import layers, ops


class Grid:
    """Convolutions, each level of which halves the image.

    Args:
        widths: Ints, channels of the levels.
        strides: For each level the steps of its pooling, `(height, width)`.
        policy: Dtype policy.
    """

    def __init__(self, widths, strides, policy):
        self.levels = [
            (
                layers.Conv2D(
                    width, 3, padding="same", dtype=policy, name=f"convolution_{i}"
                ),
                layers.LayerNormalization(dtype=policy, name=f"grid_norm_{i}"),
                layers.MaxPooling2D(stride, dtype=policy, name=f"pooling_{i}"),
            )
            for i, (width, stride) in enumerate(zip(widths, strides, strict=True))
        ]

    def __call__(self, image):
        """`(b, height, width, channels)` -> `(b, rows, columns, width)`."""
        x = with_places(image)
        for convolution, norm, pooling in self.levels:
            x = pooling(ops.relu(norm(convolution(x))))
        return x


def with_places(image):
    """The image with two more channels, which say where a point is, in [-1, 1]."""
    height, width = image.shape[1:3]
    rows, columns = np.meshgrid(
        np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"
    )
    places = np.stack([rows, columns], axis=-1).astype("float32")[None]
    places = ops.zeros_like(image[..., :1]) + ops.cast(places, image.dtype)
    return ops.concatenate([image, places], axis=-1)


def check_image_shape(image_shape):
    """Raises unless it is a tuple of height, width and channels."""
    sizes = tuple(image_shape)
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            "`image_shape` must be three ints, height, width and channels. "
            f"Received: image_shape={image_shape!r}"
        )
    return sizes
