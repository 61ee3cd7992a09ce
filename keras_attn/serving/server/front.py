"""The gRPC server: handlers behind ports.

There are two, each the faster one at its work. Without batching a request is best kept
in one thread from its start to its end. With batching most requests wait for a batch,
and hundreds that wait are better kept in an event loop than in threads of their own.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import grpc

Handlers = Sequence[grpc.GenericRpcHandler]
Arguments = Sequence[tuple[str, int | str]]

_DEFAULTS: dict[str, int | str] = {
    "grpc.so_reuseport": 0,  # else two servers share one port
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": 1024,  # a client itself holds back what is over it
}


class Front(Protocol):
    """A server whose addresses are bound first, then opened all at once."""

    def bind(
        self, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> int:
        """Takes an address, `host:port` or `unix:path`; returns the port.

        Raises:
            OSError: The address cannot be had.
        """

    def start(self) -> None: ...

    def stop(self, grace: float) -> None:
        """Refuses new requests, and gives those in flight `grace` seconds.

        After that their calls are cancelled, and what still works on them is waited
        for.
        """


class ThreadFront:
    """Answers each request in a thread.

    A request that waits for a thread is not read yet; it is dropped if its client hangs
    up.

    Args:
        handlers: The services.
        threads: Requests worked on at once.
        arguments: Settings of gRPC's channels, over our own.
    """

    def __init__(self, handlers: Handlers, threads: int, arguments: Arguments = ()):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
        self._server = grpc.server(
            self._pool, handlers, options=with_defaults(arguments)
        )

    def bind(
        self, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> int:
        return bind(self._server, address, credentials)

    def start(self) -> None:
        self._server.start()

    def stop(self, grace: float) -> None:
        self._server.stop(grace).wait()
        self._pool.shutdown()


def with_defaults(arguments: Arguments) -> list[tuple[str, int | str]]:
    """Settings of gRPC's channels: each once, the given ones over ours."""
    return list((_DEFAULTS | dict(arguments)).items())


def bind(
    server: grpc.Server | grpc.aio.Server,
    address: str,
    credentials: grpc.ServerCredentials | None,
) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"Could not bind {address}: {error}") from error
