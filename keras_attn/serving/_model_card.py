"""The model card of one version, for people (Markdown) and programs (JSON)."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_attn.serving import _saved_model


def checked_card(card: Any) -> dict[str, Any]:
    """A JSON copy of what the user says about the model."""
    card = {} if card is None else card
    if not isinstance(card, Mapping) or not all(isinstance(key, str) for key in card):
        raise ValueError(f"`card` must be a dict with string keys. Received: {card!r}")
    try:
        return json.loads(json.dumps(dict(card), default=_plain))
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`card` must hold only text, numbers, booleans, lists and dicts. "
            f"Received: {card!r}"
        ) from error


def gather_facts(
    folder: Path,
    model: keras.Model,
    card: dict[str, Any],
    signatures: Sequence[str],
    batch_sizes: Sequence[int],
) -> dict[str, Any]:
    """All that the card says, but for the version's number."""
    meta_graph = _saved_model.read_meta_graph(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "name": folder.parent.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "card": card,
        "parameters": model.count_params(),
        "bytes": sum(path.stat().st_size for path in files),
        "signatures": {
            name: {
                "inputs": _saved_model.describe_tensors(definition.inputs),
                "outputs": _saved_model.describe_tensors(definition.outputs),
                "xla": _saved_model.compiles(meta_graph, name),
            }
            for name, definition in (
                (name, meta_graph.signature_def[name]) for name in signatures
            )
        },
        "allowed_batch_sizes": list(batch_sizes),
        "versions": {
            "keras": keras.__version__,
            "keras_attn": _own_version(),
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
        },
        "graph": {
            "producer": meta_graph.graph_def.versions.producer,
            "min_consumer": meta_graph.graph_def.versions.min_consumer,
        },
        "ops": _saved_model.op_names(meta_graph),
    }


def write_card(folder: Path, facts: dict[str, Any], version: int) -> None:
    """Writes `model_card.json` and `model_card.md` into `folder`."""
    facts = {"name": facts["name"], "version": version, **facts}
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (folder / "model_card.json").write_text(text + "\n", encoding="utf-8")
    (folder / "model_card.md").write_text(_markdown(facts), encoding="utf-8")


def _markdown(facts: dict[str, Any]) -> str:
    lines = [f"# {facts['name']}, version {facts['version']}", ""]
    for key, value in facts["card"].items():
        lines += [f"## {key.replace('_', ' ').capitalize()}", "", *_prose(value), ""]
    lines += [
        "## Facts",
        "",
        f"- Written: {facts['written']}",
        f"- Parameters: {facts['parameters']:,}",
        f"- Size: {facts['bytes'] / 1e6:,.2f} MB",
        f"- Allowed batch sizes: {_listed(facts['allowed_batch_sizes'])}",
        *(f"- {name}: {version}" for name, version in facts["versions"].items()),
        f"- Graph: producer {facts['graph']['producer']}, "
        f"needs a consumer of at least {facts['graph']['min_consumer']}",
        "",
        "## Signatures",
        "",
    ]
    for name, signature in facts["signatures"].items():
        heading = f"### `{name}`" + (" (compiled by XLA)" if signature["xla"] else "")
        lines += [heading, "", "| | name | dtype | shape |", "|---|---|---|---|"]
        for role, tensors in (("in", "inputs"), ("out", "outputs")):
            for tensor, facts_of in signature[tensors].items():
                shape = _shape(facts_of["shape"])
                lines.append(f"| {role} | `{tensor}` | {facts_of['dtype']} | {shape} |")
        lines.append("")
    lines += ["## TensorFlow ops", "", _listed(facts["ops"]), ""]
    return "\n".join(lines)


def _prose(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"- {key}: {_inline(item)}" for key, item in value.items()]
    if isinstance(value, list):
        return [f"- {_inline(item)}" for item in value]
    return [_inline(value)]


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shape(sizes: list[int | None] | None) -> str:
    if sizes is None:
        return "any"
    return f"({', '.join('any' if size is None else str(size) for size in sizes)})"


def _listed(items: Sequence[Any]) -> str:
    return ", ".join(str(item) for item in items)


def _plain(value: Any) -> Any:
    """Metrics arrive as NumPy scalars and tensors."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "numpy"):
        return value.numpy().tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _own_version() -> str:
    try:
        return metadata.version("keras-attn")
    except metadata.PackageNotFoundError:
        return "not installed"
