import keras

from keras_attn.layers._quantized import serialized_policy


class ConfiguredModel(keras.Model):
    """A functional model that is saved as its arguments, not as a graph of layers.

    A subclass lists its constructor's `arguments` and keeps each as an attribute of
    that name, and the dtype policy as `policy`.
    """

    arguments: tuple[str, ...] = ()

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            **{name: getattr(self, name) for name in self.arguments},
            "dtype": serialized_policy(self, self.policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
