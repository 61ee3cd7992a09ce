"""The signatures of a model on disk, read without TensorFlow."""

import os
from pathlib import Path

from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.metadata import Signature, decode_saved_model

_FILE = "saved_model.pb"


def read_folder(
    folder: str | os.PathLike[str], version: int | None = None
) -> tuple[int | None, dict[str, Signature]]:
    """Reads an exported model.

    Args:
        folder: A SavedModel, or a base path with numbered versions.
        version: Which of them; by default the highest.

    Returns:
        The version, `None` for a SavedModel by itself, and the signatures.

    Raises:
        ValueError: There is no such SavedModel, or it cannot be read.
    """
    base = Path(folder)
    if (base / _FILE).is_file() and version is None:
        return None, _read(base / _FILE)
    found = {
        int(path.parent.name): path
        for path in base.glob(f"*/{_FILE}")
        if path.parent.name.isdecimal()
    }
    chosen = max(found, default=None) if version is None else version
    if chosen is None or chosen not in found:
        wanted = "SavedModel" if version is None else f"version {version}"
        raise ValueError(f"{base} has no {wanted}; its versions: {sorted(found)}.")
    return chosen, _read(found[chosen])


def _read(path: Path) -> dict[str, Signature]:
    try:
        return decode_saved_model(path.read_bytes())
    except WireError as error:
        raise ValueError(f"{path} is no SavedModel: {error}") from error
