"""A queue of batches that fill up one after another."""

from collections import deque
from collections.abc import Callable

from keras_attn.serving.server.batching.parameters import BatchingParameters
from keras_attn.serving.server.batching.task import Task, split
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    unavailable,
)

Batch = list[Task]


class Queue:
    """The batches that wait: the last one is open, those before it are closed.

    A request joins the open batch, or closes it and opens the next if it does not fit.
    Not safe for threads: its batcher locks.

    Args:
        parameters: Sizes, waiting time and the limit of the queue.
        process: Computes a batch and answers its tasks; must not raise.
    """

    def __init__(
        self, parameters: BatchingParameters, process: Callable[[Batch], None]
    ):
        self.process = process
        self.running = 0  # batches that are being computed
        self.is_closing = False
        self._parameters = parameters
        self._wait = parameters.batch_timeout_micros / 1e6
        self._batches: deque[Batch] = deque([[]])
        self._open_rows = 0
        self._open_until = 0.0

    def add(self, task: Task, now: float) -> int:
        """Takes a task in.

        Returns:
            The number of batches that it is spread over.

        Raises:
            StatusError: It is too large, or the queue is full.
        """
        self._check_capacity(task)
        parts = self._fit(task)
        for part in parts:
            if self._open_rows + part.rows > self._parameters.largest_batch:
                self._open_next()
            if not self._batches[-1]:
                self._open_until = now + self._wait
            self._batches[-1].append(part)
            self._open_rows += part.rows
        return len(parts)

    def take(self, now: float) -> Batch | None:
        """The next batch that may start, if there is one."""
        if len(self._batches) == 1:
            if not self._open_may_start(now):
                return None
            self._open_next()
        self.running += 1
        return self._batches.popleft()

    def next_start(self) -> float | None:
        """When the open batch may start though it is not full; none if it is empty."""
        return self._open_until if self._batches[-1] else None

    def is_idle(self) -> bool:
        return not self.running and len(self._batches) == 1 and not self._batches[0]

    def _open_may_start(self, now: float) -> bool:
        full = self._open_rows >= self._parameters.largest_batch
        return bool(self._batches[-1]) and (
            full or self.is_closing or now >= self._open_until
        )

    def _open_next(self) -> None:
        self._batches.append([])
        self._open_rows = 0

    def _fit(self, task: Task) -> list[Task]:
        """The task, or its parts: one that fills the open batch, then whole batches."""
        size = self._parameters.largest_batch
        room = size - self._open_rows
        if task.rows <= room or not self._parameters.enable_large_batch_splitting:
            return [task]
        whole, rest = divmod(task.rows - room, size)
        sizes = [room, *[size] * whole, rest]
        return split(task, [rows for rows in sizes if rows])

    def _check_capacity(self, task: Task) -> None:
        parameters = self._parameters
        if task.rows > parameters.max_batch_size:
            raise invalid_argument(
                f"Task size {task.rows} is larger than maximum input batch size "
                f"{parameters.max_batch_size}"
            )
        count, most = len(self._batches), parameters.max_enqueued_batches
        if parameters.enable_large_batch_splitting:
            size = parameters.largest_batch
            room = (most - count) * size + size - self._open_rows
            if task.rows > room:
                raise _full(
                    f"task size is {task.rows} but scheduling capacity is only {room} "
                    f"(num_enqueued_batches={count}, max_enqueued_batches={most}, "
                    f"open_batch_size={self._open_rows}, "
                    f"max_execution_batch_size={size})"
                )
        elif self._open_rows + task.rows > parameters.max_batch_size:
            most = max(1, most)
            if count >= most:
                raise _full(
                    f"currently {count} batches enqueued and max_enqueued_batches is "
                    f"{most}"
                )


def _full(details: str) -> StatusError:
    return unavailable(
        "The batch scheduling queue to which this task was submitted is full; "
        + details
    )
