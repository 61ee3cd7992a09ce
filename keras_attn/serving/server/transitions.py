"""From the versions that serve to those that should: one step at a time."""

from collections.abc import Collection, Mapping
from enum import IntEnum


class State(IntEnum):
    """The life of a version, numbered as `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


def next_step(
    states: Mapping[int, State], aspired: Collection[int]
) -> tuple[str, int] | None:
    """The next step that keeps the model available.

    A version that is no longer wanted goes once a wanted one serves, so that some
    version always answers; else the highest wanted one that has not begun is loaded.

    Args:
        states: The state of each known version.
        aspired: The versions that should serve.

    Returns:
        `("unload", version)`, `("load", version)` or `None`.
    """
    ready = {version for version, state in states.items() if state == State.AVAILABLE}
    unwanted = sorted(ready.difference(aspired))
    if unwanted and (not aspired or ready.intersection(aspired) or len(unwanted) > 1):
        return "unload", unwanted[0]
    new = [version for version in aspired if states.get(version) == State.START]
    return ("load", max(new)) if new else None
