"""What a node makes of the messages that it receives."""

from keras import ops

AGGREGATIONS = ("sum", "mean", "max")


def aggregate(edges, messages, aggregation="sum"):
    """Aggregates messages, each times the weight of its edge, at the receivers.

    Args:
        edges: `DenseEdges` or `EdgeRows`.
        messages: Tensor `(..., f)` with the axes of the edges in front.
        aggregation: `"sum"`; `"mean"`, the sum divided by that of the weights; or
            `"max"`, the largest in each column, whose gradient goes to the largest,
            in equal shares where several are.

    Returns:
        Tensor `(..., n, f)`, zeros where a node receives nothing.
    """
    messages = edges.weighted(messages)
    if aggregation == "max":
        largest = edges.from_receivers(edges.largest(messages))
        # Not `==`, for which a NaN would be no message at all.
        is_largest = edges.kept(ops.logical_not(messages < largest), False)
        ties = edges.sum(ops.cast(is_largest, messages.dtype))
        messages = ops.where(is_largest, messages, 0.0)
        return edges.sum(messages * edges.from_receivers(inverse(ties)))
    sums = edges.sum(messages)
    if aggregation == "mean":
        sums = sums * ops.cast(inverse(edges.degrees()), sums.dtype)[..., None]
    return sums


def inverse(values):
    """`1 / values` where they are positive, else zeros, in the gradient too."""
    positive = values > 0
    return ops.where(positive, 1.0 / ops.where(positive, values, 1.0), 0.0)


def positive_root(values):
    """The square root where values are positive, else zeros, in the gradient too."""
    positive = values > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, values, 1.0)), 0.0)


def lowest(values):
    """A number that is as good as the lowest of a dtype, but leaves room below."""
    return -3e4 if ops.dtype(values) == "float16" else -1e30


def highest(values, axis):
    """The maximum along an axis, without a gradient; `lowest` of nothing at all."""
    values, low = ops.stop_gradient(values), lowest(values)
    if 0 in values.shape:  # where torch's, in Keras, has no shape
        shape = [size for i, size in enumerate(ops.shape(values)) if i != axis]
        return ops.full(shape, low, values.dtype)
    return ops.max(values, axis=axis, initial=low)
