"""Sums and maxima of the entries that belong together, in any order.

Sorted segments would be no faster, and have no XLA kernel on TensorFlow.
"""

import keras
from keras import ops


def segment_sum(data, owners, num_owners):
    """Adds up the entries of each owner.

    Args:
        data: Tensor `(entries, ...)`.
        owners: Int tensor `(entries,)`; entries of the owner -1 count nowhere.
        num_owners: Int.

    Returns:
        Tensor `(num_owners, ...)`, zeros where an owner has no entry.
    """
    if keras.backend.backend() == "torch":  # that of Keras wants `data` and an owner
        lead, ids = _torch_lead(data, owners, num_owners, 0.0)
        return lead.index_add(0, ids, data)[1:]
    return _reduce(ops.segment_sum, data, owners, num_owners)


def segment_max(data, owners, num_owners):
    """The largest entry of each owner, in each column; without a gradient.

    Arguments and result are those of `segment_sum`, but for an owner without an entry,
    which has a number that means nothing.
    """
    data = ops.stop_gradient(data)
    if keras.backend.backend() == "torch":
        lead, ids = _torch_lead(data, owners, num_owners, -float("inf"))
        ids = ids.reshape(-1, *[1] * (data.ndim - 1)).expand_as(data)
        return lead.scatter_reduce(0, ids, data, "amax")[1:]
    return _reduce(ops.segment_max, data, owners, num_owners)


def _reduce(operation, data, owners, num_owners):
    known = isinstance(num_owners, int)
    if (known and num_owners) or keras.backend.backend() == "jax":
        return operation(data, owners, num_owners)
    # TensorFlow's XLA cannot reduce into no rows at all.
    rows = 1 if known else ops.maximum(num_owners, 1)
    return operation(data, owners, rows)[:num_owners]


def _torch_lead(data, owners, num_owners, start):
    """What to reduce into: one row more, the first, for the owner -1."""
    lead = data.new_full((num_owners + 1, *data.shape[1:]), start)
    return lead, owners.long() + 1
