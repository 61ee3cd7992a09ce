"""Threads for what takes long."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """Runs tasks in threads, or at once in the caller's own.

    Args:
        threads: How many tasks run at a time; with 0 the caller runs each itself.
        name: Shown in the names of the threads.
    """

    def __init__(self, threads: int, name: str):
        self._pool = (
            ThreadPoolExecutor(threads, thread_name_prefix=name)
            if threads > 0
            else None
        )

    def run(self, task: Callable[[], None]) -> None:
        if self._pool is None:
            task()
        else:
            self._pool.submit(task)

    def stop(self) -> None:
        """Waits for the tasks that have begun, and forgets the others."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
