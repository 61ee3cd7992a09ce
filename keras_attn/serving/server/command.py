"""`keras-attn serve`: the server as a process, told what to do by flags."""

import dataclasses
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from keras_attn.serving.server.address import check_port_is_free
from keras_attn.serving.server.flags import Options, parse, usage

_FAILED = 255  # the exit code of tensorflow_model_server


class _Stop(BaseException):
    """Raised in the main thread by the signal that ends the process."""


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT, then drains; returns the exit code."""
    if {"--help", "-h"}.intersection(arguments):
        print(usage())
        return 0
    try:
        options, remarks = parse(arguments)
    except ValueError as error:
        print(f"{error}\n{usage()}", file=sys.stderr)
        return _FAILED
    for remark in remarks:
        print(remark, file=sys.stderr)
    _stop_on_signals()
    try:
        check_port_is_free(options.host, options.port)  # before TensorFlow is imported
        _serve(options)
    except _Stop:
        return 0
    except Exception as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return _FAILED
    return 0


def _serve(options: Options) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO
    )
    import tensorflow as tf

    from keras_attn.serving.server.server import Server, xla_is_refused
    from keras_attn.serving.server.xla import disable_in_this_process

    tf.get_logger().setLevel("ERROR")
    refuse = xla_is_refused(options)
    if refuse and disable_in_this_process():
        refuse = False  # TensorFlow itself refuses
    server = Server(**dataclasses.asdict(options), timeout=None, refuse_xla=refuse)
    with server:
        threading.Event().wait()


def _stop_on_signals() -> None:
    numbers = signal.SIGTERM, signal.SIGINT

    def stop(*_) -> None:
        for number in numbers:  # draining is not interrupted
            signal.signal(number, signal.SIG_IGN)
        raise _Stop

    for number in numbers:
        signal.signal(number, stop)
