import keras
from keras import ops


class RepeatLike(keras.layers.Layer):
    """Repeats a vector at every step of a sequence, whose mask it takes over.

    Call arguments:
        steps: Tensor `(batch, time, ...)`.
        vector: Tensor `(batch, dim)`.

    Returns:
        Tensor `(batch, time, dim)`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, steps, vector):
        return ops.zeros_like(steps[..., :1]) + vector[:, None]
