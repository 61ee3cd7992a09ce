"""Indices of nodes and edges within their graph, and within all of a batch."""

import math

from keras import ops

from keras_attn.ops.graph.row_sums import with_empty_row


def count_through(indices, shape, empty):
    """Indices within each graph as indices of all graphs side by side.

    Args:
        indices: Int tensor `(...)`, or `(b, ...)` of a batch.
        shape: `(n,)`, or `(b, n)` of a batch, of what the indices count.
        empty: Int, what an index outside of its graph becomes.

    Returns:
        Int tensor, that of a batch with the graphs one after the other.
    """
    indices = ops.cast(indices, "int32")
    inside = ops.logical_and(indices >= 0, indices < shape[-1])
    if len(shape) == 1:
        return ops.where(inside, indices, empty)
    starts = ops.arange(shape[0], dtype="int32") * shape[1]
    starts = ops.expand_dims(starts, tuple(range(1, len(indices.shape))))
    indices = ops.where(inside, indices + starts, empty)
    return ops.reshape(indices, (-1, *indices.shape[2:]))


def take_edges(values, table, rank):
    """What the edges in a table carry, zeros in its empty slots.

    Args:
        values: Tensor `(e, ...)`, or `(b, e, ...)` of a batch.
        table: Int tensor `(r, k)` or `(b, r, k)` of edges.
        rank: 1, or 2 for a batch.

    Returns:
        Tensor `(r, k, ...)`, that of a batch with the graphs one after the other.
    """
    shape = ops.shape(values)[:rank]
    slots = count_through(table, shape, math.prod(shape))
    if rank == 2:
        values = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.take(with_empty_row(values), slots, axis=0)
