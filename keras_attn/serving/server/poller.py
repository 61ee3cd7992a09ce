"""Looks for versions on disk."""

import logging
import math
import time
from pathlib import Path

from keras_attn.serving.server.catalog import Catalog
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.version_folders import find_versions

logger = logging.getLogger("keras_attn.serving")


class Poller:
    """Tells the models of a catalog which of their versions should serve.

    Args:
        catalog: The models.
        seconds: Between two looks; 0 looks once, negative never.
    """

    def __init__(self, catalog: Catalog, seconds: float):
        self.next_poll = math.inf
        self.remarks: list[str] = []  # of the last look
        self._catalog = catalog
        self._seconds = seconds

    def hurry(self) -> None:
        """Makes the next look due."""
        if self._seconds >= 0:
            self.next_poll = 0.0

    def poll(self) -> None:
        """Looks at every folder; a problem with one changes nothing for any."""
        seconds = self._seconds
        self.next_poll = time.monotonic() + seconds if seconds else math.inf
        configs = self._catalog.configs
        remarks: list[str] = []
        found: dict[str, dict[int, Path]] = {}
        try:
            for config in configs:
                found[config.name], more = find_versions(config)
                remarks += more
        except StatusError as error:
            self._report([error.message])
            return
        self._report(remarks)
        with self._catalog.changed:
            if self._catalog.configs is configs:  # else another look is due already
                for name, paths in found.items():
                    self._catalog.models[name].aspire(paths)
                self._catalog.changed.notify_all()

    def _report(self, remarks: list[str]) -> None:
        for remark in remarks:
            if remark not in self.remarks:
                logger.warning("%s", remark)
        self.remarks = remarks
