"""By what the ranking of a hypothesis differs from its log-probability."""

from keras import ops


def length_penalty(length, exponent):
    """What a log-probability is divided by, `((5 + length) / 6) ** exponent`.

    Args:
        length: Int or int tensor, the number of tokens, the end included.
        exponent: Float, at least 0. With 0 the log-probability stays as it is, which
            favours short hypotheses.

    Returns:
        Float32 tensor of the shape of `length`.

    Reference:
        Wu et al., 2016, https://arxiv.org/abs/1609.08144, equation 14.
    """
    return ((5.0 + ops.cast(length, "float32")) / 6.0) ** exponent


def coverage_penalty(coverage, weight, mask=None):
    """What is added for slots of the memory that were hardly read, at most 0.

    `weight * sum_i log(min(coverage_i, 1))`, where a coverage below 1e-9 counts as
    that much.

    Args:
        coverage: Float32 tensor `(..., slots)`, the attention on each slot, summed
            over the steps.
        weight: Float, at least 0.
        mask: Optional bool tensor that broadcasts to `coverage`; `False` slots need
            not be read.

    Returns:
        Float32 tensor `(...)`.

    Reference:
        Wu et al., 2016, https://arxiv.org/abs/1609.08144, equation 14.
    """
    shares = ops.log(ops.clip(coverage, 1e-9, 1.0))
    if mask is not None:
        shares = ops.where(mask, shares, 0.0)
    return weight * ops.sum(shares, axis=-1)
