"""Batches whose order depends on a seed and on the number of the epoch alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np


class Batch(NamedTuple):
    """The shape that a batch is padded to, and the numbers of what it holds."""

    shape: Any
    rows: np.ndarray


class EpochOrder(keras.utils.PyDataset):
    """Base of data sets that shuffle themselves, reproducibly.

    A subclass says in `_arrange` which batches an epoch has, and makes the arrays of
    `self._batches[index]` in `__getitem__`.
    """

    def __init__(self, shuffle: bool, seed: int, **kwargs):
        super().__init__(**kwargs)
        self.shuffle = shuffle
        self.seed = seed

    def __len__(self) -> int:
        return len(self._batches)

    def set_epoch(self, epoch: int) -> None:
        """Puts the batches into the order of epoch `epoch`, counted from 0."""
        rng = np.random.default_rng([self.seed, epoch]) if self.shuffle else None
        self.epoch = epoch
        self._batches = _with_two_shapes_first(self._arrange(rng))

    def on_epoch_end(self) -> None:
        if self.shuffle:
            self.set_epoch(self.epoch + 1)

    def epoch_callback(self) -> keras.callbacks.Callback:
        """Returns a callback that keeps the order in step with the epochs of `fit`."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.set_epoch(epoch)
        )

    def _arrange(self, rng: np.random.Generator | None) -> list[Batch]:
        """Returns the batches, at random if there is an `rng`, else as they come."""
        raise NotImplementedError


def bucket_batches(
    buckets: Mapping[Any, np.ndarray],
    batch_size: int,
    rng: np.random.Generator | None,
) -> list[Batch]:
    """Cuts the rows of every bucket, given by its shape, into batches."""
    batches = []
    for shape, rows in buckets.items():
        rows = rows if rng is None else rng.permutation(rows)
        for first in range(0, len(rows), batch_size):
            batches.append(Batch(shape, rows[first : first + batch_size]))
    if rng is not None:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def _with_two_shapes_first(batches: list[Batch]) -> list[Batch]:
    """Moves a batch of a second shape to the second place.

    On TensorFlow, Keras takes the first two batches for examples of all shapes, and
    refuses later batches if these two happen to be of one shape.
    """
    for i, batch in enumerate(batches):
        if batch.shape != batches[0].shape:
            return [batches[0], batch, *batches[1:i], *batches[i + 1 :]]
    return batches
