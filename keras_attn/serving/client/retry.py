"""How long a call may take, and how long it pauses before it is tried again."""

import random
import time

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds


class Deadline:
    """A moment on the clock; without one, there is always time left."""

    def __init__(self, timeout: float | None):
        self._end = float("inf") if timeout is None else time.monotonic() + timeout

    def left(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self._end - time.monotonic())

    def timeout(self) -> float | None:
        """Seconds as gRPC and sockets take them: `None` for as long as it takes."""
        return None if self._end == float("inf") else self.left()


def pause(attempt: int) -> float:
    """Grows twofold from try to try, with jitter so that clients spread out."""
    longest = min(_FIRST_PAUSE * 2.0 ** min(attempt, 10), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)
