"""A policy that draws one of several: an action, a class, a slot of a memory."""

from keras import ops

_LOWEST = -1e30  # finite, so that a row without any kept entry has no NaN


def categorical_sample(logits, noise=None, mask=None):
    """Draws an entry of the last axis, with the probabilities of its softmax.

    Args:
        logits: Tensor `(..., n)`.
        noise: Gumbel numbers of the shape of `logits`; without them the entry is the
            most probable one.
        mask: Optional bool tensor that broadcasts to `logits`; `False` is not drawn.

    Returns:
        int32 tensor `(...)`; 0 where nothing may be drawn.
    """
    scores = ops.cast(logits, "float32")
    if noise is not None:
        scores = scores + noise
    return ops.cast(ops.argmax(_kept(scores, mask), axis=-1), "int32")


def categorical_log_prob(action, logits, mask=None):
    """Log-probability of a draw, whose gradient runs to the logits.

    Args:
        action: Int tensor `(...)`.
        logits: Tensor `(..., n)`.
        mask: Optional bool tensor that broadcasts to `logits`.

    Returns:
        float32 tensor `(...)`; 0, without gradient, where nothing may be drawn.
    """
    scores = ops.log_softmax(_kept(logits, mask), axis=-1)
    log_prob = ops.sum(ops.where(is_chosen(action, logits), scores, 0.0), axis=-1)
    return log_prob if mask is None else ops.where(_any(mask, logits), log_prob, 0.0)


def is_chosen(action, logits):
    """Where a draw `(...)` stands among logits `(..., n)`: bool `(..., n)`."""
    places = ops.arange(ops.shape(logits)[-1], dtype="int32")
    return ops.equal(ops.cast(action, "int32")[..., None], places)


def categorical_entropy(logits, mask=None):
    """Entropy of the softmax of `(..., n)`, `(...)`; 0 where nothing may be drawn."""
    scores = ops.log_softmax(_kept(logits, mask), axis=-1)
    terms = ops.exp(scores) * scores
    if mask is not None:
        terms = ops.where(mask, terms, 0.0)
    return -ops.sum(terms, axis=-1)


def _kept(logits, mask):
    """Float32 logits, finite ones for what is masked or minus infinity."""
    scores = ops.maximum(ops.cast(logits, "float32"), _LOWEST)
    return scores if mask is None else ops.where(mask, scores, _LOWEST)


def _any(mask, logits):
    return ops.any(ops.broadcast_to(mask, ops.shape(logits)), axis=-1)
