"""The end of a server: requests first, then models, and no waiting without end."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from keras_attn.serving.server.config_watcher import ConfigWatcher
from keras_attn.serving.server.loader import Loader
from keras_attn.serving.server.manager import ModelManager

logger = logging.getLogger("keras_attn.serving")

_FAREWELL = 1.0  # seconds for the answers to requests that are broken off


class Port(Protocol):
    def stop(self, grace: float) -> None: ...


@dataclass(frozen=True)
class Parts:
    """What there is of a server, started or not."""

    ports: Sequence[Port] = ()
    watcher: ConfigWatcher | None = None
    manager: ModelManager | None = None
    loader: Loader | None = None


def shut_down(parts: Parts, grace: float, patience: float) -> bool:
    """Ends the parts of a server.

    Args:
        parts: They are not to be used any more.
        grace: Seconds that requests in flight are given before they are broken off.
        patience: Seconds that what cannot be interrupted is given after that.

    Returns:
        Whether all has ended. If not, threads still work on what is left.
    """
    requests_are_over = threading.Event()
    thread = threading.Thread(
        target=_end,
        args=[parts, grace, requests_are_over],
        name="shutdown",
        daemon=True,
    )
    thread.start()
    requests_are_over.wait(grace + _FAREWELL)
    thread.join(patience)
    if thread.is_alive():
        logger.error("What cannot be interrupted takes too long, and is left behind.")
    return not thread.is_alive()


def _end(parts: Parts, grace: float, requests_are_over: threading.Event) -> None:
    if parts.manager is not None:
        parts.manager.finish()  # else a request to reload might never end
    _end_requests(parts, grace)
    requests_are_over.set()
    if parts.watcher is not None:
        parts.watcher.stop()
    if parts.manager is not None:
        parts.manager.stop()
    if parts.loader is not None:
        parts.loader.close()


def _end_requests(parts: Parts, grace: float) -> None:
    end = time.monotonic() + grace
    threads = [
        threading.Thread(target=port.stop, args=[grace + _FAREWELL], daemon=True)
        for port in parts.ports
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if parts.manager is not None:
        parts.manager.break_off()
    for thread in threads:
        thread.join()
