"""What goes on in the background: versions are found, loaded and unloaded."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc

from keras_attn.serving.server.catalog import Catalog
from keras_attn.serving.server.model import Model, Version
from keras_attn.serving.server.pace import Pace
from keras_attn.serving.server.poller import Poller
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.transitions import State
from keras_attn.serving.server.workers import Workers

logger = logging.getLogger("keras_attn.serving")

Load = Callable[[str, int, Path], Servable]


class Lifecycle:
    """Keeps the models of a catalog as their folders and policies say.

    One thread decides what is to be done. It never waits for a version, neither to be
    tried again nor for its last request to end.

    Args:
        catalog: The models.
        load: Makes a servable of `(name, version, path)`, or raises `StatusError`.
        pace: How often and by how many threads.
    """

    def __init__(self, catalog: Catalog, load: Load, pace: Pace):
        self._catalog = catalog
        self._load = load
        self._pace = pace
        self._poller = Poller(catalog, pace.poll_seconds)
        self._is_over = False
        first = 4 * (os.cpu_count() or 1)
        self._first_loaders = Workers(first, "first-load")
        self._later_loaders = Workers(pace.load_threads, "load")
        self._unloaders = Workers(pace.unload_threads, "unload")
        self._loaders = self._first_loaders
        self._thread = threading.Thread(
            target=self._keep_going, name="model-lifecycle", daemon=True
        )

    @property
    def is_over(self) -> bool:
        return self._is_over

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Begins nothing more. What serves goes on serving."""
        with self._catalog.changed:
            self._is_over = True
            self._catalog.changed.notify_all()

    def stop(self) -> None:
        """Ends the threads and closes every version; no request may be in flight."""
        self.finish()
        if self._thread.is_alive():
            self._thread.join()
        for workers in (self._first_loaders, self._later_loaders, self._unloaders):
            workers.stop()
        for model in self._catalog.models.values():
            for version in model.versions.values():
                if version.servable is not None:
                    self._unload_version(model, version)

    def poll_soon(self) -> None:
        """Has the folders looked at now, unless that is never to happen."""
        with self._catalog.changed:
            self._poller.hurry()
            self._catalog.changed.notify_all()

    def has_started(self) -> None:
        """From now on the models serve, and loading takes no more than its share."""
        self._loaders = self._later_loaders

    def problems(self) -> list[str]:
        """What keeps models from being available, as far as is known."""
        with self._catalog.changed:
            failures = [
                f"{servable_name(model, version)} due to error: {version.error}"
                for model in self._catalog.models.values()
                for version in model.versions.values()
                if version.error
            ]
            return [*self._poller.remarks, *failures]

    def _keep_going(self) -> None:
        while (task := self._next_task()) is not None:
            task()

    def _next_task(self) -> Callable[[], None] | None:
        """Waits until there is something to do; `None` at the end."""
        with self._catalog.changed:
            while not self._is_over:
                now = time.monotonic()
                if now >= self._poller.next_poll:
                    return self._poller.poll
                for model in self._catalog.models.values():
                    if task := model.next_task(now):
                        if task.kind == "load":
                            work = partial(self._load_version, model, task.version)
                            return partial(self._loaders.run, work)
                        work = partial(self._unload_version, model, task.version)
                        return partial(self._unloaders.run, work)
                retries = (m.next_retry() for m in self._catalog.models.values())
                pause = min(self._poller.next_poll, *retries, math.inf) - now
                self._catalog.changed.wait(min(pause, threading.TIMEOUT_MAX))
            return None

    def _load_version(self, model: Model, version: Version) -> None:
        name = servable_name(model, version)
        logger.info("Loading servable: %s", name)
        try:
            servable = self._load(model.name, version.number, version.path)
        except StatusError as error:
            # A fresh one: the traceback would keep alive what has been half loaded.
            self._load_failed(model, version, StatusError(error.code, error.message))
        except Exception as error:
            logger.exception("Loading servable: %s failed", name)
            text = f"{type(error).__name__}: {error}"
            problem = StatusError(grpc.StatusCode.INTERNAL, text)
            self._load_failed(model, version, problem)
        else:
            with self._catalog.changed:
                model.has_loaded(version, servable)
                self._catalog.changed.notify_all()
            logger.info("Successfully loaded servable version %s", name)

    def _load_failed(self, model: Model, version: Version, error: StatusError) -> None:
        pace = self._pace
        with self._catalog.changed:
            retry_at = time.monotonic() + pace.retry_seconds
            model.has_failed(version, error, pace.retries, retry_at)
            self._catalog.changed.notify_all()
        again = f" (trying again in {pace.retry_seconds:g} s)"
        remark = "" if version.state == State.END else again
        name = servable_name(model, version)
        logger.error("Loading servable: %s failed: %s%s", name, error, remark)

    def _unload_version(self, model: Model, version: Version) -> None:
        name = servable_name(model, version)
        try:
            if version.servable is not None:
                version.servable.close()
        except Exception:
            logger.exception("Closing servable %s failed", name)
        with self._catalog.changed:
            model.has_unloaded(version)
            self._catalog.changed.notify_all()
        logger.info("Unloaded servable %s", name)


def servable_name(model: Model, version: Version) -> str:
    return f"{{name: {model.name} version: {version.number}}}"
