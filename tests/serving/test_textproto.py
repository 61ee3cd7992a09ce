"""Text files of messages that no package brings along."""

import pytest
from google.protobuf import text_format

from keras_attn.serving.server.monitoring import prometheus_path
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.textproto import (
    BATCHING_PARAMETERS,
    MONITORING_CONFIG,
    SSL_CONFIG,
    parse,
    read,
)


def test_batching_parameters():
    message = parse(
        """
        # Every field that there is.
        max_batch_size { value: 64 }
        batch_timeout_micros { value: 2000 }
        max_enqueued_batches { value: 100 }
        num_batch_threads { value: 4 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: 8
        allowed_batch_sizes: 64
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 32 }
        """,
        BATCHING_PARAMETERS,
    )
    wrapped = {
        field.name: value.value
        for field, value in message.ListFields()
        if field.message_type
    }
    assert wrapped == {
        "max_batch_size": 64,
        "batch_timeout_micros": 2000,
        "max_enqueued_batches": 100,
        "num_batch_threads": 4,
        "thread_pool_name": "pool",
        "enable_large_batch_splitting": True,
        "max_execution_batch_size": 32,
    }
    assert list(message.allowed_batch_sizes) == [8, 64]
    assert message.pad_variable_length_inputs


def test_absent_and_zero_differ_where_a_value_is_wrapped():
    message = parse("max_enqueued_batches { value: 0 }", BATCHING_PARAMETERS)
    assert message.HasField("max_enqueued_batches")
    assert not message.HasField("max_batch_size")


def test_ssl_config():
    message = parse(
        'server_key: "k\\n" server_cert: "c" custom_ca: "a" client_verify: true',
        SSL_CONFIG,
    )
    assert (message.server_key, message.server_cert) == ("k\n", "c")
    assert (message.custom_ca, message.client_verify) == ("a", True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("max_batch_size: 64", BATCHING_PARAMETERS),
        ("allowed_batch_sizes { value: 64 }", BATCHING_PARAMETERS),
        ("nonsense", SSL_CONFIG),
        ("prometheus_config { enable: maybe }", MONITORING_CONFIG),
    ],
)
def test_wrong_text(tmp_path, text, kind):
    with pytest.raises(text_format.ParseError):
        parse(text, kind)
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(StatusError) as caught:
        read(str(file), kind)
    assert str(caught.value) == f"INVALID_ARGUMENT: Invalid protobuf file: '{file}'"
    assert isinstance(caught.value.__cause__, text_format.ParseError)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StatusError, match=r"NOT_FOUND: .*missing; No such file"):
        read(str(tmp_path / "missing"), SSL_CONFIG)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(StatusError, match="Invalid protobuf file"):
        read(str(tmp_path / "binary"), SSL_CONFIG)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ('prometheus_config { path: "/metrics" }', ""),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
    ],
)
def test_where_metrics_are_shown(tmp_path, text, path):
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    assert prometheus_path(str(file)) == path
    assert prometheus_path("") == ""
