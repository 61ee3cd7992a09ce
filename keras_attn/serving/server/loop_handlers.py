"""Handlers made for threads, and what takes their place in an event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc

from keras_attn.serving.server.front import Handlers
from keras_attn.serving.server.grpc_method import failure

LoopMethod = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


class LoopHandlers(grpc.GenericRpcHandler):
    """Finds what answers a call in an event loop.

    Args:
        handlers: The services, made for threads; they are given some.
        methods: By `/service/method`, coroutines that take their place.
    """

    def __init__(self, handlers: Handlers, methods: Mapping[str, LoopMethod]):
        self._handlers = handlers
        self._methods = methods
        self._found: dict[str, grpc.RpcMethodHandler] = {}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        path = handler_call_details.method
        if path not in self._found:
            handler = self._find(path, handler_call_details)
            if handler is None:
                return None
            self._found[path] = handler
        return self._found[path]

    def _find(
        self, path: str, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        found = (handler.service(details) for handler in self._handlers)
        handler = next((handler for handler in found if handler is not None), None)
        if handler is None:
            return None
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(_streamed(handler))
        if path in self._methods:
            name = path.rpartition("/")[2]
            return grpc.unary_unary_rpc_method_handler(
                _answered(name, self._methods[path])
            )
        return grpc.unary_unary_rpc_method_handler(_in_thread(handler))


def _answered(name: str, method: LoopMethod) -> LoopMethod:
    async def answer(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            return await method(message, context)
        except Exception as error:
            problem = failure(name, error)
        await context.abort(*problem)  # raises
        return b""

    return answer


def _in_thread(handler: grpc.RpcMethodHandler) -> LoopMethod:
    """A handler that blocks, in a thread. (gRPC's own way tells it of no hang-up.)"""

    async def answer(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            return await asyncio.to_thread(
                handler.unary_unary, message, _ThreadContext(context)
            )
        except _Aborted as aborted:
            await context.abort(*aborted.args)  # raises
        return b""

    return answer


def _streamed(handler: grpc.RpcMethodHandler):
    """A handler that returns at once and sends later, as a stream of the loop."""

    async def answer(
        message: bytes, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        replies: asyncio.Queue[bytes | None] = asyncio.Queue()

        def send(reply: bytes | None) -> None:
            loop.call_soon_threadsafe(replies.put_nowait, reply)

        try:
            handler.unary_stream(message, _ThreadContext(context), send)
        except _Aborted as aborted:
            await context.abort(*aborted.args)
        while (reply := await replies.get()) is not None:
            yield reply

    return answer


class _Aborted(Exception):
    """A handler has ended its call with a code and a text."""


class _ThreadContext:
    """What a handler made for threads asks of its context."""

    def __init__(self, context: grpc.aio.ServicerContext):
        self._context = context

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        self._context.add_done_callback(lambda _: callback())
        return not self._context.done()

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise _Aborted(code, details)
