"""What comes with a request: rows that are padded, their lengths, token ids.

A request that a model cannot answer is refused; XLA knows no such checks.
"""

import tensorflow as tf


def checked_rows(inputs):
    """The inputs, which must all have equally many rows."""
    names = sorted(inputs)
    first = names[0]
    checks = [
        tf.debugging.assert_equal(
            tf.shape(inputs[name])[0],
            tf.shape(inputs[first])[0],
            f"`{name}` must have as many rows as `{first}`",
        )
        for name in names[1:]
    ]
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in inputs.items()}


def checked_lengths(name, inputs, padded):
    """The int32 lengths `inputs[name]`, `(b,)`, of the rows of `inputs[padded]`."""
    rows = checked_rows({name: inputs[name], padded: inputs[padded]})
    lengths, size = rows[name], tf.shape(inputs[padded])[1]
    message = f"`{name}` must lie between 0 and the size of `{padded}`"
    checks = [
        tf.debugging.assert_non_negative(lengths, message),
        tf.debugging.assert_less_equal(lengths, size, message),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(lengths)


def kept(name, inputs, padded):
    """Bool `(b, size)`: what is not padding in the rows of `inputs[padded]`."""
    lengths = checked_lengths(name, inputs, padded)
    return tf.sequence_mask(lengths, tf.shape(inputs[padded])[1])


def checked_ids(name, inputs, padded, allowed):
    """Token ids, 0 beyond the lengths: a batching server pads with what it likes.

    Args:
        name: Name of the lengths.
        inputs: Dict of tensors, the request.
        padded: Name of the ids.
        allowed: Their `TokenIds`.
    """
    ids = tf.where(kept(name, inputs, padded), inputs[padded], 0)
    last = allowed.vocabulary_size - 1
    message = f"`{padded}` must hold token ids from 0 to {last}"
    checks = [
        tf.debugging.assert_non_negative(ids, message),
        tf.debugging.assert_less_equal(ids, last, message),
    ]
    with tf.control_dependencies(checks):
        return checked_steps(padded, tf.identity(ids), allowed)


def checked_steps(name, ids, allowed):
    """Token ids `(b, time)`, of which a model may read a limited number."""
    most = allowed.most_steps
    if most is None:
        return ids
    message = f"`{name}` must have at most {most} tokens"
    with tf.control_dependencies(
        [tf.debugging.assert_equal(ids[:, most:], 0, message)]
    ):
        return ids[:, :most]
