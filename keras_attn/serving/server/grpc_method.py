"""A method of a gRPC service: bytes in, bytes out, errors as gRPC statuses."""

import logging
from collections.abc import Callable
from typing import Any

import grpc

from keras_attn.serving.server.status import StatusError, cut
from keras_attn.serving.wire import WireError

logger = logging.getLogger("keras_attn.serving")

Method = Callable[[bytes, grpc.ServicerContext], bytes]

_FOREVER = 1e9  # seconds


def message_method(kind: Any, function: Callable[[Any, float | None], Any]) -> Method:
    """A method that reads and writes messages of TensorFlow Serving's classes.

    Args:
        kind: The class of the request.
        function: Answers `(request, seconds left)`, as `time_left` says them.
    """

    def method(message: bytes, context: grpc.ServicerContext) -> bytes:
        response = function(parse(kind, message), time_left(context))
        return response.SerializeToString()

    return method


def time_left(context: grpc.ServicerContext) -> float | None:
    """Seconds that the client still waits; `None` for as long as it takes.

    Where a client has set no deadline, gRPC says so, or names more seconds than any
    lock or clock takes.
    """
    seconds = context.time_remaining()
    return None if seconds is None or seconds > _FOREVER else seconds


def parse(kind: Any, message: bytes) -> Any:
    """Reads a message of such a class.

    Raises:
        WireError: The bytes are none.
    """
    try:
        return kind.FromString(message)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise WireError(str(error)) from error


def with_errors_as_status(name: str, method: Callable) -> Callable:
    """The method `name`, with what it raises told to the client."""

    def answer(message: bytes, context: grpc.ServicerContext, *send: Any) -> Any:
        try:
            return method(message, context, *send)
        except Exception as error:
            problem = failure(name, error)
        return context.abort(*problem)  # raises

    return answer


def failure(name: str, error: Exception) -> tuple[grpc.StatusCode, str]:
    """The code and the text for what the method `name` has raised."""
    if isinstance(error, StatusError):
        return error.code, cut(error.message)
    if isinstance(error, WireError):
        return grpc.StatusCode.INTERNAL, cut(f"Malformed {name}Request: {error}")
    logger.error("%s failed", name, exc_info=error)
    return grpc.StatusCode.INTERNAL, cut(f"{type(error).__name__}: {error}")
