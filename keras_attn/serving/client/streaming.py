"""Many requests at once, their answers in order."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future, ThreadPoolExecutor
from operator import length_hint
from typing import Any, Generic, TypeVar

from keras_attn.serving.client.errors import ServingError
from keras_attn.serving.client.progress import Progress

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Task = TypeVar("Task", bound="Future[Any] | asyncio.Future[Any]")

_DELIVERED = (ServingError, ValueError, TypeError)  # what a request may do wrong


def stream(
    ask: Callable[[Request], Answer],
    requests: Iterable[Request],
    concurrency: int,
    progress: bool,
) -> Generator[Answer | Exception, None, None]:
    """Asks from `concurrency` threads; yields answers in the order of the requests."""
    window: _Window[Future[Answer]] = _Window(concurrency)
    with (
        ThreadPoolExecutor(concurrency, "keras-attn-stream") as threads,
        Progress(_total(requests), progress) as bar,
    ):
        try:
            for request in requests:
                window.add(threads.submit(ask, request))
                for future in window.ripe():
                    yield _outcome(future)
                    bar.advance()
            for future in window.rest():
                yield _outcome(future)
                bar.advance()
        finally:
            window.cancel()


async def stream_async(
    ask: Callable[[Request], Awaitable[Answer]],
    requests: Iterable[Request] | AsyncIterable[Request],
    concurrency: int,
    progress: bool,
) -> AsyncGenerator[Answer | Exception, None]:
    """Asks from `concurrency` tasks; yields answers in the order of the requests."""
    window: _Window[asyncio.Task[Answer]] = _Window(concurrency)
    gate = asyncio.Semaphore(concurrency)

    async def ask_in_turn(request: Request) -> Answer:
        async with gate:
            return await ask(request)

    with Progress(_total(requests), progress) as bar:
        try:
            async for request in _iterate(requests):
                window.add(asyncio.create_task(ask_in_turn(request)))
                for task in window.ripe():
                    await asyncio.wait([task])
                    yield _outcome(task)
                    bar.advance()
            for task in window.rest():
                await asyncio.wait([task])
                yield _outcome(task)
                bar.advance()
        finally:
            await asyncio.gather(*window.cancel(), return_exceptions=True)


class _Window(Generic[Task]):
    """Tasks in the order of their requests.

    It holds twice as many as may run, so that a slow first one does not keep the others
    from running, and no more, so that requests without end take bounded memory.
    """

    def __init__(self, concurrency: int):
        self._limit = 2 * concurrency
        self._tasks: deque[Task] = deque()

    def add(self, task: Task) -> None:
        self._tasks.append(task)

    def ripe(self) -> Iterator[Task]:
        """Takes out those whose turn it is: done, or in the way of the next request."""
        while self._tasks and (
            len(self._tasks) >= self._limit or self._tasks[0].done()
        ):
            yield self._tasks[0]
            self._tasks.popleft()

    def rest(self) -> Iterator[Task]:
        while self._tasks:
            yield self._tasks[0]
            self._tasks.popleft()

    def cancel(self) -> list[Task]:
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)


def check_concurrency(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(
            f"`concurrency` must be at least 1. Received: concurrency={concurrency}"
        )


def _outcome(task: "Future[Any] | asyncio.Future[Any]") -> Any:
    error = task.exception()
    return error if isinstance(error, _DELIVERED) else task.result()


def _total(requests: object) -> int | None:
    return length_hint(requests, 0) or None


async def _iterate(
    requests: Iterable[Request] | AsyncIterable[Request],
) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
            await asyncio.sleep(0)  # lets what was asked before proceed
