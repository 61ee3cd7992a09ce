"""A line on a terminal that says how far a stream is."""

import sys
import time
from typing import TextIO

_WIDTH = 30
_REDRAW = 0.1  # seconds


class Progress:
    """Counts what is done; silent where nobody looks.

    Args:
        total: How much there is to do, `None` if that is not known.
        shown: Whether to draw at all; even so only on a terminal.
        stream: Where to draw; standard error by default.
    """

    def __init__(self, total: int | None, shown: bool, stream: TextIO | None = None):
        self._stream = sys.stderr if stream is None else stream
        self._shown = shown and self._stream.isatty()
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._drawn = float("-inf")

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._drawn >= _REDRAW:
            self._drawn = now
            self._draw()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        if self._shown and self._done:
            self._draw()
            self._stream.write("\n")

    def _draw(self) -> None:
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        text = f"{self._done} answers, {rate:.0f}/s"
        if self._total:
            share = min(1.0, self._done / self._total)
            bar = "#" * int(share * _WIDTH)
            text = f"[{bar:<{_WIDTH}}] {self._done}/{self._total} answers, {rate:.0f}/s"
        self._stream.write(f"\r{text} ")
        self._stream.flush()
