"""Served models beside the same graph in the process that asks.

`python -m benchmarks.serving` starts servers of its own; TensorFlow's is among them
where `TENSORFLOW_MODEL_SERVER` names it.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import _report, _serving_goals, _worker
from benchmarks._page import Entry, Page
from benchmarks._serving_models import export_models
from benchmarks._serving_servers import Address, open_echo, open_servers
from benchmarks._serving_steps import EACH, peak_of
from benchmarks.harness import RESULTS, measure

PAGE = Page(
    name="serving",
    title=(
        "A request of one row: an encoder of two layers (64 words, width 128, 4 heads, "
        "hidden 512, pooled), a small MLP, and tensors of 1 MiB."
    ),
    entries=[],
    cases={},
    small={},
)
RATIO = "A ratio is that entry's time over the first one's, round by round."

_STEPS = "benchmarks._serving_steps"
_BATCHES = {1: (1,), 8: (8,), 64: (64, 32, 16)}  # by clients, for the in-process call
_IMPORTS = {
    "our client": "import keras_attn.serving.client",
    "official stubs": (
        "from tensorflow_serving.apis import prediction_service_pb2_grpc"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    report = _report.begin(PAGE, options.rounds)
    print(_report.heading(report, RATIO), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        with _worker.open_workers({"tensorflow"}) as workers:
            workers["tensorflow"].call(export_models, folder)
        with open_servers(Path(folder)) as servers, open_echo() as echo:
            for case, entries in _cases(folder, servers, echo).items():
                if options.only.lower() not in case.lower():
                    continue
                rows = measure(entries, {}, options.rounds, options.seconds)
                if case == "import":
                    for row in rows:
                        row["memory_mib"] = peak_of(_IMPORTS[row["name"]])
                report["cases"][case] = {"sizes": {}, "entries": rows}
                print(_report.table(case, rows, "request"), flush=True)
    print(_serving_goals.verdicts(report["cases"]))
    _report.keep(report, options.output)
    print(f"Kept in {options.output}.")
    return 0


def _cases(
    folder: str, servers: Mapping[str, Address], echo: str
) -> dict[str, list[Entry]]:
    cases = {
        f"{model}, {clients} client{'s'[: clients > 1]}": _clients(
            model, folder, servers, echo, clients
        )
        for model in ("encoder", "mlp")
        for clients in _BATCHES
    }
    cases["1 MiB"] = [
        _in_process("echo", folder, 1),
        *_one_client("echo", servers),
    ]
    cases["conversion"] = [
        Entry("encode", "python", f"{_STEPS}:encode", {"as_content": True}, ours=True),
        Entry("encode, typed", "python", f"{_STEPS}:encode", {"as_content": False}),
        Entry("decode", "python", f"{_STEPS}:decode", {"as_content": True}),
        Entry("decode, typed", "python", f"{_STEPS}:decode", {"as_content": False}),
        Entry("encode, TensorFlow", "tensorflow", f"{_STEPS}:official_encode"),
        Entry("decode, typed, TensorFlow", "tensorflow", f"{_STEPS}:official_decode"),
    ]
    cases["import"] = [
        Entry(
            name, "python", f"{_STEPS}:importing", {"statement": text}, ours=not index
        )
        for index, (name, text) in enumerate(_IMPORTS.items())
    ]
    return cases


def _clients(
    model: str, folder: str, servers: Mapping[str, Address], echo: str, clients: int
) -> list[Entry]:
    entries = [_in_process(model, folder, rows) for rows in _BATCHES[clients]]
    if clients == 1:
        options = {"model": model, "address": echo}
        entries.append(
            Entry(_serving_goals.ECHO, "python", f"{_STEPS}:echo_client", options)
        )
        return entries + _one_client(model, servers)
    addresses = {name: address.grpc for name, address in servers.items()}
    return entries + [
        Entry(
            name,
            "python",
            f"{_STEPS}:many_clients",
            {"model": model, "address": address, "clients": clients},
            per=EACH * clients,
        )
        for name, address in {_serving_goals.ECHO: echo, **addresses}.items()
    ]


def _one_client(model: str, servers: Mapping[str, Address]) -> list[Entry]:
    """Over gRPC with each server, over REST with each that does not batch."""

    def entry(name: str, factory: str, address: str) -> Entry:
        options = {"model": model, "address": address}
        return Entry(name, "python", f"{_STEPS}:{factory}", options)

    entries = [entry(n, "one_client", address.grpc) for n, address in servers.items()]
    entries.append(entry("ours, Client", "own_client", servers["ours"].grpc))
    entries += [
        entry(f"{name}, REST", "rest_client", address.rest)
        for name, address in servers.items()
        if "batching" not in name
    ]
    return entries


def _in_process(model: str, folder: str, rows: int) -> Entry:
    return Entry(
        f"in process, {rows} row{'s'[: rows > 1]}",
        "tensorflow",
        f"{_STEPS}:in_process",
        {"model": model, "folder": folder, "rows": rows},
        ours=rows in (1, 8, 64),
        per=rows,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=PAGE.title
    )
    parser.add_argument("--rounds", type=int, default=11, help="samples of an entry")
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="about how long a sample lasts"
    )
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / "serving.json",
        help="the file of results (default: %(default)s)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
