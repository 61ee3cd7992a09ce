"""A graph whose requests are computed in batches."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import grpc
import numpy as np

from keras_attn.serving.server.batching.batcher import Batcher
from keras_attn.serving.server.batching.lengths import Lengths
from keras_attn.serving.server.batching.mailbox import Mailbox
from keras_attn.serving.server.batching.merging import divide, merge
from keras_attn.serving.server.batching.padding import (
    Padding,
    pad_with_nothing,
    pad_with_own_first,
    require_same_shapes,
)
from keras_attn.serving.server.batching.parameters import BatchingParameters
from keras_attn.serving.server.batching.queue import Batch, Queue
from keras_attn.serving.server.batching.task import Task
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.servable import Graph
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    stopping,
)

Names = tuple[str, ...]


class BatchedGraph:
    """Computes requests for the same tensors together.

    There is a queue for each set of inputs and outputs, made with its first request.

    Args:
        graph: Computes a batch.
        batcher: The threads, which other models may share.
        parameters: How batches are formed.
        pad_by_lengths: Whether requests of different shapes to signatures with an
            integer input `lengths` share a batch: padded with zeros and empty strings,
            and the outputs cut to what each request alone would get.
        metrics: Counts batches and their sizes.
    """

    def __init__(
        self,
        graph: Graph,
        batcher: Batcher,
        parameters: BatchingParameters,
        *,
        pad_by_lengths: bool = False,
        metrics: Metrics | None = None,
    ):
        self.signatures = graph.signatures
        self._graph = graph
        self._batcher = batcher
        self._parameters = parameters
        self._lengths = Lengths(graph.signatures if pad_by_lengths else {})
        self._metrics = metrics
        self._mailbox = Mailbox()
        self._queues: dict[tuple[Names, Names], Queue] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def run(
        self,
        feeds: Names,
        fetches: Names,
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """Waits for the answer of `submit`."""
        return self.submit(feeds, fetches, arrays, timeout).result()

    async def run_in_loop(
        self,
        feeds: Names,
        fetches: Names,
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """Waits for the answer of `submit` in an event loop.

        Cancelled before its batch starts, the request is not computed.
        """
        answer = self.submit(feeds, fetches, arrays, timeout)
        return await self._mailbox.receive(answer)

    def submit(
        self,
        feeds: Names,
        fetches: Names,
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> Future:
        """Puts a request into its queue.

        Args:
            feeds: Names of tensors, sorted.
            fetches: Names of tensors.
            arrays: One for each feed.
            timeout: Seconds after which a request that has not started is refused.

        Returns:
            A future list of arrays, one for each fetch. Cancelled before its batch
            starts, the request is not computed.

        Raises:
            StatusError: The request cannot be batched, the queue is full, or `close`.
        """
        now = time.monotonic()
        deadline = None if timeout is None else now + timeout
        task = Task(list(arrays), _rows(arrays), fetches, now, deadline)
        self._batcher.add(self._queue(feeds, tuple(sorted(fetches))), task)
        return task.answer

    def close(self) -> None:
        """Breaks off the batches that run, and refuses what waits."""
        with self._lock:
            self._is_closed = True
            queues = list(self._queues.values())
            self._queues.clear()
        self._graph.close()
        for queue in queues:
            self._batcher.close_queue(queue)

    def _queue(self, feeds: Names, fetches: Names) -> Queue:
        with self._lock:
            if self._is_closed:
                raise stopping()
            queue = self._queues.get((feeds, fetches))
            if queue is None:
                process = partial(self._process_and_send, feeds, fetches)
                queue = self._batcher.open_queue(self._parameters, process)
                self._queues[feeds, fetches] = queue
            return queue

    def _process_and_send(self, feeds: Names, fetches: Names, batch: Batch) -> None:
        self._process(feeds, fetches, batch)
        self._mailbox.send()

    def _process(self, feeds: Names, fetches: Names, batch: Batch) -> None:
        tasks = [t for t in batch if t.answer.set_running_or_notify_cancel()]
        tasks = self._refuse_late(tasks)
        if not tasks:
            return
        try:
            if self._is_closed:
                raise stopping()
            answers = self._compute(feeds, fetches, tasks)
        except Exception as error:
            for task in tasks:
                task.fail(error)
            return
        for task, answer in zip(tasks, answers, strict=True):
            task.answer.set_result([answer[name] for name in task.fetches])

    def _refuse_late(self, tasks: Batch) -> Batch:
        """Answers those whose time is up; returns the others."""
        now = time.monotonic()
        timely = []
        for task in tasks:
            if self._metrics is not None:
                waited = now - task.enqueued
                self._metrics.observe_queuing(self._batcher.name, waited)
            if task.deadline is None or task.deadline > now:
                timely.append(task)
            else:
                task.fail(
                    StatusError(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        "Run() timeout exceeded while waiting in batching queue",
                    )
                )
        return timely

    def _compute(
        self, feeds: Names, fetches: Names, tasks: Batch
    ) -> list[dict[str, np.ndarray]]:
        """An answer for each task."""
        rows = sum(task.rows for task in tasks)
        size = self._parameters.allowed_size(rows)
        if self._metrics is not None:
            self._metrics.observe_batch([task.rows for task in tasks], size - rows)
        told = self._lengths.are_told(feeds)
        arrays = merge(feeds, tasks, size, self._padding(told))
        outputs = self._graph.run(feeds, fetches, arrays, _time_left(tasks))
        answers = divide(fetches, outputs, tasks, size)
        return self._lengths.cut(feeds, tasks, arrays, answers) if told else answers

    def _padding(self, told_lengths: bool) -> Padding:
        if told_lengths:
            return pad_with_nothing
        if self._parameters.pad_variable_length_inputs:
            return pad_with_own_first
        return require_same_shapes


def _rows(arrays: Sequence[np.ndarray]) -> int:
    if not arrays:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in arrays):
        raise invalid_argument(
            "Batching Run() input tensors must have at least one dimension"
        )
    if any(len(array) != len(arrays[0]) for array in arrays):
        raise invalid_argument(
            "Batching Run() input tensors must have equal 0th-dimension size"
        )
    return len(arrays[0])


def _time_left(tasks: Batch) -> float | None:
    """Until the last task's time is up."""
    deadlines = [task.deadline for task in tasks if task.deadline is not None]
    if len(deadlines) < len(tasks):
        return None
    return max(deadlines) - time.monotonic()
