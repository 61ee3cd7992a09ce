import keras

from keras_attn.layers._quantized import serialized_policy


class ConfiguredModel(keras.Model):
    """A functional model that is saved as its arguments, not as a graph of layers.

    A subclass lists its constructor's `arguments` and keeps each as an attribute of
    that name, and the dtype policy as `policy`.
    """

    arguments: tuple[str, ...] = ()

    def __init__(self, *args, **kwargs):
        unknown = sorted(set(kwargs) - {"name", "trainable"})
        if unknown:  # which Keras would leave aside
            raise ValueError(
                f"{type(self).__name__} has no arguments of these names. "
                f"Received: {', '.join(unknown)}"
            )
        super().__init__(*args, **kwargs)

    def get_config(self):
        values = {name: getattr(self, name) for name in self.arguments}
        return {
            "name": self.name,
            "trainable": self.trainable,
            **keras.saving.serialize_keras_object(values),
            "dtype": serialized_policy(self, self.policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        objects = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in cls.arguments
            if isinstance(config.get(name), dict)
        }
        return cls(**{**config, **objects})
