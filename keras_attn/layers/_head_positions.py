"""Positions that act inside attention, where queries meet keys."""

import keras


class HeadPositions(keras.layers.Layer):
    """Base of the layers that an attention layer takes as `positions`.

    A subclass overrides what it does; the rest stays as if it were not there.
    """

    def rotate(self, tensor, positions):
        """Queries or keys `(b, h, t, k)` at `positions` `(b or 1, t)`, as they meet."""
        return tensor

    def slopes(self, num_heads):
        """Weight of the distance that is taken off the scores, `(h,)`, or `None`."""
        return None

    def bias(self, query_positions, key_positions):
        """What is added to the scores, `(b or 1, h, t, s)`, or `None`."""
        return None

    def check(self, num_heads, key_dim):
        """Raises unless the attention layer's heads suit."""

    def build(self, input_shape=None):
        pass


def get_positions(positions):
    """The layer itself, made of its config if that is what came, or `None`.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(positions, dict):
        positions = keras.saving.deserialize_keras_object(positions)
    if positions is not None and not isinstance(positions, HeadPositions):
        raise ValueError(
            "`positions` must be a layer of positions inside attention, such as "
            f"`RotaryEmbedding`. Received: positions={positions!r}"
        )
    return positions


def serialize_positions(positions):
    """Config of a layer that other layers may hold too.

    Keras marks the config of a shared object from its second serialization on, and
    only the first one of an object that is nested in a config misses the mark: so
    this one is never the first. A file then is loaded with the object shared.
    """
    keras.saving.serialize_keras_object(positions)
    return keras.saving.serialize_keras_object(positions)
