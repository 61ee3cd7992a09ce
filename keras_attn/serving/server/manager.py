"""The models of a server: found on disk, loaded, handed to requests, unloaded."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.model import Model, Version
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import (
    StatusError,
    failed_precondition,
    invalid_argument,
    not_found,
)
from keras_attn.serving.wire.messages import ModelSpec

logger = logging.getLogger("keras_attn.serving")

_TICK = 0.1  # seconds between looks at what there is to do

Load = Callable[[str, int, Path], Servable]


class ModelManager:
    """Keeps models as their folders and policies say, in a thread of its own.

    Args:
        configs: The models.
        load: Makes a servable of `(name, version, path)`, or raises `StatusError`.
        poll_seconds: Between looks at the folders; 0 looks once, negative never.
        retries: How often a failing load is tried again.
        retry_seconds: Between two such tries.
    """

    def __init__(
        self,
        configs: list[ModelConfig],
        load: Load,
        poll_seconds: float = 1,
        retries: int = 5,
        retry_seconds: float = 60,
    ):
        self._models = {config.name: Model(config) for config in configs}
        self._load = load
        self._poll_seconds = poll_seconds
        self._last_problem = ""
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._lock = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_going, name="model-manager", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes every model; no request may be in flight."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for model in self._models.values():
            for version in model.versions.values():
                self._close(model, version)

    def wait_until_settled(self, timeout: float | None = None) -> None:
        """Waits for the first versions of every model, then assigns labels.

        Raises:
            StatusError: A model has no version that could be loaded.
            TimeoutError: There is still a model without versions.
        """

        def settled() -> bool:
            return self._stopping.is_set() or all(
                model.is_settled() for model in self._models.values()
            )

        with self._lock:
            if not self._lock.wait_for(settled, timeout):
                raise TimeoutError(
                    f"No model became available within {timeout:g} s. "
                    + (self._last_problem or "Loading takes longer.")
                )
            if not self._stopping.is_set():
                self._check_one_each()

    def assign_labels(self, also_unavailable: bool = False) -> None:
        """Gives each model the labels of its configuration.

        Raises:
            StatusError: A label names a version that does not serve.
        """
        with self._lock:
            for name, model in self._models.items():
                for version in model.config.labels.values():
                    if not also_unavailable and not model.is_available(version):
                        raise failed_precondition(
                            f"Request to assign label to version {version} of model "
                            f"{name}, which is not currently available for inference"
                        )
                model.labels = dict(model.config.labels)

    @contextmanager
    def servable(self, spec: ModelSpec | None) -> Iterator[Servable]:
        """The servable a request asks for, kept loaded while the request runs.

        Raises:
            StatusError: With TF Serving's code and text.
        """
        if spec is None:
            raise invalid_argument("Missing ModelSpec")
        with self._lock:
            version, servable = self._find(spec)
            version.in_flight += 1
        try:
            yield servable
        finally:
            with self._lock:
                version.in_flight -= 1

    def _find(self, spec: ModelSpec) -> tuple[Version, Servable]:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        model = self._models.get(spec.name)
        number = spec.version
        if spec.version_label is not None:
            number = model.labels.get(spec.version_label) if model else None
            if number is None:
                raise invalid_argument(
                    f"Unrecognized servable version label: {spec.version_label}"
                )
        found = model.find(number) if model else None
        if found is None:
            asked = (
                f"Latest({spec.name})"
                if number is None
                else f"Specific({spec.name}, {number})"
            )
            raise not_found(f"Servable not found for request: {asked}")
        return found

    def statuses(self, spec: ModelSpec | None) -> list[Version]:
        """The versions asked for, highest first.

        Raises:
            StatusError: There are none.
        """
        if spec is None:
            raise invalid_argument("Missing ModelSpec")
        with self._lock:
            model = self._models.get(spec.name)
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

    def _keep_going(self) -> None:
        next_poll = math.inf if self._poll_seconds < 0 else 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + self._poll_seconds if self._poll_seconds else math.inf
                self._poll()
            for model in self._models.values():
                while not self._stopping.is_set() and self._step(model):
                    pass
            with self._lock:
                self._lock.notify_all()
            self._stopping.wait(_TICK)

    def _poll(self) -> None:
        """Looks at every folder; a problem with one changes nothing for any."""
        try:
            found = {
                name: model.config.versions_on_disk()
                for name, model in self._models.items()
            }
        except StatusError as problem:
            self._report(str(problem))
            return
        empty = [model for name, model in self._models.items() if not found[name]]
        self._report(_no_versions(empty[0]) if empty else "")
        with self._lock:
            for name, paths in found.items():
                self._models[name].aspire(paths)

    def _step(self, model: Model) -> bool:
        """Does one thing for a model; says whether there was one to do."""
        with self._lock:
            step = model.next_step()
        if step is None:
            return False
        kind, version = step
        if kind == "load":
            self._try_to_load(model, version)
        else:
            self._close(model, version)
        return True

    def _try_to_load(self, model: Model, version: Version) -> None:
        name = _servable_name(model, version)
        logger.info("Loading servable: %s", name)
        try:
            servable = self._load(model.config.name, version.number, version.path)
        except StatusError as error:
            with self._lock:
                version.has_failed(error, self._retries, self._retry_seconds)
            again = f" (trying again in {self._retry_seconds:g} s)"
            remark = "" if version.given_up else again
            logger.error("Loading servable: %s failed: %s%s", name, error, remark)
            return
        with self._lock:
            version.has_loaded(servable)
        logger.info("Successfully loaded servable version %s", name)

    def _close(self, model: Model, version: Version) -> None:
        with self._lock:
            servable = version.take_servable()
        if servable is not None:
            servable.close()
            logger.info("Unloaded servable %s", _servable_name(model, version))

    def _check_one_each(self) -> None:
        failed = [
            f"{{{_servable_name(model, version)} due to error: {version.error}}}, "
            for model in self._models.values()
            if not any(map(model.is_available, model.aspired))
            for version in (model.versions[n] for n in sorted(model.aspired))
        ]
        if failed:
            raise StatusError(
                grpc.StatusCode.UNKNOWN,
                f"{len(failed)} servable(s) did not become available: "
                f"{{{''.join(failed)}}}",
            )

    def _report(self, problem: str) -> None:
        if problem and problem != self._last_problem:
            logger.warning("%s", problem)
        self._last_problem = problem


def _servable_name(model: Model, version: Version) -> str:
    return f"{{name: {model.config.name} version: {version.number}}}"


def _no_versions(model: Model) -> str:
    return (
        f"No versions of servable {model.config.name} found under base path "
        f"{model.config.base_path}. Name its version folders as numbers, e.g. 1."
    )
