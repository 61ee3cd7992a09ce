"""Pairs of sequences in batches of a few fixed shapes."""

from collections.abc import Sequence

import numpy as np

from keras_attn.data._epoch_order import Batch, EpochOrder, bucket_batches


class BucketedPairs(EpochOrder):
    """Batches of padded pairs for teacher forcing, in a few fixed shapes.

    Every pair goes to the narrowest bucket that holds its longer side, and every
    batch is of one bucket. So a compiled training step is compiled once for each
    bucket, and little of a batch is padding.

    A batch is `({"source", "target"}, labels, sample_weight)`, each of shape
    `(batch_size, boundary)`. The target is the decoder's input: the start token,
    then the labels but for their last. The weight is 1 for a label and 0 for
    padding. The last batch of a bucket is filled up with rows of weight 0 (repeated
    ones, as a model may dislike empty rows), so that every pair counts exactly once
    an epoch and every batch has `batch_size` rows.

    Weights act on the loss and on `weighted_metrics` of `compile()`, not on
    `metrics`. Keras divides a weighted loss by the number of all elements; a loss
    made with `reduction="mean_with_sample_weight"` divides by the weights' sum.

    The order of an epoch depends on `seed` and on the number of the epoch alone, if
    `fit` is called as below: `shuffle=False` keeps Keras from shuffling the batches
    once more, by a random state that no training is resumed with, and the callback
    tells the data set which epoch begins. Then a resumed training sees the batches
    that an uninterrupted one would have seen.

    Args:
        source_ids: Integer array of shape `(pairs, source_length)`, rows padded at
            their ends with 0.
        target_ids: Integer array of shape `(pairs, target_length)`, likewise, with
            the end token and without the start token.
        batch_size: Integer, the rows of every batch.
        boundaries: Integers, the widths of the buckets.
        start_token_id: Integer, the first id of every target.
        shuffle: Boolean, whether every epoch has an order of its own; otherwise
            batches come in the order of the buckets, rows in the order given.
        seed: Integer, the seed of the order.
        **kwargs: Passed to `keras.utils.PyDataset`.

    Raises:
        ValueError: If the arrays do not match, or a pair is longer than the last
            boundary.

    Example:

    ```python
    batches = BucketedPairs(source_ids, target_ids, 64, boundaries=(12, 16, 24, 40))
    callbacks = [batches.epoch_callback()]
    model.fit(batches, epochs=8, shuffle=False, callbacks=callbacks)
    ```
    """

    def __init__(
        self,
        source_ids: np.ndarray,
        target_ids: np.ndarray,
        batch_size: int,
        boundaries: Sequence[int] = (12, 16, 24, 40),
        start_token_id: int = 2,
        shuffle: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(shuffle, seed, **kwargs)
        source_lengths = _lengths("source_ids", source_ids)
        target_lengths = _lengths("target_ids", target_ids)
        if not 0 < len(source_ids) == len(target_ids):
            raise ValueError(
                "`source_ids` and `target_ids` must have equally many rows, at least "
                f"one. Received: {len(source_ids)} and {len(target_ids)} rows"
            )
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        self.source_ids = source_ids
        self.target_ids = target_ids
        self.batch_size = batch_size
        self.start_token_id = start_token_id
        self._buckets = _assign(np.maximum(source_lengths, target_lengths), boundaries)
        self.set_epoch(0)

    def __getitem__(self, index: int):
        batch = self._batches[index]
        rows = np.resize(batch.rows, self.batch_size)  # a last batch repeats its rows
        source = _take(self.source_ids, rows, batch.shape)
        labels = _take(self.target_ids, rows, batch.shape)
        target = np.full_like(labels, self.start_token_id)
        target[:, 1:] = labels[:, :-1]
        weight = (labels != 0).astype("float32")
        weight[len(batch.rows) :] = 0.0
        return {"source": source, "target": target}, labels, weight

    def _arrange(self, rng: np.random.Generator | None) -> list[Batch]:
        return bucket_batches(self._buckets, self.batch_size, rng)


def _lengths(name: str, ids: np.ndarray) -> np.ndarray:
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"`{name}` must be an integer array of shape (pairs, length). "
            f"Received: shape={ids.shape}, dtype={ids.dtype}"
        )
    lengths = np.count_nonzero(ids, axis=1)
    inside = np.arange(ids.shape[1]) < lengths[:, None]
    if not np.array_equal(ids != 0, inside):
        row = int(np.argmax(np.any((ids != 0) != inside, axis=1)))
        raise ValueError(
            f"`{name}` must hold the padding id 0 at the ends of its rows only. "
            f"Received: row {row} is {ids[row].tolist()}"
        )
    return lengths


def _assign(lengths: np.ndarray, boundaries: Sequence[int]) -> dict[int, np.ndarray]:
    """Returns the rows of every bucket that has any, by its width."""
    widths = np.unique(boundaries)
    if not len(widths) or widths[0] < 1:
        raise ValueError(
            "`boundaries` must be widths of at least 1. "
            f"Received: boundaries={boundaries}"
        )
    longest = int(np.argmax(lengths))
    if lengths[longest] > widths[-1]:
        raise ValueError(
            f"Pair {longest} is {lengths[longest]} tokens long, more than the last of "
            f"`boundaries`. Received: boundaries={boundaries}"
        )
    bucket = np.searchsorted(widths, lengths)
    return {
        int(width): np.flatnonzero(bucket == i)
        for i, width in enumerate(widths)
        if np.any(bucket == i)
    }


def _take(ids: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """Returns rows of `ids`, cut or padded to `width`."""
    taken = ids[rows, :width].astype("int32")
    return np.pad(taken, ((0, 0), (0, width - taken.shape[1])))
