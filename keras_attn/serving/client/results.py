"""From what a server sent to what a caller likes to have."""

import numpy as np


def to_user(array: np.ndarray) -> np.ndarray:
    """An array of the caller's own: numbers writeable, strings as text."""
    if array.dtype != object:
        return array if array.flags.writeable else array.copy()
    texts = np.empty(array.size, object)
    texts[:] = [_to_text(item) for item in array.ravel().tolist()]
    return texts.reshape(array.shape)


def _to_text(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item
