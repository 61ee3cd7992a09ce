"""Text files of the messages that `tensorflow-serving-api` does not bring along."""

from pathlib import Path
from typing import TypeVar

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from google.protobuf.message import Message

from keras_attn.serving.server.status import invalid_argument, not_found

_PACKAGE = "tensorflow.serving"
_WRAPPERS = "google.protobuf"
_FIELDS = {
    "BatchingParameters": [
        ("max_batch_size", 1, "Int64Value"),
        ("batch_timeout_micros", 2, "Int64Value"),
        ("max_enqueued_batches", 3, "Int64Value"),
        ("num_batch_threads", 4, "Int64Value"),
        ("thread_pool_name", 5, "StringValue"),
        ("allowed_batch_sizes", 6, "repeated int64"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, "BoolValue"),
        ("max_execution_batch_size", 9, "Int64Value"),
    ],
    "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
    "MonitoringConfig": [("prometheus_config", 1, "PrometheusConfig")],
    "SSLConfig": [
        ("server_key", 1, "string"),
        ("server_cert", 2, "string"),
        ("custom_ca", 3, "string"),
        ("client_verify", 4, "bool"),
    ],
}

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(text: str, kind: type[AnyMessage]) -> AnyMessage:
    """Reads a message from its text form.

    Args:
        text: Such as `max_batch_size { value: 64 }`.
        kind: One of this module's messages, or any other message class.

    Raises:
        google.protobuf.text_format.ParseError: The text is no such message.

    Example:

    ```python
    parse("max_batch_size { value: 64 }", BATCHING_PARAMETERS).max_batch_size.value
    ```
    """
    return text_format.Parse(text, kind())


def read(path: str, kind: type[AnyMessage]) -> AnyMessage:
    """Reads the text file of a message.

    Raises:
        StatusError: There is no such file, or it holds something else.
    """
    try:
        return parse(Path(path).read_text(), kind)
    except OSError as error:
        raise not_found(f"{path}; {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}'") from error


def _message_classes() -> dict[str, type[Message]]:
    """Classes in a pool of their own, so that no other definition is disturbed."""
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_attn/serving_config.proto",
        package=_PACKAGE,
        dependency=[wrappers.name],
        syntax="proto3",
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field_name, number, type_name in fields:
            _add_field(message, field_name, number, type_name)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in _FIELDS
    }


def _add_field(message, name: str, number: int, type_name: str) -> None:
    repeated, type_name = type_name.startswith("repeated "), type_name.split()[-1]
    field = descriptor_pb2.FieldDescriptorProto(name=name, number=number)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if type_name.islower():
        field.type = field.Type.Value(f"TYPE_{type_name.upper()}")
    else:
        field.type = field.TYPE_MESSAGE
        package = _PACKAGE if type_name in _FIELDS else _WRAPPERS
        field.type_name = f".{package}.{type_name}"
    message.field.append(field)


_classes = _message_classes()

BATCHING_PARAMETERS = _classes["BatchingParameters"]
MONITORING_CONFIG = _classes["MonitoringConfig"]
SSL_CONFIG = _classes["SSLConfig"]
