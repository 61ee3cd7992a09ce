"""Servers as processes of their own: ours, and TensorFlow's where there is one."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks._serving_models import LARGEST_BATCH

OFFICIAL = os.environ.get("TENSORFLOW_MODEL_SERVER")

_ECHO = "benchmarks._serving_echo"
_MODELS = ("encoder", "mlp", "echo")
_LONGEST_START = 120.0  # seconds


class Address(NamedTuple):
    """Where a server listens, both `host:port`."""

    grpc: str
    rest: str


@contextlib.contextmanager
def open_servers(folder: Path) -> Iterator[dict[str, Address]]:
    """Each server with and without batching, by its name.

    Args:
        folder: Where the models are, and the servers' configurations go.
    """
    commands = {"ours": [sys.executable, "-m", "keras_attn.cli", "serve"]}
    commands["ours"].append("--engine=embedded")
    if OFFICIAL:
        commands["official"] = [OFFICIAL]
    models, batching = _write_configurations(folder)
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, command in commands.items():
            command = [*command, f"--model_config_file={models}"]
            servers[name] = stack.enter_context(_run(command))
            command += ["--enable_batching", f"--batching_parameters_file={batching}"]
            servers[f"{name}, batching"] = stack.enter_context(_run(command))
        yield servers


@contextlib.contextmanager
def open_echo() -> Iterator[str]:
    """A server that has nothing to do; yields its address."""
    port = _free_port()
    with _process([sys.executable, "-m", _ECHO, str(port)], port):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _run(command: list[str]) -> Iterator[Address]:
    ports = _free_port(), _free_port()
    command = [*command, f"--port={ports[0]}", f"--rest_api_port={ports[1]}"]
    # More than clients, so that TensorFlow's server can fill its batches too.
    command.append("--grpc_max_threads=80")
    with _process(command, *ports):
        yield Address(*(f"127.0.0.1:{port}" for port in ports))


@contextlib.contextmanager
def _process(command: list[str], *ports: int) -> Iterator[None]:
    """Runs a command, from when its ports are open."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for port in ports:
            _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + _LONGEST_START
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"A server did not open its port: {process.args!r}")


def _write_configurations(folder: Path) -> tuple[Path, Path]:
    models = "".join(
        f'config {{ name: "{name}" base_path: "{folder / name}" '
        'model_platform: "tensorflow" }\n'
        for name in _MODELS
    )
    files = folder / "models.config", folder / "batching.config"
    files[0].write_text(f"model_config_list {{\n{models}}}\n")
    # A batch takes all that waits. TensorFlow spreads it over the cores by itself, and
    # runs it as it is: no size has to be compiled, so none is filled up with padding.
    files[1].write_text(
        f"max_batch_size {{ value: {LARGEST_BATCH} }}\n"
        "num_batch_threads { value: 1 }\n"
        "batch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 100 }\n"
    )
    return files


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
