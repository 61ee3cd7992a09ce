"""For what happens in other threads and processes."""

import time


def wait_for(condition, timeout=30):
    """Looks until the condition holds; it is an error if it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
