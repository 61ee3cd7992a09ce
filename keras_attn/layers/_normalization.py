import keras

NORMALIZATIONS = {
    "layer": keras.layers.LayerNormalization,
    "rms": keras.layers.RMSNormalization,
}


def normalization_layer(kind, **arguments):
    """A norm of `NORMALIZATIONS` that hands masks on, as Keras' RMS norm does not."""
    norm = NORMALIZATIONS[kind](**arguments)
    norm.supports_masking = True
    return norm
