"""Text files for the servers of a model: its batches, its name, its figures."""

import uuid
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format

from keras_attn.serving._messages import model_server_config_pb2
from keras_attn.serving._signatures import Signature

# Servers look for a file of this name in the version that they load.
BATCHING_FILE = "batching_params.pbtxt"
# No integer, so that no server takes the folder for a version.
CONFIG_FOLDER = "config"

_LENGTHS = "lengths"

_MONITORING = """\
# For --monitoring_config_file: figures for Prometheus, on the REST port.
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def batching_parameters(
    signatures: Sequence[Signature], batch_sizes: Sequence[int]
) -> str:
    """The batches that a version is warmed up for, as `BatchingParameters`.

    Requests of different lengths may share a batch where every signature that takes
    them has an input `lengths`: servers pad with a tensor's first element, which only
    a model that knows the lengths can ignore.
    """
    lengthy = [signature for signature in signatures if _has_free_length(signature)]
    pads = bool(lengthy) and all(map(_knows_lengths, lengthy))
    lines = [
        "# For --enable_batching with --enable_per_model_batching_parameters, or for",
        "# --batching_parameters_file. Batches are rounded up to these sizes, each of",
        "# which has been warmed up; a request with more rows is refused.",
        f"max_batch_size {{ value: {batch_sizes[-1]} }}",
        *(f"allowed_batch_sizes: {size}" for size in batch_sizes),
        "# A batch leaves as soon as a thread is free.",
        "batch_timeout_micros { value: 0 }",
        "# Batches that may wait; requests beyond them are refused as UNAVAILABLE.",
        "max_enqueued_batches { value: 100 }",
    ]
    if lengthy and not pads:
        names = ", ".join(s.name for s in lengthy if not _knows_lengths(s))
        lines += [
            f"# Without an input `{_LENGTHS}` padding would change the answers of:",
            f"# {names}. Requests of different lengths fail when they meet in a batch.",
        ]
    lines.append(f"pad_variable_length_inputs: {str(pads).lower()}")
    return "\n".join(lines) + "\n"


def write_config(model_folder: Path) -> None:
    """Writes `config/` beside the versions, where it is not there already.

    A file that exists is left as it is: it may pin a version, or hold labels.
    """
    folder = model_folder / CONFIG_FOLDER
    folder.mkdir(exist_ok=True)
    texts = {
        "models.config": _models_config(model_folder),
        "monitoring.config": _MONITORING,
    }
    for name, text in texts.items():
        if not (folder / name).exists():
            written = folder / f".{name}-{uuid.uuid4().hex}"
            written.write_text(text, encoding="utf-8")
            written.replace(folder / name)


def _models_config(model_folder: Path) -> str:
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add()
    model.name = model_folder.name
    model.base_path = str(model_folder)
    model.model_platform = "tensorflow"
    model.model_version_policy.latest.num_versions = 1
    text = text_format.MessageToString(config, as_utf8=True)
    return f"# For --model_config_file; the base path must be absolute.\n{text}"


def _has_free_length(signature: Signature) -> bool:
    return any(None in spec.shape.as_list()[1:] for spec in signature.inputs.values())


def _knows_lengths(signature: Signature) -> bool:
    lengths = signature.inputs.get(_LENGTHS)
    return lengths is not None and lengths.shape.rank == 1
