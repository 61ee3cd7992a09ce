from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One thing to time.

    Attributes:
        name: What the table calls it.
        framework: Which worker process it runs in: "tensorflow" and "jax" are Keras on
            that backend, "tf_keras" is Keras 2, "torch" is PyTorch itself, "python"
            needs nothing.
        factory: `"module:function"`. Called in the worker with the sizes of a case and
            with `options`, it returns `step()`, which does one step and waits for it.
        options: Further arguments of the factory.
        ours: Whether the others are compared with this one.
        per: How many of what is counted one step does.
    """

    name: str
    framework: str
    factory: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False
    per: int = 1


@dataclass(frozen=True)
class Page:
    """A list of entries, timed on each of several cases.

    Attributes:
        name: Name of the page's module and of its file of results.
        title: What is timed, in one sentence.
        entries: What is timed, in the order of the rounds.
        cases: Sizes by the name of the case.
        small: Sizes to wake the framework with before memory is measured.
        rate: What a step makes, such as "tokens", and how many of it by the sizes;
            the table then says how many a second.
    """

    name: str
    title: str
    entries: Sequence[Entry]
    cases: Mapping[str, Mapping[str, int]]
    small: Mapping[str, int]
    rate: tuple[str, Callable[[Mapping[str, int]], int]] | None = None
