"""From the inputs of several requests to one batch, and from its outputs back."""

from collections.abc import Sequence

import numpy as np

from keras_attn.serving.server.batching.padding import Padding
from keras_attn.serving.server.batching.task import Task
from keras_attn.serving.server.status import failed_precondition


def merge(
    feeds: Sequence[str], tasks: Sequence[Task], size: int, pad: Padding
) -> list[np.ndarray]:
    """The inputs of a batch: the tasks' rows, then the first row of the last again.

    Args:
        feeds: Names of the inputs.
        tasks: What is computed together.
        size: Rows of the batch.
        pad: Gives inputs of several shapes one.

    Raises:
        StatusError: The inputs do not go together.
    """
    merged = []
    for index, name in enumerate(feeds):
        arrays = pad(name, [task.arrays[index] for task in tasks])
        missing = size - sum(map(len, arrays))
        if missing:
            last = next(array for array in reversed(arrays) if len(array))
            arrays.append(np.repeat(last[:1], missing, axis=0))
        merged.append(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))
    return merged


def divide(
    fetches: Sequence[str],
    outputs: Sequence[np.ndarray],
    tasks: Sequence[Task],
    size: int,
) -> list[dict[str, np.ndarray]]:
    """The outputs of each task, by name.

    Raises:
        StatusError: An output has not one row for each of the batch.
    """
    for output in outputs:
        if not output.ndim:
            raise failed_precondition("Batched output tensor has 0 dimensions")
        if len(output) != size:
            raise failed_precondition(
                "Batched output tensor's 0th dimension does not equal the sum of the "
                "0th dimension sizes of the input tensors"
            )
    answers = []
    start = 0
    for task in tasks:
        rows = slice(start, start + task.rows)
        answers.append(
            {name: out[rows] for name, out in zip(fetches, outputs, strict=True)}
        )
        start += task.rows
    return answers
