"""Which models a server holds: one by flags, or several by a text file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.status import failed_precondition, invalid_argument


@dataclass(frozen=True)
class VersionPolicy:
    """Which versions on disk are to serve.

    Args:
        latest: How many of the highest, if neither of the others is set.
        every: All of them.
        specific: These alone.
    """

    latest: int = 1
    every: bool = False
    specific: frozenset[int] = frozenset()

    def choose(self, versions: Iterable[int]) -> set[int]:
        versions = set(versions)
        if self.every:
            return versions
        if self.specific:
            return versions & self.specific
        return set(sorted(versions)[-self.latest :])


@dataclass(frozen=True)
class ModelConfig:
    """A model by name: where its versions are and which of them serve."""

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: dict[str, int] = field(default_factory=dict)

    def versions_on_disk(self) -> dict[int, Path]:
        """Folders whose name is a number, by that number.

        Raises:
            StatusError: The base path is missing.
        """
        try:
            entries = sorted(os.listdir(self.base_path))
        except OSError:
            raise failed_precondition(
                f"Could not find base path {self.base_path} for servable {self.name}"
            ) from None
        base = Path(self.base_path)
        return {int(entry): base / entry for entry in entries if entry.isdecimal()}


def model_configs(options: Options) -> list[ModelConfig]:
    """The models that the flags ask for.

    Raises:
        StatusError: Neither a base path nor a readable configuration is given.
    """
    if options.model_config_file:
        return read_config_file(options.model_config_file)
    if not options.model_base_path:
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file "
            "are empty!"
        )
    return [ModelConfig(options.model_name, os.path.abspath(options.model_base_path))]


def read_config_file(path: str) -> list[ModelConfig]:
    """Reads a `ModelServerConfig` in text form."""
    try:
        config = text_format.Parse(Path(path).read_text(), ModelServerConfig())
    except OSError as error:
        raise invalid_argument(f"Could not read {path}: {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}' ({error})") from None
    models = [_model_config(model) for model in config.model_config_list.config]
    for name in {model.name for model in models}:
        if sum(model.name == name for model in models) > 1:
            raise invalid_argument(
                f"Illegal to list model {name} multiple times in config list"
            )
    return models


def _model_config(model) -> ModelConfig:
    if not os.path.isabs(model.base_path):
        raise invalid_argument(
            f"Expected model {model.name} to have an absolute path or URI; "
            f"got base_path()={model.base_path}"
        )
    if model.model_platform != "tensorflow":
        raise invalid_argument(
            f"Model {model.name} requests unsupported platform {model.model_platform}"
        )
    return ModelConfig(
        model.name,
        model.base_path,
        _version_policy(model.model_version_policy),
        dict(model.version_labels),
    )


def _version_policy(policy) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(every=True)
    if choice == "specific":
        if not policy.specific.versions:
            raise invalid_argument("A specific version policy must name versions.")
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return VersionPolicy(latest=policy.latest.num_versions or 1)
