"""Attention that reads one slot of a memory, drawn or the best one."""

from keras import ops

from keras_attn.ops.categorical_policy import (
    categorical_entropy,
    categorical_log_prob,
    categorical_sample,
    is_chosen,
)


def choose_slot(scores, noise=None, mask=None):
    """Takes one slot for each query, with the probabilities of the softmax.

    Args:
        scores: Tensor `(b, t, s)`.
        noise: Gumbel numbers of that shape; without them the best slot is taken.
        mask: Optional bool tensor that broadcasts to `scores`.

    Returns:
        Bool tensor `(b, t, s)`, `True` at the slot, nowhere if none is kept; and the
        dict of float32 `log_prob` and `entropy`, `(b, t)`.

    Reference:
        Xu et al., 2015, https://arxiv.org/abs/1502.03044, section 4.1.
    """
    slot = categorical_sample(scores, noise, mask)
    chosen = is_chosen(slot, scores)
    if mask is not None:
        chosen = ops.logical_and(chosen, mask)
    return chosen, {
        "log_prob": categorical_log_prob(slot, scores, mask),
        "entropy": categorical_entropy(scores, mask),
    }
