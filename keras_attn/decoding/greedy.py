"""Decoding by the best token at every step."""

from keras import ops, tree


def greedy_search(step, states, emitted, start_token_id, end_token_id, max_length):
    """Writes the most probable token, step by step, until every row has ended.

    Id 0 is padding and never written, though it has its share of the probability.
    The loop is a `keras.ops.while_loop`: it runs eagerly, in a TensorFlow graph, and
    compiled by XLA, and stops as soon as the last row has ended.

    Args:
        step: Function `(tokens, states) -> (logits, states, emitted)` from the last
            tokens, int32 `(b,)`, to logits `(b, vocabulary)`.
        states: Nest of tensors, the first states; structure, shapes and dtypes stay.
        emitted: Nest of tensors `(b, ...)` that fixes structure, shapes and dtypes of
            what `step` emits at each step, such as attention weights.
        start_token_id: Int or int32 tensor `(b,)`, the token before the first one.
        end_token_id: Int, the token that ends a row.
        max_length: Int, number of steps at the most.

    Returns:
        tokens int32 `(b, max_length)`, the end token included where one was written,
        zeros after it; lengths int32 `(b,)` that count them; log-probabilities of the
        rows, float32 `(b,)`; and `emitted` stacked to `(b, max_length, ...)`, zeros
        where a row has ended.

    Raises:
        ValueError: If `max_length` is below 1.
    """
    if max_length < 1:
        raise ValueError(
            f"`max_length` must be at least 1. Received: max_length={max_length}"
        )
    batch = ops.shape(tree.flatten(states)[0])[0]

    def buffer(like):
        shape = ops.shape(like)
        return ops.zeros((shape[0], max_length, *shape[1:]), like.dtype)

    def running(count, active, *_):
        return ops.logical_and(count < max_length, ops.any(active))

    def body(count, active, last, states, tokens, lengths, total, history):
        logits, states, emitted = step(last, states)
        logits = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        written = logits[:, 1:]  # all but the padding
        best = ops.cast(ops.argmax(written, axis=-1), "int32") + 1
        last = ops.where(active, best, 0)
        total = total + ops.where(active, ops.max(written, axis=-1), 0.0)
        tokens = _write(tokens, last, count)
        history = tree.map_structure(
            lambda all_steps, now: _write(all_steps, _only(active, now), count),
            history,
            emitted,
        )
        lengths = lengths + ops.cast(active, "int32")
        active = ops.logical_and(active, best != end_token_id)
        return count + 1, active, last, states, tokens, lengths, total, history

    first = (
        ops.zeros((), "int32"),
        ops.ones((batch,), "bool"),
        ops.broadcast_to(ops.cast(start_token_id, "int32"), (batch,)),
        states,
        ops.zeros((batch, max_length), "int32"),
        ops.zeros((batch,), "int32"),
        ops.zeros((batch,), "float32"),
        tree.map_structure(buffer, emitted),
    )
    *_, tokens, lengths, total, history = ops.while_loop(running, body, first)
    return tokens, lengths, total, history


def _only(active, now):
    rows = ops.reshape(active, (-1,) + (1,) * (len(now.shape) - 1))
    return ops.where(rows, now, ops.zeros_like(now))


def _write(all_steps, now, count):
    start = (0, count, *(0 for _ in all_steps.shape[2:]))
    return ops.slice_update(all_steps, start, now[:, None])
