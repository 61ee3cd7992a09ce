"""The gRPC server as an event loop, for requests that wait for a batch."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from keras_attn.serving.server.front import Arguments, Handlers, bind, with_defaults
from keras_attn.serving.server.loop_handlers import LoopHandlers, LoopMethod

Result = TypeVar("Result")


class LoopFront:
    """Answers requests in an event loop, in a thread of its own.

    Handlers that block run in further threads.

    Args:
        handlers: The services.
        threads: Blocking handlers that run at once.
        arguments: Settings of gRPC's channels, over our own.
        methods: By `/service/method`, what answers in the loop in place of a handler.
            If a client hangs up, its coroutine is cancelled.
    """

    def __init__(
        self,
        handlers: Handlers,
        threads: int,
        arguments: Arguments = (),
        methods: Mapping[str, LoopMethod] | None = None,
    ):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(self._pool)
        self._loop.set_exception_handler(_report)
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="grpc-loop", daemon=True
        )
        self._thread.start()
        self._server = self._call(
            self._make_server(LoopHandlers(handlers, methods or {}), arguments)
        )

    def bind(
        self, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> int:
        return bind(self._server, address, credentials)

    def start(self) -> None:
        self._call(self._server.start())

    def stop(self, grace: float) -> None:
        if self._loop.is_closed():
            return
        self._call(self._server.stop(grace))
        self._pool.shutdown()  # before the loop, which hears of what ends there
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _make_server(
        self, handlers: grpc.GenericRpcHandler, arguments: Arguments
    ) -> grpc.aio.Server:
        return grpc.aio.server(  # belongs to the loop that runs this
            self._pool, [handlers], options=with_defaults(arguments)
        )

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _report(loop: asyncio.AbstractEventLoop, problem: dict[str, Any]) -> None:
    """Keeps quiet where gRPC's loops of one process race for a wake-up."""
    if not isinstance(problem.get("exception"), BlockingIOError):
        loop.default_exception_handler(problem)
