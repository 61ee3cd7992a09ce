"""The models of a server: configured, handed to requests, replaced while it runs."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

import grpc

from keras_attn.serving.server.catalog import Catalog
from keras_attn.serving.server.config import (
    ModelConfig,
    check_no_platform_changes,
    check_platforms,
)
from keras_attn.serving.server.lifecycle import Lifecycle, Load, servable_name
from keras_attn.serving.server.model import Version
from keras_attn.serving.server.pace import Pace
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import (
    StatusError,
    failed_precondition,
    invalid_argument,
)
from keras_attn.serving.wire.messages import ModelSpec

logger = logging.getLogger("keras_attn.serving")


class ModelManager:
    """Holds the models of the configuration it was last given.

    Args:
        load: Makes a servable of `(name, version, path)`, or raises `StatusError`.
        pace: How often and by how many threads folders are polled, versions loaded.
        labels_for_unavailable: Whether a new label may point to a version that does
            not serve (yet).

    Example:

    ```python
    manager = ModelManager(load)
    manager.start()
    manager.reload([ModelConfig("dates", "/models/dates")])
    with manager.servable(ModelSpec("dates")) as servable:
        ...
    manager.stop()
    ```
    """

    def __init__(
        self,
        load: Load,
        pace: Pace = Pace(),  # noqa: B008 -- it is frozen
        labels_for_unavailable: bool = False,
    ):
        self._catalog = Catalog()
        self._lifecycle = Lifecycle(self._catalog, load, pace)
        self._labels_for_unavailable = labels_for_unavailable
        self._reloading = threading.Lock()
        self._recorded: Sequence[ModelConfig] | None = None  # also if refused later on

    def start(self) -> None:
        self._lifecycle.start()

    def finish(self) -> None:
        """Loads nothing more, so that no one waits for a model; the others go on."""
        self._lifecycle.finish()

    def break_off(self) -> None:
        """Ends the requests in flight with an error; no others may follow."""
        self._catalog.break_off()

    def stop(self) -> None:
        """Ends the threads and closes every model; no request may be in flight."""
        self._lifecycle.stop()

    def servable(self, spec: ModelSpec | None) -> AbstractContextManager[Servable]:
        """The servable a request asks for, kept loaded while the request runs.

        Raises:
            StatusError: With TF Serving's code and text.
        """
        return self._catalog.servable(spec)

    def statuses(self, spec: ModelSpec | None) -> list[Version]:
        """The versions asked for, highest first.

        Raises:
            StatusError: There are none.
        """
        return self._catalog.statuses(spec)

    def reload(
        self, configs: Sequence[ModelConfig] | None, timeout: float | None = None
    ) -> None:
        """Replaces the models, and waits until those with new names can answer.

        Models left out unload. A configuration is recorded before labels are checked,
        and labels before anything is loaded, so that a label needs a version that
        serves already.

        Args:
            configs: All the models; `None` is a configuration that leaves them open.
            timeout: Seconds to wait, `None` for as long as it takes.

        Raises:
            StatusError: The configuration is refused, or a new model cannot be loaded.
            TimeoutError: There is still a new model that cannot answer.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if not self._reloading.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError("Another configuration is still being loaded.")
        try:
            self._reload(configs, end)
        finally:
            self._reloading.release()

    def _reload(self, configs: Sequence[ModelConfig] | None, end: float | None) -> None:
        is_first = self._recorded is None
        if configs is None:
            if not is_first:
                raise failed_precondition(
                    "Cannot transition to requested config. It is only legal to "
                    "transition from one ModelConfigList to another."
                )
            logger.info("Taking no action for empty config.")
            return
        check_no_platform_changes(self._recorded or (), configs)
        self._recorded = configs
        self._catalog.assign_labels(configs, self._labels_for_unavailable)
        check_platforms(configs)
        if list(configs) != list(self._catalog.configs):
            new = self._catalog.install(configs)
            self._lifecycle.poll_soon()
            self._wait_until_available(new, "servable" if is_first else "model", end)
        self._lifecycle.has_started()
        if any(config.logs_requests for config in configs):
            raise invalid_argument("No request-logger-creator provided.")

    def _wait_until_available(
        self, names: Collection[str], noun: str, end: float | None
    ) -> None:
        catalog = self._catalog

        def is_settled() -> bool:
            return self._lifecycle.is_over or all(
                catalog.models[name].is_settled() for name in names
            )

        with catalog.changed:
            timeout = None if end is None else end - time.monotonic()
            if not catalog.changed.wait_for(is_settled, timeout):
                problems = self._lifecycle.problems() or ["Loading takes longer."]
                raise TimeoutError(
                    f"Not every model became available in time. {' '.join(problems)}"
                )
            if self._lifecycle.is_over:
                raise StatusError(grpc.StatusCode.CANCELLED, "The server is stopping.")
            failed = [
                (model, model.versions[max(model.aspired)])
                for model in map(catalog.models.__getitem__, sorted(names))
                if model.newest is None
            ]
        if failed:
            listed = "".join(
                f"{{{servable_name(model, version)} due to error: {version.error}}}, "
                for model, version in failed
            )
            raise StatusError(
                grpc.StatusCode.UNKNOWN,
                f"{len(failed)} {noun}(s) did not become available: {{{listed}}}",
            )
