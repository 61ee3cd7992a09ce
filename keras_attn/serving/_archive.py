"""The traced functions of an export, and the SavedModel they are written to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_attn.serving._signatures import Signature


class _Holder(tf.Module):
    """Leads the archive to the tables and tokenizers in what it holds.

    The archive finds variables by itself; told to track a Keras layer, it would
    write the layer's variables a second time.
    """

    def __init__(self, model: keras.Model, signatures: Sequence[Signature]):
        super().__init__()
        functions = [signature.function for signature in signatures]
        owners = [getattr(function, "__self__", None) for function in functions]
        self.held = [
            part
            for part in (model, *functions, *owners)
            if isinstance(part, (tf.Module, keras.Layer))
        ]


def trace(
    model: keras.Model, signatures: Sequence[Signature]
) -> tuple[Any, dict[str, Callable]]:
    """An archive with every signature traced, and the traced functions by name.

    The weights of `model` are shared by all of them. A function that is a `tf.Module`
    or a layer, or a method of one, brings the resources that it holds.
    """
    archive = keras.export.ExportArchive()
    archive.track(_Holder(model, signatures))
    functions = {}
    for signature in signatures:
        endpoint = archive.add_endpoint(
            signature.name, signature.answer, [signature.inputs]
        )
        try:
            endpoint.get_concrete_function()
        except Exception as error:
            error.add_note(f"This happened in signature {signature.name!r}.")
            raise
        functions[signature.name] = endpoint
    return archive, functions


def write(archive: Any, folder: Path) -> None:
    """Writes the SavedModel into `folder`."""
    try:
        archive.write_out(str(folder), verbose=False)
    except AssertionError as error:  # TensorFlow's word for an untracked resource
        raise ValueError(
            "A signature function uses a table, tokenizer or other resource that "
            "nothing exported holds. Make the function a `tf.Module` with the "
            "resource as an attribute."
        ) from error
