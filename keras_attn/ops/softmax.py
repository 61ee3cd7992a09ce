"""Softmax that knows which entries exist."""

from keras import ops


def masked_softmax(scores, mask=None):
    """Softmax over the last axis, computed in float32, of the kept entries only.

    Args:
        scores: Tensor `(..., s)`.
        mask: Optional bool tensor that broadcasts to `scores`, `True` = keep.

    Returns:
        Tensor of the shape and dtype of `scores`: zeros where nothing is kept.
    """
    dtype = scores.dtype
    scores = ops.cast(scores, "float32")
    if mask is None:
        return ops.cast(_softmax(scores), dtype)
    lowest = -1e30  # finite, so that a row without any kept entry has no NaN
    weights = _softmax(ops.where(mask, scores, lowest))
    return ops.cast(ops.where(mask, weights, 0.0), dtype)


def _softmax(scores):
    if scores.shape[-1] == 1:  # Keras would warn that it is always one
        return ops.ones_like(scores)
    return ops.softmax(scores, axis=-1)
