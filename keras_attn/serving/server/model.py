"""A model as the server keeps it: its versions, and which of them should serve."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.transitions import State, next_step


@dataclass(eq=False)
class Version:
    """A version and where it stands; it stays listed after its end."""

    number: int
    path: Path
    state: State = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    in_flight: int = 0
    failures: int = 0
    retry_at: float = 0.0
    given_up: bool = False
    is_at_work: bool = False  # a thread loads or closes it right now


class Task(NamedTuple):
    """`"load"` or `"unload"` a version."""

    kind: str
    version: Version


@dataclass(eq=False)
class Model:
    """The versions of one model. Not safe for threads: whoever holds it locks."""

    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    aspired: Mapping[int, Path] = field(default_factory=dict)
    newest: Version | None = None  # the highest that serves
    _alive: dict[int, Version] = field(default_factory=dict)  # not ended

    def is_available(self, number: int) -> bool:
        version = self._alive.get(number)
        return version is not None and version.state == State.AVAILABLE

    def is_settled(self) -> bool:
        """Whether it can answer, or never will.

        Each version gets one chance to load before a server counts as started, so
        that what follows does not depend on which of them was the fastest.
        """
        versions = [self.versions[number] for number in self.aspired]
        if not any(map(self.is_available, self.aspired)):
            return bool(versions) and all(v.state == State.END for v in versions)
        done = State.AVAILABLE, State.END
        return all(v.state in done or v.failures for v in versions)

    def find(self, number: int | None) -> Version | None:
        """A version that serves: that of the number, or the highest."""
        if number is None:
            return self.newest
        return self._alive[number] if self.is_available(number) else None

    def aspire(self, paths: Mapping[int, Path]) -> None:
        """Takes in which versions should serve, and where they are."""
        self.aspired = paths
        self._take_in_new()
        for number in self.versions.keys() - paths.keys():
            self.versions[number].given_up = False  # if it returns, it is a fresh start
        for number in self._alive.keys() - paths.keys():
            version = self._alive[number]
            waits_to_load = version.state in (State.START, State.LOADING)
            if waits_to_load and not version.is_at_work:
                self._end(version)

    def next_task(self, now: float) -> Task | None:
        """What to do now, marked as begun; to be followed by what came of it."""
        for version in self._alive.values():
            if version.is_at_work:
                continue
            if version.state == State.UNLOADING and not version.in_flight:
                return self._begin("unload", version)
            if version.state == State.LOADING and now >= version.retry_at:
                return self._begin("load", version)
        states = {number: version.state for number, version in self._alive.items()}
        step = next_step(states, self.aspired)
        if step is None:
            return None
        version = self._alive[step[1]]
        if step[0] == "load":
            version.state = State.LOADING
            return self._begin("load", version)
        version.state = State.UNLOADING  # closed once its last request has ended
        self._find_newest()
        return self.next_task(now)

    def next_retry(self) -> float:
        """When a failed version is to be tried again."""
        waiting = (
            version.retry_at
            for version in self._alive.values()
            if version.state == State.LOADING and not version.is_at_work
        )
        return min(waiting, default=math.inf)

    def has_loaded(self, version: Version, servable: Servable) -> None:
        version.is_at_work = False
        version.servable, version.error = servable, None
        version.state = State.AVAILABLE
        self._find_newest()

    def has_failed(
        self, version: Version, error: StatusError, retries: int, retry_at: float
    ) -> None:
        version.is_at_work = False
        version.error = error
        version.failures += 1
        version.retry_at = retry_at
        is_aspired = version.number in self.aspired
        version.given_up = is_aspired and version.failures > retries
        if version.given_up or not is_aspired:
            self._end(version)

    def has_unloaded(self, version: Version) -> None:
        version.is_at_work = False
        version.servable = None
        self._end(version)
        self._take_in_new()  # it may have returned meanwhile

    def _take_in_new(self) -> None:
        for number in self.aspired.keys() - self._alive.keys():
            known = self.versions.get(number)
            if known is None or not known.given_up:
                self._alive[number] = Version(number, self.aspired[number])
                self.versions[number] = self._alive[number]

    def _begin(self, kind: str, version: Version) -> Task:
        version.is_at_work = True
        return Task(kind, version)

    def _end(self, version: Version) -> None:
        version.state = State.END
        del self._alive[version.number]

    def _find_newest(self) -> None:
        available = filter(self.is_available, self._alive)
        number = max(available, default=None)
        self.newest = None if number is None else self._alive[number]
