"""Peak memory of a training step of self-attention, by the length of the sequence."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _report
from benchmarks._page import Entry, Page
from benchmarks.harness import RESULTS, peak_memory
from benchmarks.self_attention import KERAS, OURS, TORCH, sizes

PAGE = Page(
    name="attention_memory",
    title=(
        "MiB that a training step (forward, backward, Adam; float32) of self-attention "
        "adds to a process with the layer and its data at the peak; 1 x time x 512 x 8."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("keras MHA, TF jit", "tensorflow", KERAS),
        Entry("keras MHA, TF graph", "tensorflow", KERAS, {"jit": False}),
        Entry("torch SDPA", "torch", TORCH),
    ],
    cases={str(time): sizes(1, time, 512, 8) for time in (2048, 4096, 8192, 16384)},
    small=sizes(1, 1040, 16, 2),
)
# A step of Keras' layer holds as many matrices of all scores, heads x time x time.
KERAS_MATRICES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    cases = {name: PAGE.cases[name] for name in options.times}
    report = _report.begin(PAGE, rounds=1)
    print(_report.circumstances(report), end="\n\n", flush=True)
    heads = ["time", *(entry.name for entry in PAGE.entries)]
    for line in (heads, ["---"] * len(heads)):
        print(_line(line), flush=True)
    for case, arguments_of_case in cases.items():
        rows = [_measure(entry, arguments_of_case) for entry in PAGE.entries]
        report["cases"][case] = {"sizes": dict(arguments_of_case), "entries": rows}
        print(_line([case, *map(_cell, rows)]), flush=True)
    _report.keep(report, options.output)
    print(f"\nKept in {options.output}.")
    return 0


def _measure(entry: Entry, case: Mapping[str, int]) -> dict[str, Any]:
    """A process of its own tells the peak, unless it cannot fit."""
    row: dict[str, Any] = {"name": entry.name, "ours": entry.ours}
    if entry.factory == KERAS:
        matrix = 4 * case["batch"] * case["heads"] * case["time"] ** 2 / 2**20
        if KERAS_MATRICES * matrix > _available():
            return row | {"needs_mib": KERAS_MATRICES * matrix}
    return row | {"memory_mib": peak_memory(entry, PAGE.small, case)}


def _cell(row: dict[str, Any]) -> str:
    if "needs_mib" in row:
        return f"not run: {row['needs_mib']:.0f} in {KERAS_MATRICES} matrices"
    return f"{row['memory_mib']:.0f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _available() -> float:
    """MiB that processes can still have."""
    text = Path("/proc/meminfo").read_text()
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    if found is None:
        raise RuntimeError("/proc/meminfo has no MemAvailable.")
    return int(found[1]) / 1024


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention_memory", description=PAGE.title
    )
    parser.add_argument(
        "--times", nargs="+", default=list(PAGE.cases), choices=PAGE.cases
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / "attention_memory.json",
        help="the file of results (default: %(default)s)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
