"""The proof that a written SavedModel answers as the live functions do."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_attn.serving._examples import Rows, batch_of

TOLERANCE = 1e-5


def verify(
    folder: Path,
    functions: Mapping[str, Callable[[Rows], Rows]],
    examples: Mapping[str, Rows],
    batch_sizes: Sequence[int],
) -> None:
    """Loads `folder` and compares every signature with its live function.

    Args:
        folder: Folder of the SavedModel.
        functions: The live function of each signature.
        examples: Rows to ask each signature with.
        batch_sizes: Ints. Every size is asked once.

    Raises:
        RuntimeError: If the SavedModel cannot be loaded or run, if an answer lacks
            the batch dimension, or if it differs from the live one.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        raise RuntimeError("The written SavedModel does not load.") from error
    for name, function in functions.items():
        for size in batch_sizes:
            inputs = batch_of(examples[name], size)
            try:
                expected = function(inputs)
                answered = loaded.signatures[name](**inputs)
            except Exception as error:
                raise RuntimeError(
                    f"Signature {name!r} fails on its example of {size} rows. If the "
                    f"example is at fault, pass rows in `examples[{name!r}]`."
                ) from error
            for output in expected:
                _compare(
                    f"Output {output!r} of signature {name!r}, asked with {size} rows,",
                    size,
                    expected[output].numpy(),
                    answered[output].numpy(),
                )


def _compare(
    subject: str, size: int, expected: np.ndarray, answered: np.ndarray
) -> None:
    if expected.ndim == 0 or len(expected) != size:
        raise RuntimeError(
            f"{subject} must have the batch as its first dimension. "
            f"Received: shape={expected.shape}"
        )
    if not _equal(expected, answered):
        raise RuntimeError(
            f"{subject} differs between the written SavedModel and the live model. "
            f"Received: {_excerpt(answered)}, expected: {_excerpt(expected)}"
        )


def _equal(expected: np.ndarray, answered: np.ndarray) -> bool:
    if expected.shape != answered.shape:
        return False
    if not np.issubdtype(expected.dtype, np.floating):
        return bool(np.array_equal(expected, answered))
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, finite.max(initial=0.0))
    return np.allclose(
        answered, expected, rtol=0, atol=TOLERANCE * scale, equal_nan=True
    )


def _excerpt(array: np.ndarray) -> str:
    return np.array2string(array, threshold=8, edgeitems=2, separator=", ")
