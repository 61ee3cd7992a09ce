"""Many clients ask one server without a pause while its versions are swapped.

    python -m tests.serving.soak --enable_batching=true

What the command does not know itself is a flag for the server.
"""

import argparse
import collections
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_attn.serving import Client, ServingError
from tests.serving.conftest import ServerProcess

CLIENTS, SWAPS, REQUESTS = 64, 20, 50_000
LARGEST_GROWTH = 5.0  # MB
VERSION_SIZE = 48  # MB, so much that a version which is not freed cannot hide

_MODEL = "offset"
_OFFSETS = (0.0, 100.0)  # versions differ, so that an answer tells who gave it
_INPUT = np.arange(6, dtype="float32").reshape(2, 3)


@dataclass
class Report:
    """What a soak has seen.

    Attributes:
        clients: How many asked.
        requests: How many answers were right.
        failures: What went wrong, and how often.
        swaps: How many times a version took over from the one before.
        seconds: How long it took.
        memory: The server's resident memory in MB, at equal distances.
    """

    clients: int
    requests: int
    failures: dict[str, int]
    swaps: int
    seconds: float
    memory: list[float]

    @property
    def growth(self) -> float:
        """MB that the memory grew by over the last half; medians of its ends."""
        half = self.memory[len(self.memory) // 2 :]
        end = max(1, len(half) // 5)
        return statistics.median(half[-end:]) - statistics.median(half[:end])

    def __str__(self) -> str:
        failed = sum(self.failures.values())
        return (
            f"{self.clients} clients, {self.requests} requests, {self.swaps} swaps of "
            f"versions, {failed} failures, in {self.seconds:.0f} s "
            f"({self.requests / self.seconds:.0f} requests/s); memory "
            f"{self.memory[0]:.0f} MB at the start, {self.memory[-1]:.0f} MB at the "
            f"end, {self.growth:+.1f} MB over the last half"
        )


class Clients:
    """Threads, each with a client of its own, that ask until they are stopped."""

    def __init__(self, address: str, count: int):
        self.answers = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self._address = address
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        # No second try: a server that turns a request away has failed.
        with Client(self._address, _MODEL, timeout=60, retries=0) as client:
            while not self._stopping.is_set():
                failure = _failure_of_one(client)
                with self._lock:
                    if failure:
                        self.failures[failure] += 1
                    else:
                        self.answers += 1


def _failure_of_one(client: Client) -> str:
    try:
        y = client.predict({"x": _INPUT})["y"]
    except ServingError as error:
        return f"{error.code}: {error.details}"
    if any(np.array_equal(y, _INPUT + offset) for offset in _OFFSETS):
        return ""
    return f"a wrong answer: {y.tolist()}"


class Memory:
    """Looks at a process's resident memory twice a second."""

    def __init__(self, process: int):
        self.samples: list[float] = []
        self._file = Path(f"/proc/{process}/status")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            (line,) = (
                line
                for line in self._file.read_text().splitlines()
                if line.startswith("VmRSS:")
            )
            self.samples.append(int(line.split()[1]) / 1024)


class Swapper:
    """Puts version after version into a model's folder, in turn one of two."""

    def __init__(self, base: Path):
        self._base = base
        self._sources = [base.parent / f"offset {offset:g}" for offset in _OFFSETS]
        for source, offset in zip(self._sources, _OFFSETS, strict=True):
            _save_model(source, offset)
        self._version = 0
        self.add()

    def add(self) -> int:
        """Adds the next version and takes away the one before the last."""
        self._version += 1
        copy = self._base.parent / "copy"
        source = self._sources[self._version % 2]
        shutil.copytree(source, copy, copy_function=os.link)
        self._base.mkdir(exist_ok=True)
        copy.rename(self._base / str(self._version))
        shutil.rmtree(self._base / str(self._version - 2), ignore_errors=True)
        return self._version

    def swap(self, client: Client) -> None:
        """Adds a version and waits until it alone serves."""
        version = self.add()
        client.wait_until_available(60, version=version)
        end = time.monotonic() + 60
        while any(
            status.state != "END"
            for status in client.status()
            if status.version != version
        ):
            if time.monotonic() > end:
                raise TimeoutError(f"Version {version - 1} is still there.")
            time.sleep(0.05)


def _save_model(path: Path, offset: float) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.ballast = tf.Variable(tf.zeros(VERSION_SIZE * 250_000))
    module.add = tf.function(
        lambda x: {"y": x + offset},
        input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")],
    )
    tf.saved_model.save(module, str(path), {"serving_default": module.add})


def soak(
    address: str,
    process: int,
    swapper: Swapper,
    *,
    clients: int = CLIENTS,
    swaps: int = SWAPS,
    requests: int = REQUESTS,
) -> Report:
    """Swaps versions until there were enough swaps and enough requests."""
    done = 0
    begin = time.monotonic()
    with (
        Client(address, _MODEL, timeout=60) as watcher,
        Memory(process) as memory,
        Clients(address, clients) as asking,
    ):
        while (done < swaps or asking.answers < requests) and not asking.failures:
            swapper.swap(watcher)
            done += 1
    return Report(
        clients,
        asking.answers,
        dict(asking.failures),
        done,
        time.monotonic() - begin,
        memory.samples,
    )


def server_flags(base: Path) -> list[str]:
    return ["--port=0", f"--model_name={_MODEL}", f"--model_base_path={base}"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.serving.soak")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--swaps", type=int, default=SWAPS, help="at least so many")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="the same")
    options, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / _MODEL
        swapper = Swapper(base)
        command = [sys.executable, "-m", "keras_attn.cli", "serve"]
        server = ServerProcess([*command, *server_flags(base), *flags])
        try:
            report = soak(server.address(), server.pid, swapper, **vars(options))
        finally:
            server.kill()
    print(report)
    for failure, times in report.failures.items():
        print(f"{times} x {failure}")
    return int(bool(report.failures) or report.growth >= LARGEST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
