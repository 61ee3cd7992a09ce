"""The health service of gRPC, under the names that TF Serving gives its services."""

import threading
from collections.abc import Callable

import grpc

from keras_attn.serving.server.status import not_found
from keras_attn.serving.wire.fields import (
    Parts,
    integer_field,
    read_bytes,
    read_fields,
    read_text,
)

_SERVICES = ("", "ModelService", "PredictionService")
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3

Send = Callable[[bytes | None], None]


class Health:
    """Says that the server serves, from the opening of its port until it drains."""

    def __init__(self) -> None:
        self._status = _SERVING
        self._watchers: dict[Send, str] = {}
        self._lock = threading.Lock()

    def check(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        """Answers once.

        Raises:
            StatusError: There is no service of that name.
        """
        service = _service_name(message)
        if service not in _SERVICES:
            raise not_found("service name unknown")
        return _response(self._status)

    def watch(self, message: bytes, context: grpc.ServicerContext, send: Send) -> None:
        """Answers now and with each change, until the client hangs up.

        It returns at once: watchers may be many, and would hold a thread each.
        """
        service = _service_name(message)
        send(self._response_for(service))
        with self._lock:
            is_open = self._status == _SERVING
            if is_open:
                self._watchers[send] = service
        if not is_open:
            self._end(send, service)
        elif not context.add_callback(lambda: self._forget(send)):
            self._forget(send)

    def shut_down(self) -> None:
        """Tells the watchers that the service ends, and ends their streams."""
        with self._lock:
            self._status = _NOT_SERVING
            watchers, self._watchers = self._watchers, {}
        for send, service in watchers.items():
            self._end(send, service)

    def _end(self, send: Send, service: str) -> None:
        """Not under the lock: to send waits for gRPC, which may wait to `_forget`."""
        send(self._response_for(service))
        send(None)

    def _response_for(self, service: str) -> bytes:
        known = service in _SERVICES
        return _response(self._status if known else _SERVICE_UNKNOWN)

    def _forget(self, send: Send) -> None:
        with self._lock:
            self._watchers.pop(send, None)


def _service_name(message: bytes) -> str:
    names = [value for number, _, value in read_fields(message) if number == 1]
    return read_text(read_bytes(names[-1])) if names else ""


def _response(status: int) -> bytes:
    parts: Parts = integer_field(1, status)
    return b"".join(parts)
