"""The models of a server: found on disk, loaded, handed to requests, unloaded."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import (
    StatusError,
    failed_precondition,
    invalid_argument,
    not_found,
)
from keras_attn.serving.server.transitions import State, next_step
from keras_attn.serving.wire.messages import ModelSpec

logger = logging.getLogger("keras_attn.serving")

_TICK = 0.1  # seconds between looks at what there is to do

Load = Callable[[str, int, Path], Servable]


@dataclass
class Version:
    """A version and where it stands; it stays listed after its end."""

    number: int
    path: Path
    state: State = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    in_flight: int = 0
    failures: int = 0
    retry_at: float = 0.0


@dataclass
class Model:
    """A model, its versions and those of them that should serve."""

    config: ModelConfig
    versions: dict[int, Version] = field(default_factory=dict)
    aspired: set[int] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)

    def is_available(self, version: int) -> bool:
        known = self.versions.get(version)
        return known is not None and known.state == State.AVAILABLE

    def is_settled(self) -> bool:
        """Whether every version that should serve does, or never will."""
        done = {State.AVAILABLE, State.END}
        states = (self.versions[number].state for number in self.aspired)
        return bool(self.aspired) and done.issuperset(states)


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
        self._next_poll = float("inf") if poll_seconds < 0 else 0.0
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
        versions = model.versions if model else {}
        found = {
            version.number: (version, version.servable)
            for version in versions.values()
            if version.state == State.AVAILABLE
            and version.servable is not None
            and number in (None, version.number)
        }
        if not found:
            asked = (
                f"Latest({spec.name})"
                if number is None
                else f"Specific({spec.name}, {number})"
            )
            raise not_found(f"Servable not found for request: {asked}")
        return found[max(found)]

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
        while True:
            now = time.monotonic()
            if now >= self._next_poll:
                forever = self._poll_seconds == 0
                self._next_poll = float("inf") if forever else now + self._poll_seconds
                self._poll()
            for model in self._models.values():
                while not self._stopping.is_set() and self._step(model):
                    pass
            with self._lock:
                self._lock.notify_all()
            if self._stopping.wait(_TICK):
                return

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
        empty = [name for name in found if not found[name]]
        self._report(
            f"No versions of servable {empty[0]} found under base path "
            f"{self._models[empty[0]].config.base_path}. Name its version folders as "
            "numbers, e.g. 1."
            if empty
            else ""
        )
        with self._lock:
            for name, paths in found.items():
                self._aspire(self._models[name], paths)

    def _aspire(self, model: Model, paths: dict[int, Path]) -> None:
        model.aspired = model.config.policy.choose(paths)
        for number in model.aspired:
            known = model.versions.get(number)
            if known is None or (known.state == State.END and not known.error):
                model.versions[number] = Version(number, paths[number])
        for number, version in model.versions.items():
            if number in model.aspired:
                continue
            if version.state == State.LOADING:  # waits to be tried again
                version.state = State.END
            if version.state == State.END:
                version.error = None  # a later return is a fresh start

    def _step(self, model: Model) -> bool:
        """Does one thing for a model; says whether there was one to do."""
        with self._lock:
            now = time.monotonic()
            for version in model.versions.values():
                idle = version.state == State.UNLOADING and not version.in_flight
                retry = version.state == State.LOADING and now >= version.retry_at
                if idle or retry:
                    break
            else:
                states = {n: version.state for n, version in model.versions.items()}
                step = next_step(states, model.aspired)
                if step is None:
                    return False
                kind, number = step
                version, idle = model.versions[number], False
                if kind == "unload":
                    version.state = State.UNLOADING
                    return True
                version.state = State.LOADING
        if idle:
            self._close(model, version)
        else:
            self._try_to_load(model, version)
        return True

    def _try_to_load(self, model: Model, version: Version) -> None:
        name = f"{{name: {model.config.name} version: {version.number}}}"
        logger.info("Loading servable: %s", name)
        try:
            servable = self._load(model.config.name, version.number, version.path)
        except StatusError as error:
            self._after_failure(version, error, name)
            return
        with self._lock:
            version.servable, version.error = servable, None
            version.state = State.AVAILABLE
        logger.info("Successfully loaded servable version %s", name)

    def _after_failure(self, version: Version, error: StatusError, name: str) -> None:
        with self._lock:
            version.failures += 1
            version.error = error
            final = version.failures > self._retries
            if final:
                version.state = State.END
            version.retry_at = time.monotonic() + self._retry_seconds
        remark = "" if final else f" (trying again in {self._retry_seconds:g} s)"
        logger.error("Loading servable: %s failed: %s%s", name, error, remark)

    def _close(self, model: Model, version: Version) -> None:
        servable, version.servable = version.servable, None
        if servable is not None:
            servable.close()
            name = model.config.name
            logger.info(
                "Unloaded servable {name: %s version: %d}", name, version.number
            )
            with self._lock:
                version.state = State.END

    def _check_one_each(self) -> None:
        failed = [
            f"{{{{name: {name} version: {number}}} due to error: "
            f"{model.versions[number].error}}}"
            for name, model in self._models.items()
            if not any(map(model.is_available, model.aspired))
            for number in sorted(model.aspired)
        ]
        if failed:
            raise StatusError(
                2,
                f"{len(failed)} servable(s) did not become available: "
                f"{{{', '.join(failed)}}}",
            )

    def _report(self, problem: str) -> None:
        if problem and problem != self._last_problem:
            logger.warning("%s", problem)
        self._last_problem = problem
