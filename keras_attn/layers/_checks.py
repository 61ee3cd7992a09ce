"""Checks of call arguments that name the argument, what came and what was expected."""

import math
import numbers

import keras


def check_rank(name, shape, ranks, meaning):
    """Raises unless `shape` has one of `ranks`."""
    if len(shape) not in ranks:
        raise ValueError(
            f"`{name}` must have shape {meaning}. Received: {name}.shape={tuple(shape)}"
        )


def check_counts(least=1, **counts):
    """Raises unless each is an int of at least `least`."""
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            raise ValueError(
                f"`{name}` must be an int of at least {least}. "
                f"Received: {name}={count!r}"
            )


def check_rates(**rates):
    """Raises unless each is a share that leaves something over."""
    for name, rate in rates.items():
        if not _is_number(rate) or not 0 <= rate < 1:
            raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={rate!r}")


def check_shares(**shares):
    """Raises unless each is a share of a whole, which it may be itself."""
    for name, share in shares.items():
        if not _is_number(share) or not 0 <= share <= 1:
            raise ValueError(f"`{name}` must be in [0, 1]. Received: {name}={share!r}")


def check_weights(**weights):
    """Raises unless each is a finite number of at least 0."""
    for name, weight in weights.items():
        if not _is_number(weight) or not 0 <= weight < math.inf:
            raise ValueError(
                f"`{name}` must be a finite number of at least 0. "
                f"Received: {name}={weight!r}"
            )


def _is_number(value):
    return isinstance(value, numbers.Real)


def check_cell(cell):
    """Raises unless it is a Keras RNN cell without dropout of its own.

    Such a cell keeps the mask of what it drops for a loop that Keras runs.
    """
    if not hasattr(cell, "state_size") or isinstance(cell, keras.layers.RNN):
        raise ValueError(
            "`cell` must be a Keras RNN cell, such as keras.layers.GRUCell(256). "
            f"Received: cell={cell!r}"
        )
    for part in getattr(cell, "cells", [cell]):
        rates = [getattr(part, f"{of}dropout", 0) for of in ("", "recurrent_")]
        if any(rates):
            raise ValueError(
                "`cell` must have no dropout of its own: drop its inputs instead. "
                "Received: cell.dropout={}, cell.recurrent_dropout={}".format(*rates)
            )


def check_width(name, shape, width):
    """Raises unless the last axis is as wide as the weights want it."""
    if shape[-1] != width:
        raise ValueError(
            f"`{name}` must have width {width}, with which the layer was built. "
            f"Received: {name}.shape={tuple(shape)}"
        )


def check_mask(name, mask, shape):
    """Raises unless `mask` is boolean and of `shape`, where both are known."""
    if mask is None:
        return
    if not hasattr(mask, "dtype"):
        raise ValueError(
            f"`{name}` must be a boolean tensor. Received: {name}={mask!r}"
        )
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        raise ValueError(
            f"`{name}` must be boolean, `True` = keep. Received: {name}.dtype={dtype}"
        )
    check_shape(name, mask.shape, shape)


def check_axes(first_name, first, second_name, second, count, what):
    """Raises unless two shapes agree in their `count` first axes, where known."""
    if not _compatible(first[:count], second[:count]):
        raise ValueError(
            f"`{first_name}` and `{second_name}` must have the same {what}. "
            f"Received: {first_name}.shape={tuple(first)}, "
            f"{second_name}.shape={tuple(second)}"
        )


def check_shape(name, shape, expected):
    """Raises unless `shape` is the expected one, where both are known."""
    if not _compatible(shape, expected):
        raise ValueError(
            f"`{name}` must have shape {tuple(expected)}. "
            f"Received: {name}.shape={tuple(shape)}"
        )


def known_values(tensor):
    """The values as a NumPy array where they are known now, in eager code; else `None`.

    A tensor in a graph or under a compiler has none yet.
    """
    if isinstance(tensor, keras.KerasTensor):
        return None
    try:
        return keras.ops.convert_to_numpy(tensor)
    except (TypeError, NotImplementedError):  # JAX' and TensorFlow's word for it
        return None


def check_lengths(lengths, size, of, least=0):
    """Raises unless `lengths` are from `least` to `size`, where these are known."""
    known = known_values(lengths)
    if known is None or not known.size:
        return
    if known.min() < least or (size is not None and known.max() > size):
        raise ValueError(
            f"`lengths` must lie between {least} and {of}, {size}. "
            f"Received: lengths={known.tolist()}"
        )


def _compatible(first, second):
    return len(first) == len(second) and all(
        a is None or b is None or a == b for a, b in zip(first, second, strict=True)
    )
