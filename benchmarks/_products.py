"""The matrix products of an attention step and nothing else: what no layer can beat."""

from collections.abc import Callable
from typing import Any

import numpy as np


def attention_products(
    batch: int, time: int, dim: int, heads: int, seen: int | None = None
) -> Callable[[], Any]:
    """Products of a step of self-attention, forward and backward, by TensorFlow.

    Args:
        batch, time, dim, heads: Sizes of the layer.
        seen: Keys that a query is scored with; all where it is `None`.
    """
    import tensorflow as tf

    rows, width, seen = batch * time, dim // heads, seen or time
    blocks = batch * heads * time // seen  # the same work as square products
    shapes = [
        ((rows, dim), (dim, 3 * dim)),
        ((blocks, seen, width), (blocks, width, seen)),
        ((blocks, seen, seen), (blocks, seen, width)),
        ((rows, dim), (dim, dim)),
    ]
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> Any:
        return tf.constant(rng.normal(size=shape).astype("float32"))

    pairs = [(draw(left), draw(right)) for left, right in shapes]
    slopes = [draw((*left[:-1], right[-1])) for left, right in shapes]

    @tf.function
    def multiply() -> list[Any]:
        ends = []
        for (left, right), slope in zip(pairs, slopes, strict=True):
            ends.append(tf.matmul(left, right))
            ends.append(tf.matmul(slope, right, transpose_b=True))
            ends.append(tf.matmul(left, slope, transpose_a=True))
        return [end[..., -1, -1] for end in ends]

    return lambda: [end.numpy() for end in multiply()]
