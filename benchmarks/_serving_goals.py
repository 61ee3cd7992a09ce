"""What served models are meant to reach, and what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks._statistics import Estimate, estimate_median, estimate_ratio

ECHO = "gRPC alone"  # a server that sends back what it gets

_NEARLY = 1.1  # within a tenth of a goal counts as met, if it is said

Samples = Mapping[str, Sequence[float]]


def verdicts(cases: Mapping[str, Any]) -> str:
    """A line for each goal whose case was measured."""
    lines = []
    for case, table in cases.items():
        samples = {row["name"]: row["samples_ms"] for row in table["entries"]}
        lines += [f"- {case}: {line}" for line in _goals_of(case, samples)]
    return "\n".join(lines)


def _goals_of(case: str, samples: Samples) -> Iterator[str]:
    if case.endswith("1 client"):
        own, call = samples["ours"], samples["in process, 1 row"]
        added = [served - alone for served, alone in zip(own, call, strict=True)]
        yield _line("a request adds to the call, ms", estimate_median(added), 0.6)
        echo = samples[ECHO]
        rest = [more - bare for more, bare in zip(added, echo, strict=True)]
        yield f"of that gRPC alone takes, ms: {_show(estimate_median(echo))}"
        yield f"and the rest is, ms: {_show(estimate_median(rest))}"
    elif case == "encoder, 64 clients":
        calls = [samples[name] for name in samples if name.startswith("in process")]
        best = min(calls, key=lambda call: estimate_median(call).median)
        cost = estimate_ratio(samples["ours, batching"], to=best)
        text = "with batching, the time of the best batch in process, times"
        yield _line(text, cost, 1 / 0.55)
    elif case == "conversion":
        for name in ("encode", "encode, typed", "decode", "decode, typed"):
            yield _line(f"{name}, ms", estimate_median(samples[name]), 0.1)


def _line(what: str, measured: Estimate, most: float) -> str:
    if measured.median <= most:
        verdict = "met"
    else:
        verdict = "nearly met" if measured.median <= _NEARLY * most else "not met"
    return f"{what}: {_show(measured)}, at most {most:.3g}: {verdict}"


def _show(measured: Estimate) -> str:
    median, low, high = measured
    return f"{median:.3g} ({low:.3g}-{high:.3g})"
