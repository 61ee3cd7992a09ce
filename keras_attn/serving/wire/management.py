"""The life of models: the states of their versions, and which a server is to hold."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from keras_attn.serving.wire.fields import (
    Buffer,
    Parts,
    bytes_field,
    encode_varint,
    integer_field,
    read_bytes,
    read_fields,
    read_integer,
    read_text,
    text_field,
)
from keras_attn.serving.wire.messages import ModelSpec

STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

_LATEST, _ALL, _SPECIFIC = 100, 101, 102


@dataclass(frozen=True)
class VersionStatus:
    """The life of one version: `state` is START, LOADING, AVAILABLE, UNLOADING or END.

    `error_code` is a gRPC status code, 0 when all is well.
    """

    version: int = 0
    state: str = "UNKNOWN"
    error_code: int = 0
    error_message: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """A model that a server is told to hold.

    Args:
        name: Name under which it is served.
        base_path: Folder with its numbered versions, as the server sees it.
        versions: The versions to serve, or `"all"`; by default the `latest` highest.
        latest: How many of the highest versions serve.
        labels: Version labels to numbers.
        platform: What the model is made with.
    """

    name: str
    base_path: str | os.PathLike[str]
    versions: Sequence[int] | Literal["all"] = ()
    latest: int = 1
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = "tensorflow"

    def encode(self) -> Parts:
        labels = (
            bytes_field(8, *text_field(1, label), *integer_field(2, version))
            for label, version in self.labels.items()
        )
        return [
            *text_field(1, self.name),
            *text_field(2, os.fspath(self.base_path)),
            *text_field(4, self.platform),
            *bytes_field(7, *self._policy()),
            *(part for label in labels for part in label),
        ]

    def _policy(self) -> Parts:
        if self.versions == "all":
            return bytes_field(_ALL)
        if self.versions:
            numbers = b"".join(encode_varint(int(number)) for number in self.versions)
            return bytes_field(_SPECIFIC, *bytes_field(1, numbers))
        return bytes_field(_LATEST, *integer_field(1, self.latest))


def encode_status_request(spec: ModelSpec) -> bytes:
    return b"".join(spec.as_field(1))


def decode_status_response(message: Buffer) -> list[VersionStatus]:
    fields = read_fields(message)
    return [_decode_version_status(read_bytes(v)) for n, _, v in fields if n == 1]


def encode_reload_request(configs: Sequence[ModelConfig]) -> bytes:
    entries = (bytes_field(1, *config.encode()) for config in configs)
    models = bytes_field(1, *(part for entry in entries for part in entry))
    return b"".join(bytes_field(1, *models))


def _decode_version_status(message: Buffer) -> VersionStatus:
    values: dict = {}
    for number, _, value in read_fields(message):
        if number == 1:
            values["version"] = read_integer(value)
        elif number == 2:
            values["state"] = STATES.get(read_integer(value), "UNKNOWN")
        elif number == 3:
            for inner, _, detail in read_fields(read_bytes(value)):
                if inner == 1:
                    values["error_code"] = read_integer(detail)
                elif inner == 2:
                    values["error_message"] = read_text(detail)
    return VersionStatus(**values)
