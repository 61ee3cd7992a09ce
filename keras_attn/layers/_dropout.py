import keras
from keras import ops

from keras_attn.ops.stateless_dropout import dropout_keep


class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`, drawn by `ops.stateless_dropout`: cheap under XLA."""

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        shape = ops.shape(inputs)
        if self.noise_shape is not None:
            pairs = zip(self.noise_shape, shape, strict=True)
            shape = tuple(size if fixed is None else fixed for fixed, size in pairs)
        keep = dropout_keep(self.seed_generator.next(), 0, shape, self.rate)
        return ops.where(keep, inputs / (1 - self.rate), 0.0)
