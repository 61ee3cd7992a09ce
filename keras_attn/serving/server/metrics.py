"""What the server counts and times, and the page that Prometheus reads.

Names, labels and buckets are TF Serving's. Its names end as they like, where the usual
library for this appends `_total` to every counter, so the few lines it takes are here.
"""

import re
from collections.abc import Iterable, Sequence

from keras_attn.serving.server.metric_families import (
    Counter,
    Histogram,
    exponential_buckets,
)

_LATENCY = exponential_buckets(10, 1.8, 33)  # microseconds, to about 20 minutes
_QUEUING = exponential_buckets(100, 1.2, 52)
_EXAMPLES = exponential_buckets(1, 2, 15)
_BATCH_SIZE = exponential_buckets(1, 2, 14)


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
