"""The models of a server as its requests see them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.labels import Labels, assign_labels
from keras_attn.serving.server.model import Model, Version
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import invalid_argument, not_found
from keras_attn.serving.server.transitions import State
from keras_attn.serving.wire.messages import ModelSpec


class Catalog:
    """Models, their configurations and labels behind one lock.

    `changed` is that lock, and is notified of whatever someone may wait for.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.models: dict[
            str, Model
        ] = {}  # also those left out by now: they stay listed
        self.configs: Sequence[ModelConfig] = ()
        self._labels: Labels = {}

    @contextmanager
    def servable(self, spec: ModelSpec | None) -> Iterator[Servable]:
        """The servable a request asks for, kept loaded while the request runs."""
        with self.changed:
            version, servable = self._find(spec)
            version.in_flight += 1
        try:
            yield servable
        finally:
            with self.changed:
                version.in_flight -= 1
                if version.state == State.UNLOADING:
                    self.changed.notify_all()

    def _find(self, spec: ModelSpec | None) -> tuple[Version, Servable]:
        if spec is None:
            raise invalid_argument("Missing ModelSpec")
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        number = spec.version
        if spec.version_label is not None:
            number = self._labels.get(spec.name, {}).get(spec.version_label)
            if number is None:
                raise invalid_argument(
                    f"Unrecognized servable version label: {spec.version_label}"
                )
        model = self.models.get(spec.name)
        version = model.find(number) if model else None
        if version is None or version.servable is None:
            asked = (
                f"Latest({spec.name})"
                if number is None
                else f"Specific({spec.name}, {number})"
            )
            raise not_found(f"Servable not found for request: {asked}")
        return version, version.servable

    def statuses(self, spec: ModelSpec | None) -> list[Version]:
        """The versions asked for, highest first; a label asks for all of them."""
        if spec is None:
            raise invalid_argument("Missing ModelSpec")
        with self.changed:
            model = self.models.get(spec.name)
            versions = dict(model.versions) if model else {}
        if spec.version is not None:
            if spec.version not in versions:
                raise not_found(
                    f"Could not find version {spec.version} of model {spec.name}"
                )
            return [versions[spec.version]]
        if not versions:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return [versions[number] for number in sorted(versions, reverse=True)]

    def break_off(self) -> None:
        """Ends the requests in flight with an error, by closing what they run."""
        with self.changed:
            servables = [
                version.servable
                for model in self.models.values()
                for version in model.versions.values()
                if version.servable is not None
            ]
        for servable in servables:
            servable.close()

    def assign_labels(
        self, configs: Sequence[ModelConfig], also_unavailable: bool
    ) -> None:
        """Gives every model the labels of its configuration, or changes nothing."""
        with self.changed:
            self._labels = assign_labels(
                configs, self._labels, self._is_available, also_unavailable
            )

    def install(self, configs: Sequence[ModelConfig]) -> set[str]:
        """Replaces the models; those left out are to unload.

        Returns:
            The names that are new.
        """
        with self.changed:
            names = {config.name for config in configs}
            before = {config.name for config in self.configs}
            for config in configs:
                self.models.setdefault(config.name, Model(config.name))
            for name in before - names:
                self.models[name].aspire({})
            self.configs = tuple(configs)
            self.changed.notify_all()
        return names - before

    def _is_available(self, name: str, number: int) -> bool:
        model = self.models.get(name)
        return model is not None and model.is_available(number)
