"""What the server counts and times, and the page that Prometheus reads.

Names, labels and buckets are TF Serving's. Its names end as they like, where the usual
library for this appends `_total` to every counter, so the few lines it takes are here.
"""

import re
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate


def exponential_buckets(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Upper limits `scale * growth**i`; what lies above has a bucket of its own."""
    return tuple(scale * growth**i for i in range(count))


_LATENCY = exponential_buckets(10, 1.8, 33)  # microseconds, to about 20 minutes
_QUEUING = exponential_buckets(100, 1.2, 52)
_EXAMPLES = exponential_buckets(1, 2, 15)
_BATCH_SIZE = exponential_buckets(1, 2, 14)


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


class Metrics:
    """The metrics of a server; safe for threads, and cheap where requests pass.

    Example:

    ```python
    metrics = Metrics()
    metrics.count_request("dates", "OK")
    metrics.render()
    # '...:tensorflow:serving:request_count{model_name="dates",status="OK"} 1...'
    ```
    """

    def __init__(self):
        self._families: dict[str, Counter | Histogram] = {}
        serving = "/tensorflow/serving"
        self._requests = self.counter(f"{serving}/request_count", "model_name status")
        self._request_latency = self.histogram(
            f"{serving}/request_latency", "model_name API entrypoint", _LATENCY
        )
        self._runtime_latency = self.histogram(
            f"{serving}/runtime_latency", "model_name API runtime", _LATENCY
        )
        self._examples_of_request = self.histogram(
            f"{serving}/request_example_counts", "model", _EXAMPLES
        )
        self._examples = self.counter(f"{serving}/request_example_count_total", "model")
        self._warmup_latency = self.histogram(
            f"{serving}/model_warmup_latency", "model_path status", _LATENCY
        )
        self._warmup_records = self.counter(f"{serving}/model_warmup_records_read")
        batching = f"{serving}/batching_session"
        self._queuing_latency = self.histogram(
            f"{batching}/queuing_latency", "thread_pool_name", _QUEUING
        )
        self._batches = self.counter(f"{batching}/wrapped_run_count")
        self._padding = self.histogram(
            f"{batching}/padding_size", "execution_batch_size", _BATCH_SIZE
        )
        self._task_size = self.histogram(
            f"{batching}/input_batch_size", "", _BATCH_SIZE
        )
        self._batch_size = self.histogram(
            f"{batching}/processed_batch_size", "", _BATCH_SIZE
        )

    def counter(self, name: str, labels: str = "") -> Counter:
        """A new counter: its TensorFlow name, and its labels with blanks between."""
        family = self._families[_family_name(name)] = Counter(labels.split())
        return family

    def histogram(
        self, name: str, labels: str = "", limits: Sequence[float] = _LATENCY
    ) -> Histogram:
        """A new histogram: its TensorFlow name, labels and bucket limits."""
        family = self._families[_family_name(name)] = Histogram(labels.split(), limits)
        return family

    def count_request(self, model_name: str, status_name: str) -> None:
        """A request has been answered, `"OK"` or with an error."""
        self._requests.increment(model_name, status_name)

    def observe_request(
        self, model_name: str, api: str, entrypoint: str, seconds: float
    ) -> None:
        """A successful request took so long; `entrypoint` is `"GRPC"` or `"REST"`."""
        self._request_latency.observe(1e6 * seconds, model_name, api, entrypoint)

    def observe_runtime(self, model_name: str, api: str, seconds: float) -> None:
        """TensorFlow itself took so long."""
        self._runtime_latency.observe(1e6 * seconds, model_name, api, "TF1")

    def count_examples(self, model_name: str, count: int) -> None:
        """A request of Classify, Regress or MultiInference had so many examples."""
        self._examples_of_request.observe(count, model_name)
        self._examples.increment(model_name, by=count)

    def observe_warmup(
        self, model_path: str, status_name: str, seconds: float, records: int
    ) -> None:
        """The warm-up of a version has ended."""
        self._warmup_latency.observe(1e6 * seconds, model_path, status_name)
        self._warmup_records.increment(by=records)

    def observe_queuing(self, thread_pool_name: str, seconds: float) -> None:
        """A request waited so long for its batch to start."""
        self._queuing_latency.observe(1e6 * seconds, thread_pool_name)

    def observe_batch(self, sizes: Iterable[int], padding: int = 0) -> None:
        """A batch is run: the rows of each request in it, and rows of padding."""
        total = padding
        for size in sizes:
            self._task_size.observe(size)
            total += size
        self._batches.increment()
        self._batch_size.observe(total)
        self._padding.observe(padding, str(total))

    def value(self, name: str) -> int:
        """The first number of a counter, by its TensorFlow name; 0 if there is none."""
        family = self._families.get(_family_name(name))
        return family.first() if isinstance(family, Counter) else 0

    def render(self) -> str:
        """The page, in Prometheus's text format."""
        lines = []
        for name, family in sorted(self._families.items()):
            lines.append(f"# TYPE {name} {family.kind}")
            lines += family.lines(name)
        return "\n".join(lines) + "\n"


def _family_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", ":", name)


def _join(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{_escape(value)}"' for name, value in pairs)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
