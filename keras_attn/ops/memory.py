"""A memory is what is attended: `(b, *slots, d)`, with a bool mask `(b, *slots)`."""

import math

from keras import ops


def zero_masked(tensor, mask):
    """Zeros where the mask is `False`, whatever lay there, NaN included."""
    return tensor if mask is None else ops.where(mask[..., None], tensor, 0.0)


def flatten_slots(memory):
    """`(b, *slots, d)` -> `(b, s, d)`."""
    if len(memory.shape) == 3:
        return memory
    batch, *slots, dim = ops.shape(memory)
    return ops.reshape(memory, (batch, math.prod(slots), dim))


def flatten_mask(mask):
    """`(b, *slots)` -> `(b, s)`; `None` stays `None`."""
    if mask is None or len(mask.shape) == 2:
        return mask
    batch, *slots = ops.shape(mask)
    return ops.reshape(mask, (batch, math.prod(slots)))


def unflatten_slots(weights, memory):
    """`(..., s)` -> `(..., *slots)` with the slots of `memory`."""
    if len(memory.shape) == 3:
        return weights
    return ops.reshape(weights, (*ops.shape(weights)[:-1], *ops.shape(memory)[1:-1]))
