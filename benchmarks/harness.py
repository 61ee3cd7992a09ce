import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _report, _worker
from benchmarks._page import Entry, Page

RESULTS = Path(__file__).parent / "results"


def main(page: Page, arguments: Sequence[str] | None = None) -> int:
    """The command line of a page."""
    options = _parse(page, arguments)
    entries = [
        entry
        for entry in page.entries
        if options.only is None or options.only.lower() in entry.name.lower()
    ]
    if not entries:
        names = ", ".join(entry.name for entry in page.entries)
        print(f"--only {options.only!r} leaves no entry of: {names}")
        return 2
    report = _report.begin(page, options.rounds)
    print(_report.heading(report), flush=True)
    for case, sizes in page.cases.items():
        rows = measure(entries, sizes, options.rounds, options.seconds)
        if options.memory:
            for row, entry in zip(rows, entries, strict=True):
                row["memory_mib"] = peak_memory(entry, page.small, sizes)
        report["cases"][case] = {"sizes": dict(sizes), "entries": rows}
        rate = page.rate and (page.rate[0], page.rate[1](sizes))
        print(_report.table(case, rows, rate=rate), flush=True)
    _report.keep(report, options.output)
    print(f"Kept in {options.output}.")
    return 0


def measure(
    entries: Sequence[Entry], sizes: Mapping[str, int], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Times the entries in turn, A B C A B C, and returns a row for each.

    Args:
        entries: What to time. Those of one framework share a process.
        sizes: Arguments of the factories.
        rounds: How many samples each entry gives.
        seconds: About how long one sample lasts.
    """
    with _worker.open_workers({entry.framework for entry in entries}) as workers:
        rows: list[dict[str, Any]] = []
        repeats = []
        for entry in entries:
            worker = workers[entry.framework]
            first = worker.call(_worker.build, entry, sizes)
            warm = min(worker.call(_worker.sample, entry, 1) for _ in range(3))
            repeats.append(max(1, round(seconds / warm)))
            rows.append(
                {
                    "name": entry.name,
                    "framework": entry.framework,
                    "ours": entry.ours,
                    "first_step_seconds": first,
                    "samples_ms": [],
                }
            )
        for _ in range(rounds):
            for entry, row, count in zip(entries, rows, repeats, strict=True):
                worker = workers[entry.framework]
                spent = worker.call(_worker.sample, entry, count)
                row["samples_ms"].append(1000 * spent / entry.per)
        return rows


def peak_memory(
    entry: Entry, small: Mapping[str, int], sizes: Mapping[str, int]
) -> float:
    """MiB of the entry's peak, in a process of its own."""
    with _worker.open_workers({entry.framework}) as workers:
        worker = workers[entry.framework]
        return worker.call(_worker.measure_memory, entry, small, sizes)


def _parse(page: Page, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{page.name}", description=page.title
    )
    parser.add_argument("--rounds", type=int, default=11, help="samples of an entry")
    parser.add_argument(
        "--seconds", type=float, default=0.3, help="about how long a sample lasts"
    )
    parser.add_argument(
        "--memory", action="store_true", help="measure the peak memory too (Linux)"
    )
    parser.add_argument("--only", help="entries whose name contains this")
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / f"{page.name}.json",
        help="the file of results (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    return options
