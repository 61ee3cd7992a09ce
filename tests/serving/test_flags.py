"""The command line of the server, and what flags lead to."""

import re
from pathlib import Path

import pytest

from keras_attn.serving import server
from keras_attn.serving.server.arguments import (
    CommandLine,
    parse,
    strip_own_flags,
    usage,
)
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.grpc_port import channel_arguments
from keras_attn.serving.server.session_config import session_config
from keras_attn.serving.server.status import StatusError

# Restated from TensorFlow Serving's own list.
THEIRS = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_timeout_in_ms": 30000,
    "rest_api_enable_cors_support": False,
    "enable_batching": False,
    "allow_version_labels_for_unavailable_models": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "model_name": "default",
    "model_base_path": "",
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60_000_000,
    "file_system_poll_wait_seconds": 1,
    "flush_filesystem_caches": True,
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "tensorflow_session_config_file": "",
    "use_alts_credentials": False,
    "ssl_config_file": "",
    "platform_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "saved_model_tags": "serve",
    "grpc_channel_arguments": "",
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "version": False,
    "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True,
    "prefer_tflite_model": False,
    "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "enable_profiler": True,
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
}
# Their defaults follow from the machine: here 0 stands for that.
OF_THE_MACHINE = {
    "rest_api_num_threads",
    "grpc_max_threads",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
}


def test_every_flag_is_there_with_its_default():
    defaults = vars(Options())
    assert {name: defaults[name] for name in THEIRS} == THEIRS
    own = ["--host=x", "--rest_host=x", "--pad_by_lengths", "--engine=x"]
    theirs = [f"--{name}=x" for name in (*THEIRS, *OF_THE_MACHINE)]
    assert strip_own_flags(theirs + own) == (theirs, own)
    assert len(defaults) == len(theirs) + len(own)
    assert all(f"\n  --{name}=" in usage() for name in defaults)


def test_values_are_read_by_type():
    line = parse(
        [
            "--port=9",
            "--model_name=a=b",
            "--enable_model_warmup=false",
            "--enable_batching",
            "--per_process_gpu_memory_fraction=0.25",
            "--load_retry_interval_micros=-1",
            "--saved_model_tags=",
        ]
    )
    assert line.options == Options(
        port=9,
        model_name="a=b",
        enable_model_warmup=False,
        enable_batching=True,
        per_process_gpu_memory_fraction=0.25,
        load_retry_interval_micros=-1,
        saved_model_tags="",
    )
    assert (line.unknown, line.ignored) == ([], [])


def test_unknown_arguments_are_named_and_the_rest_is_read():
    line = parse(
        ["--nope=1", "x", "--port", "9", "-port=9", "--model_name=m", "--", "--port=7"]
    )
    assert line.options == Options(model_name="m")
    assert line.unknown == ["--nope=1", "x", "--port", "9", "-port=9", "--", "--port=7"]


def test_flags_without_effect_are_named():
    line = parse(["--num_tflite_pools=2", "--flush_filesystem_caches", "--port=9"])
    assert set(line.ignored) == {"num_tflite_pools", "flush_filesystem_caches"}


def test_a_flag_is_read_by_someone_or_said_to_have_no_effect():
    files = Path(server.__file__).parent.glob("*.py")
    code = "".join(file.read_text() for file in files)
    unread = {name for name in vars(Options()) if not re.search(rf"\.{name}\b", code)}
    assert set(CommandLine(Options(), set(vars(Options()))).ignored) == unread


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("--port=x", "Couldn't interpret value x for flag port"),
        ("--port=", "Couldn't interpret value  for flag port"),
        ("--port=1.5", "Couldn't interpret value 1.5 for flag port"),
        ("--enable_batching=1", "value =1 for flag enable_batching"),
        ("--enable_batching=True", "value =True for flag enable_batching"),
        ("--per_process_gpu_memory_fraction=half", "value half for flag per_process"),
    ],
)
def test_wrong_values(argument, problem):
    with pytest.raises(ValueError, match=problem):
        parse([argument])


def test_channel_arguments_are_numbers_where_they_can_be():
    text = "grpc.max_concurrent_streams=7,grpc.primary_user_agent=me,x=-1,,y="
    assert channel_arguments(text) == [
        ("grpc.max_concurrent_streams", 7),
        ("grpc.primary_user_agent", "me"),
        ("x", -1),
        ("y", ""),
    ]


@pytest.mark.parametrize(
    ("flags", "within", "across"),
    [
        ({}, 3, 0),
        ({"tensorflow_session_parallelism": 2}, 2, 2),
        ({"tensorflow_intra_op_parallelism": 1}, 1, 0),
        ({"tensorflow_inter_op_parallelism": 4}, 3, 4),
    ],
)
def test_session_threads(tmp_path, flags, within, across):
    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 3 allow_soft_placement: true")
    options = Options(tensorflow_session_config_file=str(file), **flags)
    config = session_config(options)
    assert config.intra_op_parallelism_threads == within
    assert config.inter_op_parallelism_threads == across
    assert config.allow_soft_placement


def test_session_memory_and_precision():
    config = session_config(
        Options(per_process_gpu_memory_fraction=0.25, mixed_precision="bfloat16")
    )
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.25
    rewriters = config.graph_options.rewrite_options
    assert rewriters.auto_mixed_precision_onednn_bfloat16 == rewriters.ON
    plain = session_config(Options(mixed_precision="other"))
    assert not plain.HasField("graph_options")


@pytest.mark.parametrize("other", ["intra", "inter"])
def test_session_threads_are_given_one_way(other):
    flags = {f"tensorflow_{other}_op_parallelism": 1}
    with pytest.raises(StatusError, match="You cannot configure all"):
        session_config(Options(tensorflow_session_parallelism=1, **flags))
