"""A process that holds one framework, and runs steps in it when it is asked to."""

import contextlib
import importlib
import multiprocessing
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks._page import Entry


class Worker:
    """The near end of the process: `worker.call(function_of_this_module, ...)`."""

    def __init__(self, framework: str):
        context = multiprocessing.get_context("spawn")
        self._connection, far_end = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(far_end, framework), daemon=True
        )
        self._process.start()
        far_end.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs `function(steps, *arguments)` in the process; `steps` is its memory."""
        self._connection.send((function, arguments))
        try:
            answer, failure = self._connection.recv()
        except EOFError:
            raise RuntimeError("A benchmark's worker died without a word.") from None
        if failure:
            raise RuntimeError(f"A benchmark failed in its worker:\n{failure}")
        return answer

    def close(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()


@contextlib.contextmanager
def open_workers(frameworks: set[str]) -> Iterator[dict[str, Worker]]:
    workers = {framework: Worker(framework) for framework in sorted(frameworks)}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def _serve(connection: Connection, framework: str) -> None:
    if framework in ("tensorflow", "jax"):
        os.environ["KERAS_BACKEND"] = framework
    if framework == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    steps: dict[str, Callable[[], Any]] = {}
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((function(steps, *arguments), None))
        except Exception:
            connection.send((None, traceback.format_exc()))


def build(steps: dict, entry: Entry, sizes: Mapping[str, int]) -> float:
    """Builds the entry, runs its first step, and returns the seconds of both."""
    start = time.perf_counter()
    steps[entry.name] = _make_step(entry, sizes)
    steps[entry.name]()
    return time.perf_counter() - start


def sample(steps: dict, entry: Entry, repeats: int) -> float:
    """Mean seconds of one step over some in a row."""
    step = steps[entry.name]
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def measure_memory(
    steps: dict, entry: Entry, small: Mapping[str, int], sizes: Mapping[str, int]
) -> float:
    """MiB that the steps need at their peak, above what the process held before.

    A small twin runs first, so that the framework's own memory is not counted; the
    weights and the data of the entry are not counted either.
    """
    _make_step(entry, small)()
    step = _make_step(entry, sizes)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    for _ in range(3):
        step()
    return (_resident("VmHWM") - before) / 1024


def _make_step(entry: Entry, sizes: Mapping[str, int]) -> Callable[[], Any]:
    module, _, function = entry.factory.partition(":")
    factory = getattr(importlib.import_module(module), function)
    return factory(**sizes, **entry.options)


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {field}.")
    return int(found[1])
