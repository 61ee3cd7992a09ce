"""The threads that compute batches, shared by the queues of all models."""

import threading
import time
from collections.abc import Callable

from keras_attn.serving.server.batching.parameters import BatchingParameters
from keras_attn.serving.server.batching.queue import Batch, Queue
from keras_attn.serving.server.batching.task import Task
from keras_attn.serving.server.status import stopping


class Batcher:
    """Runs the batches of its queues, one queue after another in turn.

    Args:
        threads: Batches that are computed at once.
        name: What the threads are called.

    Example:

    ```python
    parameters = read_parameters("batching.config")
    batcher = Batcher(parameters.num_batch_threads, parameters.thread_pool_name)
    graph = BatchedGraph(GraphSession(path, options), batcher, parameters)
    ```
    """

    def __init__(self, threads: int, name: str = "batch_threads"):
        self.name = name
        self._queues: list[Queue] = []
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._done = threading.Condition(lock)  # apart: a worker is never missed
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}_{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def open_queue(
        self, parameters: BatchingParameters, process: Callable[[Batch], None]
    ) -> Queue:
        """A new queue, served until it is closed."""
        queue = Queue(parameters, process)
        with self._changed:
            self._queues.append(queue)
        return queue

    def add(self, queue: Queue, task: Task) -> None:
        """Puts a task into a queue of this batcher.

        Raises:
            StatusError: It is too large, or the queue is full or closed.
        """
        with self._changed:
            if queue.is_closing:
                raise stopping()
            batches = queue.add(task, time.monotonic())
            self._changed.notify(batches)

    def close_queue(self, queue: Queue) -> None:
        """Waits until what is in a queue has been processed, and drops the queue."""
        with self._changed:
            queue.is_closing = True
            self._changed.notify_all()
            self._done.wait_for(queue.is_idle)
            self._queues.remove(queue)

    def stop(self) -> None:
        """Ends the threads; the queues must have been closed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                found = self._wait_for_batch()
            if found is None:
                return
            queue, batch = found
            queue.process(batch)
            del batch, found  # an idle thread keeps no request alive
            with self._changed:
                queue.running -= 1
                self._done.notify_all()

    def _wait_for_batch(self) -> tuple[Queue, Batch] | None:
        while not self._stopping:
            now = time.monotonic()
            for index, queue in enumerate(self._queues):
                batch = queue.take(now)
                if batch is not None:
                    self._queues.append(self._queues.pop(index))  # the last in turn
                    return queue, batch
            starts = [queue.next_start() for queue in self._queues]
            soonest = min((s for s in starts if s is not None), default=None)
            self._changed.wait(None if soonest is None else max(0.0, soonest - now))
        return None
