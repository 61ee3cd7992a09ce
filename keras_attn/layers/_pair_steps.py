import keras
from keras import ops

from keras_attn.ops.memory import zero_masked


class PairSteps(keras.layers.Layer):
    """Two steps become one, twice as wide: `(b, t, d)` -> `(b, t / 2, 2 d)`, and masks.

    A last step without a partner is paired with zeros.
    """

    def call(self, inputs, steps_mask):
        rows, steps, dim = ops.shape(inputs)
        inputs = zero_masked(inputs, steps_mask)
        missing = steps % 2
        inputs = ops.concatenate(
            [inputs, ops.zeros((rows, missing, dim), inputs.dtype)], axis=1
        )
        none = ops.zeros((rows, missing), "bool")
        mask = ops.concatenate([steps_mask, none], axis=1)
        half = (steps + missing) // 2
        paired = ops.reshape(inputs, (rows, half, 2 * dim))
        return paired, ops.any(ops.reshape(mask, (rows, half, 2)), axis=-1)

    def compute_mask(self, inputs, previous_mask):
        return None  # the mask that is returned has the length of the pairs
