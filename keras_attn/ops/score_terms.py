"""What decides about a score besides its query and key: masks, positions, biases."""

from typing import Any, NamedTuple

from keras import ops


class ScoreTerms(NamedTuple):
    """Everything that is added to scores `(b, h, t, s)` or hides some of them.

    key_mask: Optional bool `(b, s)`.
    mask: Optional bool that broadcasts to `(b, h, t, s)`.
    bias: Optional float that broadcasts to `(b, h, t, s)`.
    slopes: Optional float `(h,)`: ALiBi, minus slope times distance.
    positions: Optional int `(b, t)`, where each query stands among the keys; by
        default query i stands at key i.
    causal: Whether a query sees no key after it.
    window: How many keys to each side a query sees; `None` for all.
    """

    key_mask: Any = None
    mask: Any = None
    bias: Any = None
    slopes: Any = None
    positions: Any = None
    causal: bool = False
    window: int | None = None

    def is_positional(self):
        return self.causal or self.window is not None

    def between(self, start, stop, slots):
        """The terms of queries `start` to `stop` and the first `slots` keys.

        The queries then stand where they stood, which `positions` says.
        """

        def cut(tensor):
            if tensor is None:
                return None
            rows = slice(None) if tensor.shape[2] == 1 else slice(start, stop)
            columns = slice(None) if tensor.shape[3] == 1 else slice(slots)
            return tensor[:, :, rows, columns]

        key_mask = self.key_mask
        return self._replace(
            key_mask=None if key_mask is None else key_mask[:, :slots],
            mask=cut(self.mask),
            bias=cut(self.bias),
            positions=ops.arange(start, stop, dtype="int32")[None],
        )


def combined_mask(terms, query_positions, key_positions):
    """The bool mask of all terms, broadcasting to `(b, h, t, s)`, or `None`.

    Args:
        terms: `ScoreTerms`.
        query_positions: Int `(b or 1, t)`.
        key_positions: Int `(s,)`.
    """
    kept = []
    if terms.key_mask is not None:
        kept.append(terms.key_mask[:, None, None, :])
    if terms.mask is not None:
        kept.append(terms.mask)
    if terms.is_positional():
        distance = _distance(query_positions, key_positions)
        if terms.causal:
            kept.append(distance <= 0)
        if terms.window is not None:
            kept.append(ops.abs(distance) <= terms.window)
    return conjunction(kept)


def conjunction(masks):
    """Logical and of those that are there; `None` if none is."""
    result = None
    for mask in masks:
        if mask is not None:
            result = mask if result is None else ops.logical_and(result, mask)
    return result


def combined_bias(terms, query_positions, key_positions):
    """The float32 bias of all terms, broadcasting to `(b, h, t, s)`, or `None`."""
    bias = None
    if terms.bias is not None:
        # A row of -inf alone would have no softmax; what is masked lies lower yet.
        bias = ops.maximum(ops.cast(terms.bias, "float32"), -1e29)
    if terms.slopes is not None:
        distance = ops.abs(_distance(query_positions, key_positions))
        slopes = ops.cast(terms.slopes, "float32")[:, None, None]
        alibi = -slopes * ops.cast(distance, "float32")
        bias = alibi if bias is None else bias + alibi
    return bias


def query_positions(terms, steps):
    """Int `(b or 1, steps)`."""
    if terms.positions is not None:
        return ops.cast(terms.positions, "int32")
    return ops.arange(steps, dtype="int32")[None]


def _distance(query_positions, key_positions):
    """Key minus query, `(b or 1, 1, t, s)`."""
    return key_positions[None, None, None, :] - query_positions[:, None, :, None]


def sees_anything(terms, steps, slots):
    """Bool `(b or 1, t or 1)`: whether a query sees any key; `None` if all of them do.

    Costs O(t + s), unless a `mask` that is a matrix must be read anyway.
    """
    if isinstance(slots, int) and slots == 0:
        return ops.zeros((1, 1), "bool")
    positions = query_positions(terms, steps)
    if terms.mask is not None:
        mask = combined_mask(terms, positions, ops.arange(slots, dtype="int32"))
        return ops.any(mask, axis=(1, 3))
    if terms.key_mask is None and terms.window is None:
        return None
    if not terms.is_positional():
        return ops.any(terms.key_mask, axis=-1, keepdims=True)
    kept = terms.key_mask
    if kept is None:
        kept = ops.ones((1, slots), "bool")
    counts = ops.pad(ops.cumsum(ops.cast(kept, "int32"), axis=-1), ((0, 0), (1, 0)))
    last = positions if terms.causal else positions + terms.window
    first = ops.zeros_like(positions)
    if terms.window is not None:
        first = positions - terms.window
    return _count(counts, last + 1) > _count(counts, first)


def _count(counts, position):
    """How many keys are kept before each position."""
    position = ops.clip(position, 0, ops.shape(counts)[1] - 1)
    if counts.shape[0] != 1:
        rows = ops.shape(counts)[0]
        position = ops.broadcast_to(position, (rows, ops.shape(position)[1]))
    return ops.take_along_axis(counts, position, axis=1)
