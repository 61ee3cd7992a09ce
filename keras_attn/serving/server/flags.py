"""The flags of `tensorflow_model_server`, by its names and defaults, and our own."""

from dataclasses import dataclass, field
from typing import Any


def _flag(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _ignored(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text, "ignored": True})


def _own(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text, "own": True})


@dataclass
class Options:
    """What a server can be told; a field is a flag."""

    port: int = _flag(
        8500,
        "Port of the gRPC API; 0 takes any free one, or none beside a "
        "--grpc_socket_path.",
    )
    grpc_socket_path: str = _flag("", "UNIX socket of the gRPC API, beside the port.")
    rest_api_port: int = _flag(
        0, "Port of the REST API; 0 leaves it off, -1 takes any free one."
    )
    rest_api_num_threads: int = _flag(
        0, "REST requests worked on at once; 0 means four times the number of CPUs."
    )
    rest_api_timeout_in_ms: int = _flag(30_000, "Milliseconds a REST request may take.")
    rest_api_enable_cors_support: bool = _flag(
        False, "Let pages of other origins use the REST API."
    )
    enable_batching: bool = _flag(False, "Run requests of several clients together.")
    batching_parameters_file: str = _flag(
        "", "Text file with the BatchingParameters. Needs --enable_batching."
    )
    enable_per_model_batching_parameters: bool = _flag(
        False,
        "Batch each version by the batching_params.pbtxt in its folder; one without is "
        "not batched.",
    )
    model_config_file: str = _flag(
        "",
        "Text file with a ModelServerConfig: several models, version policies, "
        "labels. Replaces --model_name and --model_base_path.",
    )
    model_config_file_poll_wait_seconds: int = _flag(
        0, "Seconds between looks for changes of --model_config_file; 0 never looks."
    )
    model_name: str = _flag("default", "Name of the only model.")
    model_base_path: str = _flag("", "Folder that holds its numbered versions.")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "Accept labels of versions that are not loaded (yet)."
    )
    file_system_poll_wait_seconds: int = _flag(
        1, "Seconds between looks for new versions; 0 looks once, negative never."
    )
    flush_filesystem_caches: bool = _ignored(
        True, "Drop what file systems have cached once the first models are loaded."
    )
    num_load_threads: int = _flag(
        0, "Versions loaded at once; 0 loads one after the other."
    )
    num_unload_threads: int = _flag(
        0, "Versions unloaded at once; 0 unloads one after the other."
    )
    max_num_load_retries: int = _flag(5, "Retries of a version that fails to load.")
    load_retry_interval_micros: int = _flag(
        60_000_000, "Microseconds between two such retries."
    )
    saved_model_tags: str = _flag("serve", "Comma-separated tags of the graph to load.")
    remove_unused_fields_from_bundle_metagraph: bool = _ignored(
        True, "Keep only the signatures of a graph once it is loaded."
    )
    prefer_tflite_model: bool = _flag(
        False, "Serve a version's model.tflite where there is one."
    )
    num_tflite_pools: int = _ignored(1, "Pools of TFLite interpreters.")
    num_tflite_interpreters_per_pool: int = _ignored(1, "Interpreters of such a pool.")
    enable_signature_method_name_check: bool = _flag(
        False, "Refuse Classify and Regress on signatures of another method."
    )
    enable_model_warmup: bool = _flag(
        True, "Replay assets.extra/tf_serving_warmup_requests before a version serves."
    )
    num_request_iterations_for_warmup: int = _flag(
        0, "How often each warm-up record is replayed; 0 means once."
    )
    grpc_max_threads: int = _flag(
        0, "gRPC requests worked on at once; 0 means four times the number of CPUs."
    )
    grpc_channel_arguments: str = _flag("", "Comma-separated key=value for gRPC.")
    enable_grpc_healthcheck_service: bool = _flag(
        False, "Answer grpc.health.v1.Health."
    )
    ssl_config_file: str = _flag(
        "", "Text file with the SSLConfig of the gRPC API: keys, certificates."
    )
    use_alts_credentials: bool = _ignored(False, "ALTS on Google Cloud.")
    enable_profiler: bool = _flag(
        True, "Answer tensorflow.ProfilerService on the port of the gRPC API."
    )
    monitoring_config_file: str = _flag(
        "", "Text file with the MonitoringConfig: metrics on the port of the REST API."
    )
    tensorflow_session_parallelism: int = _flag(
        0, "Threads of a session, within and across operations; 0 lets it choose."
    )
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads within an operation.")
    tensorflow_inter_op_parallelism: int = _flag(0, "Operations run at once.")
    tensorflow_session_config_file: str = _flag(
        "", "Text file with the ConfigProto of sessions."
    )
    per_process_gpu_memory_fraction: float = _flag(
        0.0, "Share of a GPU's memory to take; 0 lets TensorFlow choose."
    )
    mixed_precision: str = _flag("", "bfloat16 runs graphs in it where it is safe.")
    xla_cpu_compilation_enabled: bool = _flag(
        False, "Let signatures compiled with XLA run on the CPU; else they are refused."
    )
    xla_gpu_compilation_enabled: bool = _flag(False, "The same, on a GPU.")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "Answer with tensor_content in place of float_val and its like."
    )
    platform_config_file: str = _ignored("", "Text file with a PlatformConfigMap.")
    thread_pool_factory_config_file: str = _ignored(
        "", "Text file with a ThreadPoolFactoryConfig."
    )
    skip_initialize_tpu: bool = _ignored(False, "Leave TPUs as they are.")
    version: bool = _flag(False, "Show versions and end.")

    host: str = _own("127.0.0.1", "Address to bind; 0.0.0.0 is every one.")
    rest_host: str = _own("", "Address of the REST API, if it is not that of --host.")
    pad_by_lengths: bool = _own(
        False,
        "Batch sequences of several lengths by their signature's `lengths` input.",
    )
    engine: str = _own(
        "auto",
        "official runs tensorflow_model_server, embedded this package's server; auto "
        "runs the official one where TENSORFLOW_MODEL_SERVER or the path has it.",
    )
