import keras


@keras.saving.register_keras_serializable("keras_attn")
class Decoder(keras.Model):
    """`decode` of a model under `predict`, compiled once for each shape of the source.

    Args:
        model: A model with `decode`, such as `Seq2Seq` or `Transformer`.
        options: Dict, how `decode` searches; by default the best token is written at
            each step.
        **kwargs: Forwarded to `keras.Model`.

    Call arguments:
        source: What the model reads, such as an int32 tensor `(batch, source_time)`.

    Returns:
        The dict of `decode`.

    Example:
        >>> decoder = keras_attn.Decoder(model, {"beam_width": 5})
        >>> decoder.compile(jit_compile=True)
        >>> decoder.predict(source, batch_size=64)["tokens"]
    """

    def __init__(self, model, options=None, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.options = dict(options or {})
        self.built = True
        self.autocast = False  # 16 bits do not hold sound: what reads it casts

    def call(self, source):
        return self.model.decode(source, **self.options)

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "options": dict(self.options),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})
