"""What a step of every decoding loop consists of."""

from keras import ops, tree

from keras_attn.layers._checks import check_counts

LOWEST = -1e30  # log-probability of what is never written; sums of it stay finite


def check_lengths(min_length, max_length):
    """Raises unless the limits of what is written are in order."""
    check_counts(max_length=max_length)
    if not (isinstance(min_length, int) and 0 <= min_length <= max_length):
        raise ValueError(
            f"`min_length` must be an int between 0 and max_length={max_length}. "
            f"Received: min_length={min_length!r}"
        )


def as_tensors(*nests):
    """The nests with a tensor for each number; `None` stays."""
    return tree.map_structure(
        lambda leaf: None if leaf is None else ops.convert_to_tensor(leaf), nests
    )


def count_rows(*nests):
    """The number of rows, that of the first tensor which has any."""
    for leaf in tree.flatten(nests):
        if leaf is not None and len(leaf.shape):
            return ops.shape(leaf)[0]
    raise ValueError(
        "`states`, `emitted` or `constants` must hold a tensor (batch, ...), which "
        "tells the number of rows. Received: none"
    )


def first_tokens(start_token_id, rows):
    return ops.broadcast_to(ops.cast(start_token_id, "int32"), (rows,))


def take_step(step, tokens, states, constants):
    """Calls `step`, with the constants where there are any."""
    given = (tokens, states) if constants is None else (tokens, states, constants)
    return step(*given)


def log_probabilities(logits, count, min_length, end_token_id):
    """Of the step `count`, float32; `LOWEST` for what may not be written.

    That is the padding, and the end before `min_length`. Both keep their share of the
    probability.
    """
    size = logits.shape[-1]
    if not 0 < end_token_id < size:
        raise ValueError(
            f"`end_token_id` must lie between 0, the padding, and the number of token "
            f"ids, {size}. Received: end_token_id={end_token_id}"
        )
    scores = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    ids = ops.arange(size, dtype="int32")
    early = ops.logical_and(ids == end_token_id, count + 1 < min_length)
    barred = ops.logical_or(ids == 0, early)
    return ops.where(barred, LOWEST, ops.maximum(scores, LOWEST))


def make_history(emitted, max_length):
    """Room for what each step emits, the steps in front."""
    return tree.map_structure(
        lambda like: ops.zeros((max_length, *ops.shape(like)), like.dtype), emitted
    )


def write_history(history, emitted, count):
    """Puts what the step `count` has emitted into its place."""

    def write(steps, now):
        start = (count, *(0 for _ in now.shape))
        return ops.slice_update(steps, start, now[None])

    return tree.map_structure(write, history, emitted)


def keep_rows(rows, tensor):
    """Zeros in the rows that are `False`."""
    rows = ops.reshape(rows, ops.shape(rows) + (1,) * (len(tensor.shape) - 1))
    return ops.where(rows, tensor, ops.zeros_like(tensor))
