"""Which models a server holds: one by flags, or several by a `ModelServerConfig`."""

import heapq
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import grpc
from tensorflow_serving.config.model_server_config_pb2 import (
    ModelServerConfig,
    ModelType,
)

from keras_attn.serving.server.base_path import is_uri
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.status import StatusError, invalid_argument
from keras_attn.serving.server.textproto import read

logger = logging.getLogger("keras_attn.serving")

TENSORFLOW = "tensorflow"


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
    specific: frozenset[int] | None = None

    def choose(self, versions: Iterable[int]) -> set[int]:
        if self.every:
            return set(versions)
        if self.specific is not None:
            return set(self.specific.intersection(versions))
        return set(heapq.nlargest(self.latest, versions))


@dataclass(frozen=True)
class ModelConfig:
    """A model by name: where its versions are and which of them serve."""

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: dict[str, int] = field(default_factory=dict)
    platform: str = TENSORFLOW
    logs_requests: bool = False


def initial_configs(options: Options) -> list[ModelConfig] | None:
    """The models that the flags ask for, `None` if their file leaves that open.

    Raises:
        StatusError: Neither a usable base path nor a usable configuration is given.
    """
    if options.model_config_file:
        try:
            return read_configs(options.model_config_file)
        except StatusError as error:
            if error.__cause__:
                logger.error("%s: %s", options.model_config_file, error.__cause__)
            raise
    if not options.model_base_path:
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file "
            "are empty!"
        )
    _check_base_path(options.model_name, options.model_base_path)
    return [ModelConfig(options.model_name, options.model_base_path)]


def read_configs(path: str) -> list[ModelConfig] | None:
    """The models of a `ModelServerConfig` in a text file.

    Raises:
        StatusError: The file cannot be read, or holds something else.
    """
    return model_configs(read(path, ModelServerConfig))


def model_configs(config: ModelServerConfig) -> list[ModelConfig] | None:
    """The models of a configuration, or `None` if it says nothing at all.

    Raises:
        StatusError: They cannot be meant that way.
    """
    kind = config.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED,
            "ModelServer does not yet support custom model config.",
        )
    models = config.model_config_list.config
    _check_names([model.name for model in models])
    for model in models:
        _check_base_path(model.name, model.base_path)
    return [_model_config(model) for model in models]


def check_no_platform_changes(
    old: Sequence[ModelConfig], new: Sequence[ModelConfig]
) -> None:
    """Refuses a model that is to be taken for one of another kind."""
    platforms = {config.name: config.platform for config in old}
    for config in new:
        platform = platforms.get(config.name, config.platform)
        if platform != config.platform:
            raise invalid_argument(
                "Illegal to change a model's platform. For model "
                f"{config.name} platform was {platform} and new platform requested is "
                f"{config.platform}"
            )


def check_platforms(configs: Iterable[ModelConfig]) -> None:
    """Refuses models that are no SavedModels."""
    for config in configs:
        if config.platform != TENSORFLOW:
            raise invalid_argument(
                f"Model {config.name} requests unsupported platform {config.platform}"
            )


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid_argument(
                f"Illegal to list model {name} multiple times in config list"
            )
        seen.add(name)


def _check_base_path(name: str, path: str) -> None:
    if is_uri(path):
        raise invalid_argument(
            f"Expected model {name} to have a path of the local file system, since a "
            f"URI is not supported here; got base_path()={path}"
        )
    if not os.path.isabs(path):
        raise invalid_argument(
            f"Expected model {name} to have an absolute path or URI; "
            f"got base_path()={path}"
        )


def _model_config(model) -> ModelConfig:
    return ModelConfig(
        model.name,
        model.base_path,
        _version_policy(model.model_version_policy),
        dict(model.version_labels),
        _platform(model),
        model.HasField("logging_config"),
    )


def _platform(model) -> str:
    """The platform, also where the field that came before it is used."""
    if model.model_type != ModelType.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                "ModelServerConfig::model_platform."
            )
        if model.model_type != ModelType.TENSORFLOW:
            raise invalid_argument(
                f"ModelServerConfig::model_type choice {model.model_type} not "
                "supported."
            )
        return TENSORFLOW
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform."
        )
    return model.model_platform


def _version_policy(policy) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(every=True)
    if choice == "specific":
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return VersionPolicy(latest=max(1, policy.latest.num_versions))
