"""Keys and values of the steps so far, written at a position of each row's own."""

from keras import ops


def write_cache(cache, new, positions):
    """Puts `new` into the cache from each row's position on.

    What would lie past the end of the cache is left out.

    Args:
        cache: Tensor `(b, g, s, k)`.
        new: Tensor `(b, g, t, k)`.
        positions: Int `(b,)`, where the first new step of each row goes.

    Returns:
        The new cache.
    """
    steps, slots = new.shape[2], cache.shape[2]
    place = ops.arange(slots, dtype="int32")[None] - positions[:, None]
    written = ops.logical_and(place >= 0, place < steps)[:, None, :, None]
    if steps == 1:
        return ops.where(written, ops.cast(new, cache.dtype), cache)
    place = ops.clip(place, 0, steps - 1)[:, None, :, None]
    aligned = ops.take_along_axis(ops.cast(new, cache.dtype), place, axis=2)
    return ops.where(written, aligned, cache)
