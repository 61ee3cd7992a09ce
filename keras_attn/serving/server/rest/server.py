"""The REST port of a server."""

import logging
import os
import threading

from keras_attn.serving.server.address import join_address
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.rest.api import RestApi
from keras_attn.serving.server.rest.listener import Listener

logger = logging.getLogger("keras_attn.serving")

_LOOK = 0.05  # seconds between looks whether to stop


class RestServer:
    """Answers for the models of a manager in JSON over HTTP, from threads.

    Args:
        manager: The models.
        metrics: Counts and times the requests.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        threads: How many requests are worked on at once; 0 means four for each CPU.
        timeout: Seconds that a request may run, 0 for as long as it takes.
        cors: Whether answers allow scripts of any origin.
        prometheus_path: Path of the page with the metrics; empty for none.

    Example:

    ```python
    rest = RestServer(manager, Metrics(), port=8501, timeout=30.0)
    rest.start()
    ...
    rest.stop(grace=30.0)
    ```
    """

    def __init__(
        self,
        manager: ModelManager,
        metrics: Metrics,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = 0,
        timeout: float = 0.0,
        cors: bool = False,
        prometheus_path: str = "",
    ):
        self._api = RestApi(
            manager, metrics, max(0, timeout) or None, cors, prometheus_path
        )
        self._address = (host, port)
        self._threads = threads or 4 * (os.cpu_count() or 1)
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        if self._listener is None:
            raise RuntimeError("The REST server is not running: it has no port yet.")
        return self._listener.server_address[1]

    def start(self) -> None:
        """Opens the port.

        Raises:
            OSError: The port is in use, or the address is not of this machine.
        """
        try:
            listener = Listener(self._address, self._api.answer, self._threads)
        except OSError as error:
            wanted = join_address(*self._address)
            raise OSError(
                error.errno, f"Could not bind {wanted}: {error.strerror}"
            ) from error
        self._listener = listener
        self._thread = threading.Thread(
            target=listener.serve_forever, args=[_LOOK], name="rest", daemon=True
        )
        self._thread.start()
        shown = join_address(self._address[0], self.port)
        logger.info("Exporting HTTP/REST API at:%s ...", shown)

    def stop(self, grace: float = 0.0) -> None:
        """Closes the port and lets requests in flight end.

        Args:
            grace: Seconds that they are given.
        """
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.drain(grace)
        self._listener = self._thread = None
