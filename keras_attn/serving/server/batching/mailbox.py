"""Answers on their way from the threads of batches to an event loop."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


class Mailbox:
    """Hands answers over, those of a batch together.

    To wake an event loop for each by itself would cost more than a small model takes.
    """

    def __init__(self) -> None:
        self._arrived: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future]] = deque()

    async def receive(self, answer: Future[Answer]) -> Answer:
        """Waits in an event loop until the answer is there and has been sent.

        Cancelled, it cancels the answer.
        """
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        answer.add_done_callback(lambda _: self._arrived.append((loop, waiter)))
        if answer.done():  # it may have come after its batch was sent
            self.send()
        try:
            await waiter
        except asyncio.CancelledError:
            answer.cancel()
            raise
        return answer.result()

    def send(self) -> None:
        """Wakes, from any thread, those whose answers are there."""
        waiters = defaultdict(list)
        while self._arrived:
            try:
                loop, waiter = self._arrived.popleft()
            except IndexError:  # another thread sends too
                break
            if not waiter.cancelled():
                waiters[loop].append(waiter)
        for loop, theirs in waiters.items():
            loop.call_soon_threadsafe(_wake, theirs)


def _wake(waiters: Iterable[asyncio.Future]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
