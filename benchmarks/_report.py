import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._page import Page
from benchmarks._statistics import Estimate, estimate_median, estimate_ratio

DISTRIBUTIONS = (
    "keras-attn",
    "keras",
    "keras-hub",
    "tensorflow",
    "jax",
    "flax",
    "torch",
    "torch-geometric",
    "spektral",
    "tf_keras",
    "grpcio",
    "numpy",
)
RATIO = (
    "A ratio is that entry's time over ours, round by round: above 1, ours is faster."
)


def begin(page: Page, rounds: int) -> dict[str, Any]:
    """The head of a report; the cases are added to it as they finish."""
    return {
        "page": page.name,
        "title": page.title,
        "date": time.strftime("%Y-%m-%d"),
        "rounds": rounds,
        "machine": _machine(),
        "versions": _versions(),
        "cases": {},
    }


def heading(report: dict[str, Any], ratio: str = RATIO) -> str:
    interval = "95 % intervals" if report["rounds"] >= 6 else "whole ranges"
    return (
        f"{circumstances(report)}\n"
        f"Medians of {report['rounds']} interleaved rounds with their {interval}. "
        f"{ratio}"
    )


def circumstances(report: dict[str, Any]) -> str:
    """What was measured, and on which machine."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in report["versions"].items())
    return (
        f"{report['title']}\n\n"
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']:.0f} GiB, {machine['system']}; load {machine['load']} "
        f"at the start; {versions}."
    )


def table(
    case: str,
    rows: Sequence[dict[str, Any]],
    unit: str = "step",
    rate: tuple[str, int] | None = None,
) -> str:
    """A Markdown table of one case, with a column of ratios for each entry of ours.

    Args:
        case: Its name.
        rows: What `harness.measure` returned.
        unit: What the times are of.
        rate: What one of these makes, and how many of it.
    """
    ours = [row for row in rows if row["ours"]]
    with_memory = "memory_mib" in rows[0]
    head = [case, f"ms a {unit}", *(f"/ {row['name']}" for row in ours)]
    head += [f"{rate[0]} a second"] if rate else []
    head += ["peak MiB"] * with_memory + ["first step, s"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        samples = row["samples_ms"]
        cells = [row["name"], _show(estimate_median(samples))]
        for own in ours:
            ratio = estimate_ratio(samples, to=own["samples_ms"])
            cells.append("" if row is own else _show(ratio))
        if rate:
            cells.append(f"{1000 * rate[1] / estimate_median(samples).median:.0f}")
        if with_memory:
            cells.append(f"{row['memory_mib']:.0f}")
        lines.append([*cells, f"{row['first_step_seconds']:.1f}"])
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def keep(report: dict[str, Any], path: Path) -> None:
    for case in report["cases"].values():
        for row in case["entries"]:
            if "samples_ms" in row:
                row["samples_ms"] = [round(x, 4) for x in row["samples_ms"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


def _show(estimate: Estimate) -> str:
    median, low, high = (f"{value:.3g}" for value in estimate)
    return f"{median} ({low}-{high})"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _machine() -> dict[str, Any]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages * size / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
