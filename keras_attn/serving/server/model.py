"""A model as the server keeps it: its versions, and which of them should serve."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.transitions import State, next_step


@dataclass
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

    def is_idle(self) -> bool:
        return self.state == State.UNLOADING and not self.in_flight

    def is_due(self, now: float) -> bool:
        """Whether it failed to load and is to be tried again."""
        return self.state == State.LOADING and now >= self.retry_at

    def has_loaded(self, servable: Servable) -> None:
        self.servable, self.error, self.state = servable, None, State.AVAILABLE

    def has_failed(self, error: StatusError, retries: int, pause: float) -> None:
        self.error = error
        self.failures += 1
        self.retry_at = time.monotonic() + pause
        self.given_up = self.failures > retries
        if self.given_up:
            self.state = State.END

    def take_servable(self) -> Servable | None:
        """Ends the version; the servable is the caller's to close."""
        servable, self.servable, self.state = self.servable, None, State.END
        return servable


@dataclass
class Model:
    """The versions of one model. Not safe for threads: its manager locks."""

    config: ModelConfig
    versions: dict[int, Version] = field(default_factory=dict)
    aspired: set[int] = field(default_factory=set)
    labels: Mapping[str, int] = field(default_factory=dict)

    def is_available(self, number: int) -> bool:
        version = self.versions.get(number)
        return version is not None and version.state == State.AVAILABLE

    def is_settled(self) -> bool:
        """Whether every version that should serve does, or never will."""
        done = {State.AVAILABLE, State.END}
        states = (self.versions[number].state for number in self.aspired)
        return bool(self.aspired) and done.issuperset(states)

    def find(self, number: int | None) -> tuple[Version, Servable] | None:
        """A version that serves: that of the number, or the highest."""
        found = {
            version.number: (version, version.servable)
            for version in self.versions.values()
            if version.state == State.AVAILABLE
            and version.servable is not None
            and number in (None, version.number)
        }
        return found[max(found)] if found else None

    def aspire(self, paths: Mapping[int, Path]) -> None:
        """Takes in what lies on disk."""
        self.aspired = self.config.policy.choose(paths)
        for number in self.aspired:
            known = self.versions.get(number)
            if known is None or (known.state == State.END and not known.given_up):
                self.versions[number] = Version(number, paths[number])
        for number in self.versions.keys() - self.aspired:
            version = self.versions[number]
            if version.state in (State.START, State.LOADING):
                version.state = State.END
            version.given_up = False  # if it returns, it is a fresh start

    def next_step(self) -> tuple[str, Version] | None:
        """What to do now, `"close"` or `"load"` a version; marks it as being done."""
        now = time.monotonic()
        for version in self.versions.values():
            if version.is_idle():
                return "close", version
            if version.is_due(now):
                return "load", version
        states = {number: version.state for number, version in self.versions.items()}
        step = next_step(states, self.aspired)
        if step is None:
            return None
        version = self.versions[step[1]]
        if step[0] == "load":
            version.state = State.LOADING
            return "load", version
        version.state = State.UNLOADING  # closed once its last request has ended
        return self.next_step()
