"""TensorFlow's profiler, asked through the port of the gRPC API."""

import functools
import socket
import threading

import grpc

from keras_attn.serving.server.status import StatusError

SERVICE = "tensorflow.ProfilerService"
METHODS = ("Profile", "Monitor", "Terminate")

_lock = threading.Lock()


def forward(method: str, message: bytes, timeout: float | None = None) -> bytes:
    """Hands a request on as it came, and the answer back.

    TensorFlow's own server is started with the first request. It cannot be stopped,
    and it binds every address of the machine: nothing listens before it is needed.

    Args:
        method: One of `METHODS`.
        message: The encoded request.
        timeout: Seconds that the client still waits.

    Raises:
        StatusError: As TensorFlow answered.
    """
    with _lock:
        channel = _channel()
    try:
        return channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=timeout)
    except grpc.RpcError as error:
        raise StatusError(error.code(), error.details() or "") from error


@functools.cache
def _channel() -> grpc.Channel:
    """To the profiler server of this process."""
    import tensorflow as tf

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tf.profiler.experimental.server.start(port)
    return grpc.insecure_channel(
        f"127.0.0.1:{port}",
        [
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ],
    )
