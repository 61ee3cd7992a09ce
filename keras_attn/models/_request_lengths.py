"""Lengths that come with a request, beside rows that are padded."""

import tensorflow as tf


def checked_lengths(name, inputs, padded):
    """The int32 lengths `inputs[name]`, `(b,)`, of the rows of `inputs[padded]`.

    A request with one below 0 or beyond its row is refused; XLA knows no such check.
    """
    lengths, size = inputs[name], tf.shape(inputs[padded])[1]
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


def without_padding(name, inputs, padded):
    """Token ids, 0 beyond the lengths: a batching server pads with what it likes."""
    return tf.where(kept(name, inputs, padded), inputs[padded], 0)
