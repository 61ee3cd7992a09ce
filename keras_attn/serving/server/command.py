"""`keras-attn serve`: the server as a process, told what to do by flags."""

import dataclasses
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from keras_attn.serving.server import engine
from keras_attn.serving.server.address import check_ports_are_free
from keras_attn.serving.server.arguments import parse, usage
from keras_attn.serving.server.flags import Options

if TYPE_CHECKING:
    from keras_attn.serving.server.server import Server

_NAP = 0.2  # seconds
_FAILED = 255  # the exit code of tensorflow_model_server


class _Stop(BaseException):
    """Raised in the main thread by the signal that ends the process."""


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT, then drains; returns the exit code."""
    if {"--help", "-h"}.intersection(arguments):
        print(usage())
        return 0
    try:
        line = parse(arguments)
        binary = engine.choose(line.options.engine)
    except ValueError as error:
        _remark(str(error))
        print(usage())
        return _FAILED
    if binary is not None:
        _become(binary, arguments)
    if line.options.version:
        print(_versions())
        return 0
    for argument in line.unknown:
        print(f"unknown argument: {argument}")
    if line.unknown:
        print(usage(), flush=True)
    for name in line.ignored:
        _remark(f"--{name} has no effect here.")
    _remark("Engine: embedded.")
    _stop_on_signals()
    server = None
    try:
        check_ports_are_free(line.options)  # before TensorFlow is imported
        server = _make_server(line.options)
        with server:
            while True:  # a wait without end misses a signal that comes as it begins
                time.sleep(_NAP)
    except _Stop:
        code = 0
    except Exception as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        code = _FAILED
    if server is not None and server.has_left_work:
        _leave(code)
    return code


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _become(binary: str, arguments: Sequence[str]) -> None:
    """Replaces this process, so that signals and the exit code are the binary's."""
    command, remarks = engine.official_command(binary, arguments)
    for remark in remarks:
        _remark(remark)
    _remark(f"Engine: official, {binary}. It binds every address.")
    os.execv(binary, command)


def _versions() -> str:
    return (
        f"TensorFlow ModelServer: keras-attn {metadata.version('keras-attn')}\n"
        f"TensorFlow Library: {metadata.version('tensorflow')}"
    )


def _leave(code: int) -> None:
    """Exits without waiting for threads, as Python would."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _make_server(options: Options) -> "Server":
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
    return Server(**dataclasses.asdict(options), timeout=None, refuse_xla=refuse)


def _stop_on_signals() -> None:
    numbers = signal.SIGTERM, signal.SIGINT

    def stop(*_) -> None:
        for number in numbers:  # draining is not interrupted
            signal.signal(number, signal.SIG_IGN)
        raise _Stop

    for number in numbers:
        signal.signal(number, stop)
