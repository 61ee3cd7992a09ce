"""Which graphs make a batch together, and the few shapes that batches have."""

from collections.abc import Sequence

import numpy as np

from keras_attn.data._epoch_order import Batch, bucket_batches

Shape = tuple[int, int]  # nodes and edges
EMPTY = -1


class PaddedPlan:
    """Batches of graphs of like size, each in a row of its own.

    A graph goes to the first bucket that holds it.
    """

    def __init__(
        self, sizes: np.ndarray, batch_size: int, buckets: int | Sequence[Shape]
    ):
        self.batch_size = batch_size
        if isinstance(buckets, int):
            self.shapes = _least_padded_shapes(sizes, buckets)
        else:
            self.shapes = _checked_shapes(buckets)
        homes = np.array([self._home(i, size) for i, size in enumerate(sizes)])
        self._buckets = {
            shape: np.flatnonzero(homes == i)
            for i, shape in enumerate(self.shapes)
            if np.any(homes == i)
        }

    def batches(self, rng: np.random.Generator | None) -> list[Batch]:
        return bucket_batches(self._buckets, self.batch_size, rng)

    def _home(self, graph: int, size: np.ndarray) -> int:
        for i, shape in enumerate(self.shapes):
            if np.all(size <= shape):
                return i
        nodes, edges = size.tolist()
        raise ValueError(
            f"Graph {graph} has {nodes} nodes and {edges} edges, more than the last "
            f"of `buckets` holds. Received: buckets={self.shapes}"
        )


class DisjointPlan:
    """Batches of graphs side by side, all of about the same total size.

    For a random order, graphs are sorted by size and cut into classes with as many
    graphs as there are batches, and every batch is dealt one graph of each class. So
    the totals of any two batches differ by no more than two graphs do, whatever the
    order, and one shape with little padding holds them all.
    """

    def __init__(
        self,
        sizes: np.ndarray,
        batch_size: int,
        buckets: int | Sequence[Shape],
        shuffle: bool,
    ):
        self.sizes = sizes
        self.batch_size = batch_size
        count = -(-len(sizes) // batch_size)
        order = np.argsort(-sizes.sum(axis=1), kind="stable")
        self._classes = [order[i : i + count] for i in range(0, len(order), count)]
        if shuffle:
            largest = sum(sizes[members].max(axis=0) for members in self._classes)
        else:
            largest = np.max([sizes[rows].sum(axis=0) for rows in self._runs()], axis=0)
        if isinstance(buckets, int):
            self.shapes = _one_shape(largest, buckets)
        else:
            self.shapes = _checked_shapes(buckets)
            _check_holds(self.shapes[-1], largest)

    def batches(self, rng: np.random.Generator | None) -> list[Batch]:
        runs = self._runs() if rng is None else self._deal(rng)
        return [Batch(self._shape(rows), rows) for rows in runs]

    def _runs(self) -> list[np.ndarray]:
        numbers = np.arange(len(self.sizes))
        return np.split(numbers, numbers[self.batch_size :: self.batch_size])

    def _deal(self, rng: np.random.Generator) -> list[np.ndarray]:
        hands = np.full((len(self._classes), len(self._classes[0])), EMPTY)
        for hand, members in zip(hands, self._classes, strict=True):
            hand[rng.permutation(len(hand))[: len(members)]] = members
        return [rng.permutation(hand[hand != EMPTY]) for hand in hands.T]

    def _shape(self, rows: np.ndarray) -> Shape:
        total = self.sizes[rows].sum(axis=0)
        return next(shape for shape in self.shapes if np.all(total <= shape))


def _one_shape(largest: np.ndarray, buckets: int) -> list[Shape]:
    if buckets != 1:
        raise ValueError(
            "Disjoint batches are all of about one size; `buckets` must be 1, or the "
            f"shapes themselves. Received: buckets={buckets}"
        )
    nodes, edges = np.maximum(largest, 1).tolist()
    return [(nodes, edges)]


def _least_padded_shapes(sizes: np.ndarray, count: int) -> list[Shape]:
    """Returns up to `count` shapes, with as few slots for nodes in all as can be."""
    if count < 1:
        raise ValueError(f"`buckets` must be at least 1. Received: buckets={count}")
    shapes: list[Shape] = []
    for nodes in _limits(np.maximum(sizes[:, 0], 1), count):
        edges = sizes[sizes[:, 0] <= nodes, 1].max()
        shape = nodes, max(int(edges), 1)
        if shapes and shape[1] <= shapes[-1][1]:  # no more edges: one bucket for both
            shape = nodes, shapes.pop()[1]
        shapes.append(shape)
    return shapes


def _limits(nodes: np.ndarray, count: int) -> list[int]:
    """Returns the most nodes of each bucket, chosen by dynamic programming."""
    limits, counts = np.unique(nodes, return_counts=True)
    through = np.cumsum(counts)
    # Row i, column j: the slots of a bucket beyond limit i, up to and with limit j.
    added = np.triu(limits * (through - through[:, None]))
    added = np.where(np.tri(len(limits), k=-1, dtype=bool), np.inf, added)
    least, befores = limits * through, []
    for _ in range(count - 1):
        totals = least[:, None] + added
        befores.append(totals.argmin(axis=0))
        least = totals.min(axis=0)
    last, chosen = len(limits) - 1, [len(limits) - 1]
    for before in reversed(befores):
        last = before[last]
        chosen.append(last)
    return limits[np.unique(chosen)].tolist()


def _checked_shapes(buckets: Sequence[Shape]) -> list[Shape]:
    """Returns shapes of which each is larger than the last in both sizes.

    That both grow lets Keras see from two shapes that both may vary.
    """
    shapes = sorted((int(nodes), int(edges)) for nodes, edges in buckets)
    grow = all(
        low[0] < high[0] and low[1] < high[1]
        for low, high in zip([(0, 0), *shapes], shapes, strict=False)
    )
    if not shapes or not grow:
        raise ValueError(
            "`buckets` must be pairs of nodes and edges, at least 1 of each, and both "
            f"more from bucket to bucket. Received: buckets={list(buckets)}"
        )
    return shapes


def _check_holds(shape: Shape, largest: np.ndarray) -> None:
    if np.any(largest > shape):
        raise ValueError(
            "The last of `buckets` must hold every batch that may come up, up to "
            f"{tuple(largest.tolist())} nodes and edges. Received: {shape}"
        )
