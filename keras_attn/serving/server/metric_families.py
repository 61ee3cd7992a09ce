"""Counters and histograms, and the lines that Prometheus reads of them."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate


def exponential_buckets(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Upper limits `scale * growth**i`; what lies above has a bucket of its own."""
    return tuple(scale * growth**i for i in range(count))


class Counter:
    """Numbers that only grow, one for each tuple of label values."""

    kind = "counter"

    def __init__(self, labels: Sequence[str] = ()):
        self._labels = tuple(labels)
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], int] = {}

    def increment(self, *labels: str, by: int = 1) -> None:
        with self._lock:
            self._cells[labels] = self._cells.get(labels, 0) + by

    def first(self) -> int:
        """The number for the label values that came first."""
        with self._lock:
            return next(iter(self._cells.values()), 0)

    def lines(self, name: str) -> Iterator[str]:
        with self._lock:
            cells = dict(self._cells)
        for labels, value in cells.items():
            yield f"{name}{{{_join(self._labels, labels)}}} {value}"


class Histogram:
    """Observations sorted into buckets, for each tuple of label values.

    Args:
        labels: Names of the labels.
        limits: Upper limits of the buckets, ascending; a last one has no limit.
    """

    kind = "histogram"

    def __init__(self, labels: Sequence[str], limits: Sequence[float]):
        self._labels = tuple(labels)
        self._limits = limits
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], _Buckets] = {}

    def observe(self, value: float, *labels: str) -> None:
        bucket = bisect_right(self._limits, value)
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = _Buckets(len(self._limits) + 1)
            cell.counts[bucket] += 1
            cell.total += value

    def lines(self, name: str) -> Iterator[str]:
        with self._lock:
            cells = {
                labels: (list(accumulate(cell.counts)), cell.total)
                for labels, cell in self._cells.items()
            }
        limits = [*(f"{limit:g}" for limit in self._limits), "+Inf"]
        for labels, (counts, total) in cells.items():
            shown = _join(self._labels, labels)
            start = f"{name}_bucket{{{shown}{',' if shown else ''}le="
            for limit, count in zip(limits, counts, strict=True):
                yield f'{start}"{limit}"}} {count}'
            yield f"{name}_sum{{{shown}}} {total!r}"
            yield f"{name}_count{{{shown}}} {counts[-1]}"


class _Buckets:
    __slots__ = ("counts", "total")

    def __init__(self, number: int):
        self.counts = [0] * number
        self.total = 0.0


def _join(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{_escape(value)}"' for name, value in pairs)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
