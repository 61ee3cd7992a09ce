"""TensorFlow's profiler, asked through the port of the gRPC API."""

import functools
import socket
import tempfile
import threading

import grpc

from keras_attn.serving.server.grpc_method import time_left
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.wire.fields import bytes_field, read_fields

SERVICE = "tensorflow.ProfilerService"
METHODS = ("Profile", "Monitor", "Terminate")

_REPOSITORY_ROOT = 5  # field of a ProfileRequest

_lock = threading.Lock()


def profile(method: str, message: bytes, context: grpc.ServicerContext) -> bytes:
    """Answers for one of `METHODS`.

    A request to profile that names no folder for the result would leave it in the
    working directory, where nobody looks for it.

    Raises:
        StatusError: As TensorFlow answered.
    """
    if method != "Profile" or _names_a_folder(message):
        return _forward(method, message, context)
    with tempfile.TemporaryDirectory() as folder:
        root = bytes_field(_REPOSITORY_ROOT, folder.encode())
        return _forward(method, b"".join([message, *root]), context)


def _names_a_folder(message: bytes) -> bool:
    fields = read_fields(message)
    return any(number == _REPOSITORY_ROOT and value for number, _, value in fields)


def _forward(method: str, message: bytes, context: grpc.ServicerContext) -> bytes:
    """Hands a request on, and the answer back.

    TensorFlow's own server is started with the first request. It cannot be stopped,
    and it binds every address of the machine: nothing listens before it is needed.
    """
    with _lock:
        channel = _channel()
    ask = channel.unary_unary(f"/{SERVICE}/{method}")
    call = ask.future(message, timeout=time_left(context))
    if not context.add_callback(call.cancel):
        call.cancel()
    try:
        return call.result()
    except grpc.FutureCancelledError:  # nobody waits for the answer
        raise StatusError(grpc.StatusCode.CANCELLED, "CANCELLED") from None
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
