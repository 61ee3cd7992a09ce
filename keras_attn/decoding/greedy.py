"""Decoding by the best token at every step."""

from keras import ops

from keras_attn.decoding._writing import write


def greedy_search(
    step,
    states,
    emitted,
    start_token_id,
    end_token_id,
    max_length,
    min_length=0,
    constants=None,
):
    """Writes the most probable token, step by step, until every row has ended.

    Id 0 is padding and never written, though it has its share of the probability.
    The loop is a `keras.ops.while_loop`: it runs eagerly, in a TensorFlow graph, and
    compiled by XLA, and stops as soon as the last row has ended.

    Args:
        step: Function `(tokens, states) -> (logits, states, emitted)` from the last
            tokens, int32 `(b,)`, to logits `(b, vocabulary)`. With `constants` they
            are its third argument.
        states: Nest of tensors, the first states; structure, shapes and dtypes stay.
        emitted: Nest of tensors `(b, ...)` that fixes structure, shapes and dtypes of
            what `step` emits at each step, such as attention weights.
        start_token_id: Int or int32 tensor `(b,)`, the token before the first one.
        end_token_id: Int, the token that ends a row.
        max_length: Int, number of steps at the most.
        min_length: Int, number of tokens of a row at the least, its end included.
        constants: Optional nest of tensors `(b, ...)` that stay as they are, such as
            a memory and its mask.

    Returns:
        The named tuple of tokens int32 `(b, max_length)`, the end token included where
        one was written, zeros after it; lengths int32 `(b,)` that count them;
        `log_probabilities` of the rows, float32 `(b,)`; and `emitted` stacked to
        `(b, max_length, ...)`, zeros where a row has ended. A row of which no token
        is possible, or whose logits are NaN, ends there with a log-probability of
        minus infinity.

    Raises:
        ValueError: If a length or the end token is out of range.
    """
    return write(
        lambda scores, count: ops.argmax(scores, axis=-1),
        step,
        states,
        emitted,
        start_token_id,
        end_token_id,
        max_length,
        min_length,
        constants,
    )
