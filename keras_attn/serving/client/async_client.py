"""The client for asyncio."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from keras_attn.serving.client.base import BaseClient
from keras_attn.serving.client.core import Core
from keras_attn.serving.client.endpoint import Endpoint
from keras_attn.serving.client.exchange import Failure, Flow, Pause, Step
from keras_attn.serving.client.grpc_transport import AsyncGrpcTransport
from keras_attn.serving.client.streaming import check_concurrency, stream_async

P = ParamSpec("P")
Answer = TypeVar("Answer")


def _awaiting(
    flow: Callable[Concatenate[Core, P], Flow[Answer]],
) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, Answer]]:
    @wraps(flow)
    async def call(client: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await client._run(flow(client._core, *args, **kwargs))

    return call


class AsyncClient(BaseClient):
    """The twin of `Client` for asyncio: the same arguments, calls and errors.

    It connects with its first call and belongs to the event loop of that call.

    Args:
        address: `host:port` or `unix:path` for gRPC, `http://host:port` or
            `https://host:port` for REST.
        model: Name of the model.
        timeout: Seconds that a call may take in all; `None` for as long as it takes.
        retries: How often a call that finds no server is tried again.
        tls: Encrypts gRPC, and says whom to trust; needless for `https`.
        token: A bearer token, or a function that is asked for one before each request.
        headers: Sent with each request, as gRPC metadata or HTTP headers.

    Example:

    ```python
    async with AsyncClient("127.0.0.1:8500", model="dates") as client:
        answer = await client.predict({"text": ["3 mai 1997"]})
    ```
    """

    _transport: Any = None

    predict = _awaiting(Core.predict)
    classify = _awaiting(Core.classify)
    regress = _awaiting(Core.regress)
    metadata = _awaiting(Core.metadata)
    status = _awaiting(Core.status)
    reload = _awaiting(Core.reload)
    wait_until_available = _awaiting(Core.wait_until_available)

    def predict_many(
        self,
        requests: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        progress: bool = False,
        **options: Any,
    ) -> AsyncGenerator[dict[str, np.ndarray] | Exception, None]:
        """Runs a signature for many requests, several at a time.

        As `Client.predict_many`, for `async for`; `requests` may be asynchronous too.
        """
        check_concurrency(concurrency)
        ask = partial(self.predict, **options)
        return stream_async(ask, requests, concurrency, progress)

    async def close(self) -> None:
        """Ends the connection; calls after it fail."""
        self._closed = True
        if self._transport is not None:
            await self._transport.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _run(self, flow: Flow[Answer]) -> Answer:
        self._check_open()
        outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = await self._perform(step)

    async def _perform(self, step: Step) -> bytes | Failure | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if self._transport is None:
            self._transport = _transport(self._endpoint)
        return await self._transport.send(step)


def _transport(endpoint: Endpoint):
    if not endpoint.is_rest:
        return AsyncGrpcTransport(endpoint)
    from keras_attn.serving.client.http_transport import AsyncHttpTransport

    return AsyncHttpTransport(endpoint)
