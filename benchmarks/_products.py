"""The matrix products of a training step and nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def attention_products(
    batch: int, time: int, dim: int, heads: int, seen: int | None = None
) -> Callable[[], Any]:
    """Products of a step of self-attention, forward and backward.

    Args:
        batch, time, dim, heads: Sizes of the layer.
        seen: Keys that a query is scored with; all where it is `None`.
    """
    rows, width, seen = batch * time, dim // heads, seen or time
    blocks = batch * heads * time // seen  # the same work as square products
    return _multiply(
        [
            ((rows, dim), (dim, 3 * dim)),
            ((blocks, seen, width), (blocks, width, seen)),
            ((blocks, seen, seen), (blocks, seen, width)),
            ((rows, dim), (dim, dim)),
        ]
    )


def glimpse_products(
    batch: int, side: int, size: int, glimpses: int, units: int
) -> Callable[[], Any]:
    """Products of a step of the page `glimpse`, without those two numbers wide.

    7 % of them could be spared: those with the first state, which is zero, and those
    for slopes of pixels.
    """
    del side  # only what is seen is multiplied
    wide: Shapes = ((batch, units), (units, units))
    # Of what is seen, of what and where together, of that and of the state.
    look: list[Shapes] = [((batch, size**2), (size**2, units // 2)), wide, wide, wide]
    return _multiply(look * glimpses)


def _multiply(shapes: list[Shapes]) -> Callable[[], Any]:
    """Products of such pairs by TensorFlow, and those for the slopes of both."""
    import tensorflow as tf

    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> Any:
        return tf.constant(rng.normal(size=shape).astype("float32"))

    pairs = [(draw(left), draw(right)) for left, right in shapes]
    slopes = [draw((*left[:-1], right[-1])) for left, right in shapes]

    @tf.function
    def multiply() -> Any:
        ends = []
        for (left, right), slope in zip(pairs, slopes, strict=True):
            ends.append(tf.matmul(left, right))
            ends.append(tf.matmul(slope, right, transpose_b=True))
            ends.append(tf.matmul(left, slope, transpose_a=True))
        return tf.add_n([tf.reduce_sum(end[..., -1, -1]) for end in ends])

    return lambda: multiply().numpy()
