"""The flags of `tensorflow_model_server`, and a few of our own."""

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any


def _flag(default: Any, text: str, own: bool = False) -> Any:
    return field(default=default, metadata={"help": text, "own": own})


@dataclass
class Options:
    """What a server can be told; the names are the flags'."""

    port: int = _flag(8500, "Port of the gRPC API; 0 takes any free one.")
    model_name: str = _flag("default", "Name of the only model.")
    model_base_path: str = _flag("", "Folder that holds its numbered versions.")
    model_config_file: str = _flag(
        "",
        "Text file with a ModelServerConfig: several models, version policies, "
        "labels. Replaces --model_name and --model_base_path.",
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "Accept labels of versions that are not loaded (yet)."
    )
    file_system_poll_wait_seconds: int = _flag(
        1, "Seconds between looks for new versions; 0 looks once, negative never."
    )
    max_num_load_retries: int = _flag(5, "Retries of a version that fails to load.")
    load_retry_interval_micros: int = _flag(
        60_000_000, "Microseconds between two such retries."
    )
    saved_model_tags: str = _flag("serve", "Comma-separated tags of the graph to load.")
    enable_model_warmup: bool = _flag(
        True, "Replay assets.extra/tf_serving_warmup_requests before a version serves."
    )
    num_request_iterations_for_warmup: int = _flag(
        0, "How often each warm-up record is replayed; 0 means once."
    )
    grpc_max_threads: int = _flag(
        0, "Requests worked on at once; 0 means twice the number of CPUs."
    )
    grpc_channel_arguments: str = _flag("", "Comma-separated key=value for gRPC.")
    enable_grpc_healthcheck_service: bool = _flag(
        False, "Answer grpc.health.v1.Health/Check."
    )
    tensorflow_session_parallelism: int = _flag(
        0, "Threads of a session, within and across operations; 0 lets it choose."
    )
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads within an operation.")
    tensorflow_inter_op_parallelism: int = _flag(0, "Operations run at once.")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "Answer with tensor_content in place of float_val and its like."
    )
    xla_cpu_compilation_enabled: bool = _flag(
        False, "Let signatures compiled with XLA run on the CPU; else they are refused."
    )
    xla_gpu_compilation_enabled: bool = _flag(False, "The same, on a GPU.")
    host: str = _flag("127.0.0.1", "Address to bind; 0.0.0.0 is every one.", own=True)


_WITHOUT_EFFECT = {
    "batching_parameters_file": "",
    "enable_batching": False,
    "enable_per_model_batching_parameters": False,
    "enable_profiler": True,
    "enable_signature_method_name_check": False,
    "flush_filesystem_caches": True,
    "grpc_socket_path": "",
    "mixed_precision": "",
    "model_config_file_poll_wait_seconds": 0,
    "monitoring_config_file": "",
    "num_load_threads": 0,
    "num_tflite_interpreters_per_pool": 1,
    "num_tflite_pools": 1,
    "num_unload_threads": 0,
    "per_process_gpu_memory_fraction": "0",
    "platform_config_file": "",
    "prefer_tflite_model": False,
    "remove_unused_fields_from_bundle_metagraph": True,
    "rest_api_enable_cors_support": False,
    "rest_api_num_threads": 0,
    "rest_api_port": 0,
    "rest_api_timeout_in_ms": 30000,
    "skip_initialize_tpu": False,
    "ssl_config_file": "",
    "tensorflow_session_config_file": "",
    "thread_pool_factory_config_file": "",
    "use_alts_credentials": False,
}

_DEFAULTS = {flag.name: flag.default for flag in fields(Options)} | _WITHOUT_EFFECT
_WORDS = {"true": True, "1": True, "false": False, "0": False}


def parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Reads `--flag=value` and `--flag value`.

    Returns:
        `(options, remarks)`: what was asked for, and a line for each argument that is
        unknown or has no effect.

    Raises:
        ValueError: A value does not fit its flag.
    """
    values: dict[str, Any] = {}
    remarks = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, given, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _DEFAULTS:
            remarks.append(f"unknown argument: {argument}")
            continue
        default = _DEFAULTS[name]
        if not given:
            text = _next_value(name, default, rest)
        value = _convert(name, default, text)
        if name in _WITHOUT_EFFECT:
            remarks.append(f"--{name} has no effect yet.")
        else:
            values[name] = value
    return Options(**values), remarks


def _next_value(name: str, default: Any, rest: list[str]) -> str:
    if isinstance(default, bool):  # `--flag` alone is true
        return rest.pop(0) if rest and rest[0].lower() in _WORDS else "true"
    if not rest:
        raise ValueError(f"Flag --{name} needs a value.")
    return rest.pop(0)


def _convert(name: str, default: Any, text: str) -> Any:
    try:
        if isinstance(default, bool):
            return _WORDS[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        raise ValueError(f"Couldn't interpret value {text} for flag {name}.") from None


def usage(program: str = "keras-attn serve") -> str:
    """The help text: every flag with its default."""
    theirs = [flag for flag in fields(Options) if not flag.metadata["own"]]
    own = [flag for flag in fields(Options) if flag.metadata["own"]]
    lines = [f"usage: {program} [--flag=value | --flag value] ...", "", "Flags:"]
    lines += [_describe(flag) for flag in theirs]
    lines += ["", "Flags that tensorflow_model_server does not have:"]
    lines += [_describe(flag) for flag in own]
    lines += ["", "Accepted, without effect yet:"]
    lines += [f"  --{name}" for name in sorted(_WITHOUT_EFFECT)]
    return "\n".join(lines)


def _describe(flag: Field) -> str:
    default = flag.default
    shown = str(default).lower() if isinstance(default, bool) else repr(default)
    return f"  --{flag.name}={shown}\n        {flag.metadata['help']}"


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Reads `key=value,key=value`; a value that is a number becomes one."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return [(key, _number_or_text(value)) for key, _, value in pairs]


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
