"""One shape for inputs of several, so that they can share a batch."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_attn.serving.server.status import failed_precondition, invalid_argument

Padding = Callable[[str, Sequence[np.ndarray]], list[np.ndarray]]

_HIGHEST_RANK = 6


def require_same_shapes(name: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pads nothing. Without padding, all must agree but for the number of rows.

    Raises:
        StatusError: They do not.
    """
    if any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise failed_precondition(
            f"Tensors with name '{name}' from different tasks have different shapes "
            "and padding is turned off. Set pad_variable_length_inputs to true, or "
            "ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim."
        )
    return list(arrays)


def pad_with_own_first(name: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pads as TF Serving does: each array with its own first element.

    That is an element of the data, so that a model takes padding for data.

    Raises:
        StatusError: An array has no element, or a rank that is not padded.
    """
    shape = _common_shape(name, arrays)
    return [_pad(array, shape, array.flat[:1]) for array in arrays]


def pad_with_nothing(name: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pads with zeros, false and empty strings, for models that are told lengths.

    Raises:
        StatusError: An array has a rank that is not padded.
    """
    shape = _common_shape(name, arrays)
    nothing = np.array([b""], object) if arrays[0].dtype == object else np.zeros(1)
    return [_pad(array, shape, nothing) for array in arrays]


def _common_shape(name: str, arrays: Sequence[np.ndarray]) -> tuple[int, ...]:
    """The largest size of each dimension after the first."""
    ranks = {array.ndim for array in arrays}
    if max(ranks) > _HIGHEST_RANK:
        raise invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
    if len(ranks) > 1:
        raise invalid_argument(
            f"Tensors with name '{name}' from different tasks have different ranks: "
            f"{', '.join(map(str, sorted(ranks)))}."
        )
    return tuple(np.max([array.shape[1:] for array in arrays], axis=0))


def _pad(array: np.ndarray, shape: tuple[int, ...], value: np.ndarray) -> np.ndarray:
    if array.shape[1:] == shape:
        return array
    padded = np.empty((len(array), *shape), array.dtype)
    if not padded.size:
        return padded
    if not value.size:
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    padded[...] = value
    padded[tuple(map(slice, array.shape))] = array
    return padded
