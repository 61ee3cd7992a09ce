"""Bytes over gRPC: blocking, and with asyncio."""

from typing import Any

import grpc

from keras_attn.serving.client.endpoint import Endpoint
from keras_attn.serving.client.exchange import Failure, Send

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcTransport:
    """A channel that blocks; threads may share it."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._channel: grpc.Channel = _open(grpc, endpoint)

    def send(self, step: Send) -> bytes | Failure:
        call = self._channel.unary_unary(step.target)
        try:
            return call(
                step.body, timeout=step.timeout, metadata=_metadata(self._endpoint)
            )
        except grpc.RpcError as error:
            return _failure(error)

    def close(self) -> None:
        self._channel.close()


class AsyncGrpcTransport:
    """A channel of the running event loop."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel = _open(grpc.aio, endpoint)

    async def send(self, step: Send) -> bytes | Failure:
        call = self._channel.unary_unary(step.target)
        try:
            return await call(
                step.body, timeout=step.timeout, metadata=_metadata(self._endpoint)
            )
        except grpc.RpcError as error:
            return _failure(error)

    async def close(self) -> None:
        await self._channel.close()


def _open(module: Any, endpoint: Endpoint) -> Any:
    options = _OPTIONS
    if endpoint.is_local:  # a proxy of the environment is not for this machine itself
        options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)]
    if endpoint.tls is None:
        return module.insecure_channel(endpoint.address, options=options)
    credentials = endpoint.tls.channel_credentials()
    return module.secure_channel(endpoint.address, credentials, options=options)


def _metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    return tuple(endpoint.headers().items())


def _failure(error: Any) -> Failure:
    return Failure(error.code().name, error.details() or "")
