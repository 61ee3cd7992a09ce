"""Digits somewhere on a larger canvas, alone or among pieces of others."""

import numpy as np

from keras_attn.data._epoch_order import Batch, EpochOrder, bucket_batches


class DigitScenes(EpochOrder):
    """Batches of digits at random places of a canvas, made as they are asked for.

    Mnih et al. call these translated and, with `clutter`, cluttered translated MNIST:
    each piece of clutter is a square cut from a random place of another digit and laid
    on a random place of the canvas. Where things overlap, the brighter pixel shows.

    A scene depends on `seed`, on the number of the epoch and on its place in it alone,
    so a resumed training sees what an uninterrupted one would have seen, if `fit` is
    called as below. With `shuffle=False` the digits come as they are given, and in
    the same scenes whenever one goes through them: a fixed validation or test set.

    Args:
        images: uint8 array `(digits, height, width, channels)`.
        labels: Array `(digits,)`.
        batch_size: Integer, rows of a batch; what is left over makes a smaller one.
        size: Integer, height and width of the canvas.
        clutter: Integer, number of pieces of other digits.
        clutter_size: Integer, their height and width.
        shift: Integer, rows and columns that a digit may be moved by within its own
            image before it is laid; what leaves the image is lost.
        shuffle: Boolean, whether every epoch has its own order and scenes.
        seed: Integer.
        **kwargs: Passed to `keras.utils.PyDataset`.

    Raises:
        ValueError: If the arrays do not match, or a digit or a piece is larger than
            what it is laid on or cut from.

    Example:

    ```python
    images, labels = mnist.load("train")
    scenes = DigitScenes(images, labels, batch_size=128, clutter=4)
    model.fit(scenes, shuffle=False, callbacks=[scenes.epoch_callback()])
    ```

    Reference:

    - [Mnih et al., 2014](https://arxiv.org/abs/1406.6247), section 4.1
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        size: int = 60,
        clutter: int = 0,
        clutter_size: int = 8,
        shift: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(shuffle, seed, **kwargs)
        images, labels = np.asarray(images), np.asarray(labels)
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(
                "`images` must be a uint8 array (digits, height, width, channels). "
                f"Received: shape={images.shape}, dtype={images.dtype}"
            )
        if not 0 < len(images) == len(labels):
            raise ValueError(
                "`images` and `labels` must have equally many rows, at least one. "
                f"Received: {len(images)} and {len(labels)} rows"
            )
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        if size < max(images.shape[1:3]):
            raise ValueError(
                f"`size` must be at least that of a digit, {images.shape[1:3]}. "
                f"Received: size={size}"
            )
        if clutter < 0 or (clutter and not 1 <= clutter_size <= min(images.shape[1:3])):
            raise ValueError(
                "`clutter` must be at least 0 and, where there is any, `clutter_size` "
                f"at least 1 and at most that of a digit, {images.shape[1:3]}. "
                f"Received: clutter={clutter}, clutter_size={clutter_size}"
            )
        if not 0 <= shift < min(images.shape[1:3]):
            raise ValueError(
                "`shift` must be at least 0 and less than a digit is long, "
                f"{images.shape[1:3]}. Received: shift={shift}"
            )
        self.images, self.labels = images, labels
        self.batch_size = batch_size
        self.size = size
        self.clutter, self.clutter_size = clutter, clutter_size
        self.shift = shift
        self.set_epoch(0)

    def __getitem__(self, index: int):
        rows = self._batches[index].rows
        rng = np.random.default_rng([self.seed, self.epoch, index])
        channels = self.images.shape[-1]
        canvas = np.zeros((len(rows), self.size, self.size, channels), np.uint8)
        digits = self.images[rows]
        if self.shift:
            digits = _move(digits, self.shift, rng)
        _lay(canvas, digits, rng)
        for _ in range(self.clutter):
            # Adding at least one to a row's number leaves its own digit out.
            step = rng.integers(1, max(2, len(self.images)), len(rows))
            others = self.images[(rows + step) % len(self.images)]
            _lay(canvas, _cut(others, (self.clutter_size,) * 2, rng), rng)
        return canvas, self.labels[rows]

    def _arrange(self, rng: np.random.Generator | None) -> list[Batch]:
        every = np.arange(len(self.images))
        return bucket_batches({self.size: every}, self.batch_size, rng)


def _lay(canvas: np.ndarray, pieces: np.ndarray, rng: np.random.Generator) -> None:
    """Lays one piece on each canvas, at a random place wholly inside."""
    places = _places(canvas.shape, pieces.shape[1:3], rng)
    canvas[places] = np.maximum(canvas[places], pieces)


def _move(images: np.ndarray, shift: int, rng: np.random.Generator) -> np.ndarray:
    """Moves each image by at most `shift` along both sides, zeros follow."""
    beyond = [(0, 0), (shift, shift), (shift, shift), (0, 0)]
    return _cut(np.pad(images, beyond), images.shape[1:3], rng)


def _cut(
    images: np.ndarray, sides: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Cuts a rectangle out of each image, at a random place wholly inside."""
    return images[_places(images.shape, sides, rng)]


def _places(
    shape: tuple[int, ...], inner: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Indices of a random rectangle in each of `shape[0]` images."""
    rows, columns = (
        rng.integers(0, length - short + 1, shape[0])[:, None] + np.arange(short)
        for length, short in zip(shape[1:3], inner, strict=True)
    )
    return (
        np.arange(shape[0])[:, None, None],
        rows[:, :, None],
        columns[:, None, :],
    )
