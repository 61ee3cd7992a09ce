"""A request on its way through a batch, or through several."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from keras_attn.serving.server.status import StatusError


@dataclass(slots=True, eq=False)
class Task:
    """The inputs of one request.

    Args:
        arrays: One for each feed, with `rows` rows each.
        rows: How much of a batch it takes.
        fetches: What is asked for.
        enqueued: When it was submitted, by the monotonic clock.
        deadline: When its time is up, by the same clock.
        answer: Resolves to one array for each fetch.
    """

    arrays: list[np.ndarray]
    rows: int
    fetches: tuple[str, ...]
    enqueued: float
    deadline: float | None = None
    answer: Future = field(default_factory=Future)

    def fail(self, error: BaseException) -> None:
        """Answers with a copy of the error: those who wait may each raise it."""
        if isinstance(error, StatusError):
            error = StatusError(error.code, error.message)
        self.answer.set_exception(error)


def split(task: Task, sizes: list[int]) -> list[Task]:
    """Tasks for consecutive rows of one.

    The task is answered once all of its parts are, with the first error if there is
    one; if it is cancelled, so are the parts that have not started.
    """
    parts = []
    start = 0
    for size in sizes:
        arrays = [array[start : start + size] for array in task.arrays]
        parts.append(Task(arrays, size, task.fetches, task.enqueued, task.deadline))
        start += size
    left = len(parts)
    lock = threading.Lock()

    def join(_: Future) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        if task.answer.set_running_or_notify_cancel():
            _answer_whole(task, parts)

    def cancel(answer: Future) -> None:
        if answer.cancelled():
            for part in parts:
                part.answer.cancel()

    for part in parts:
        part.answer.add_done_callback(join)
    task.answer.add_done_callback(cancel)
    return parts


def _answer_whole(task: Task, parts: list[Task]) -> None:
    for part in parts:
        error = part.answer.exception()
        if error is not None:
            task.fail(error)
            return
    outputs = zip(*(part.answer.result() for part in parts), strict=True)
    task.answer.set_result([np.concatenate(arrays) for arrays in outputs])
