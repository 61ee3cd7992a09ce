"""The loop that writes one token a row at each step, however it is chosen."""

import math
from typing import Any, NamedTuple

from keras import ops, tree

from keras_attn.decoding._pool import is_real
from keras_attn.decoding._steps import (
    as_tensors,
    check_lengths,
    count_rows,
    first_tokens,
    keep_rows,
    log_probabilities,
    make_history,
    take_step,
    write_history,
)


class Written(NamedTuple):
    """What was written to each row.

    tokens: int32 `(b, max_length)`, the end token included where one was written,
        zeros after it.
    lengths: int32 `(b,)`, the number of them.
    log_probabilities: float32 `(b,)`; minus infinity where a row could not go on.
    emitted: What each step emitted, `(b, max_length, ...)`, zeros after the end.
    """

    tokens: Any
    lengths: Any
    log_probabilities: Any
    emitted: Any


def write(
    choose,
    step,
    states,
    emitted,
    start_token_id,
    end_token_id,
    max_length,
    min_length=0,
    constants=None,
):
    """Writes what `choose(log_probabilities, count)` says until every row has ended."""
    check_lengths(min_length, max_length)
    states, constants, emitted = as_tensors(states, constants, emitted)
    rows = count_rows(states, constants, emitted)

    def running(count, active, *_):
        return ops.logical_and(count < max_length, ops.any(active))

    def body(count, active, last, states, tokens, lengths, total, history):
        logits, states, emitted = take_step(step, last, states, constants)
        scores = log_probabilities(logits, count, min_length, end_token_id)
        chosen = ops.cast(choose(scores, count), "int32")
        score = ops.take_along_axis(scores, chosen[:, None], axis=-1)[:, 0]
        # Where nothing may be written, be it that the logits are NaN, a row ends.
        possible = is_real(score)
        total = total + ops.where(active, ops.where(possible, score, -math.inf), 0.0)
        active = ops.logical_and(active, possible)
        last = ops.where(active, chosen, 0)
        lengths = lengths + ops.cast(active, "int32")
        emitted = tree.map_structure(lambda now: keep_rows(active, now), emitted)
        tokens = write_history(tokens, last, count)
        history = write_history(history, emitted, count)
        active = ops.logical_and(active, chosen != end_token_id)
        return count + 1, active, last, states, tokens, lengths, total, history

    first = (
        ops.zeros((), "int32"),
        ops.ones((rows,), "bool"),
        first_tokens(start_token_id, rows),
        states,
        ops.zeros((max_length, rows), "int32"),
        ops.zeros((rows,), "int32"),
        ops.zeros((rows,), "float32"),
        make_history(emitted, max_length),
    )
    *_, tokens, lengths, total, history = ops.while_loop(running, body, first)
    history = tree.map_structure(rows_in_front, history)
    return Written(rows_in_front(tokens), lengths, total, history)


def rows_in_front(steps):
    """`(t, b, ...)` -> `(b, t, ...)`."""
    return ops.swapaxes(steps, 0, 1)
