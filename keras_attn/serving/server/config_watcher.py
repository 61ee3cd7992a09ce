"""A configuration file that may change while the server runs."""

import logging
import threading

import grpc

from keras_attn.serving.server.config import read_configs
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.status import StatusError

logger = logging.getLogger("keras_attn.serving")


class ConfigWatcher:
    """Gives a manager the models of a file, again and again.

    Each look counts, also at a file that has not changed: a label is refused until its
    version serves. A file that cannot be used changes nothing.

    Args:
        manager: Whose models they are.
        path: The file.
        seconds: Between two looks.
    """

    def __init__(self, manager: ModelManager, path: str, seconds: float):
        self._manager = manager
        self._path = path
        self._seconds = seconds
        self._problem = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_going, name="config-watcher", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the manager must have finished: it may wait for a model."""
        self._stopping.set()
        self._thread.join()

    def _keep_going(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._manager.reload(read_configs(self._path))
            except StatusError as error:
                if error.code == grpc.StatusCode.CANCELLED:  # the server is stopping
                    return
                self._report(f"{error} {error.__cause__ or ''}".strip())
            else:
                self._report("")

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            logger.error("Failed to reload the models of %s: %s", self._path, problem)
        self._problem = problem
