"""The client that blocks."""

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from keras_attn.serving.client.base import BaseClient
from keras_attn.serving.client.core import Core
from keras_attn.serving.client.endpoint import Endpoint
from keras_attn.serving.client.exchange import Failure, Flow, Pause, Step
from keras_attn.serving.client.grpc_transport import GrpcTransport
from keras_attn.serving.client.streaming import check_concurrency, stream

P = ParamSpec("P")
Answer = TypeVar("Answer")


def _blocking(
    flow: Callable[Concatenate[Core, P], Flow[Answer]],
) -> Callable[Concatenate["Client", P], Answer]:
    @wraps(flow)
    def call(client: "Client", *args: P.args, **kwargs: P.kwargs) -> Answer:
        return client._run(flow(client._core, *args, **kwargs))

    return call


class Client(BaseClient):
    """Asks one model of a server that speaks TF Serving's gRPC or REST API.

    Names and types are checked against the server's own description of the model before
    anything is sent, and values are cast where nothing is lost. A request that finds no
    server is tried again with growing pauses, within its deadline. A client may be
    shared by threads.

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
    with Client("127.0.0.1:8500", model="dates", timeout=10.0) as client:
        answer = client.predict({"text": ["3 mai 1997"]})
    ```
    """

    predict = _blocking(Core.predict)
    classify = _blocking(Core.classify)
    regress = _blocking(Core.regress)
    metadata = _blocking(Core.metadata)
    status = _blocking(Core.status)
    reload = _blocking(Core.reload)
    wait_until_available = _blocking(Core.wait_until_available)

    def predict_many(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        progress: bool = False,
        **options: Any,
    ) -> Generator[dict[str, np.ndarray] | Exception, None, None]:
        """Runs a signature for many requests, several at a time.

        Args:
            requests: The inputs of each request. They may be endless: no more than
                twice `concurrency` are taken before their answers are.
            concurrency: How many requests are under way at once.
            progress: Whether to show on a terminal how far it is.
            **options: As `predict` has them.

        Yields:
            The answers, in the order of the requests. A request that failed has its
            error in the place of its answer; the others go on.

        Example:

        ```python
        for answer in client.predict_many({"text": [text]} for text in texts):
            if isinstance(answer, Exception):
                ...
        ```
        """
        check_concurrency(concurrency)
        ask = partial(self.predict, **options)
        return stream(ask, requests, concurrency, progress)

    def close(self) -> None:
        """Ends the connection; calls after it fail."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _connect(self) -> None:
        self._transport = _transport(self._endpoint)

    def _run(self, flow: Flow[Answer]) -> Answer:
        self._check_open()
        outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = self._perform(step)

    def _perform(self, step: Step) -> bytes | Failure | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self._transport.send(step)


def _transport(endpoint: Endpoint):
    if not endpoint.is_rest:
        return GrpcTransport(endpoint)
    from keras_attn.serving.client.http_transport import HttpTransport

    return HttpTransport(endpoint)
