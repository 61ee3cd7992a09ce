"""The models that are served, built from plain Keras layers."""

from pathlib import Path
from typing import Any

LENGTH, WIDTH, HEADS, HIDDEN, WORDS = 64, 128, 4, 512, 1000
LARGEST_BATCH = 64


def export_models(steps: dict, folder: str) -> None:
    """Writes `encoder`, `mlp` and `echo` into a folder, from a worker with Keras."""
    import keras
    import tensorflow as tf

    from keras_attn.serving import export

    keras.utils.set_random_seed(0)
    base = Path(folder)
    sizes = (1, LARGEST_BATCH)  # which are warmed up
    export(_encoder(keras), base / "encoder", allowed_batch_sizes=sizes)
    export(_mlp(keras), base / "mlp", allowed_batch_sizes=sizes)
    matrix = {"x": tf.TensorSpec([None, None], tf.float32)}

    def echo(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"x": tf.identity(inputs["x"])}

    export(_mlp(keras), base / "echo", {"serving_default": (echo, matrix)})


def _encoder(keras):
    """Two encoder layers over 64 words, pooled to a vector."""
    words = keras.Input((LENGTH,), dtype="int32", name="words")
    x = keras.layers.Embedding(WORDS, WIDTH)(words)
    for _ in range(2):
        attended = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x)
        x = keras.layers.LayerNormalization()(x + attended)
        hidden = keras.layers.Dense(HIDDEN, "gelu")(x)
        x = keras.layers.LayerNormalization()(x + keras.layers.Dense(WIDTH)(hidden))
    pooled = keras.layers.GlobalAveragePooling1D(name="meaning")(x)
    return keras.Model(words, pooled)


def _mlp(keras):
    sizes = keras.Input((16,), name="sizes")
    hidden = keras.layers.Dense(32, "relu")(sizes)
    return keras.Model(sizes, keras.layers.Dense(1, name="answer")(hidden))
