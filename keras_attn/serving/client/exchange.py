"""What passes between the client's logic and the ways it reaches a server.

The logic sends nothing and waits for nothing. It is written as flows: generators that
yield a step (`Send`, `Pause`) and are handed its outcome. A blocking client carries the
steps out one way, an awaiting one another, over gRPC or HTTP.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from keras_attn.serving.wire.examples import Classes, Example
from keras_attn.serving.wire.management import ModelConfig, VersionStatus
from keras_attn.serving.wire.messages import ModelSpec
from keras_attn.serving.wire.metadata import ModelMetadata, Signature

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Exchange(Generic[Answer]):
    """A request, and how its answer is read.

    Args:
        target: The gRPC method, or the path of a URL.
        body: What is sent; `None` asks a URL with GET.
        read: Makes sense of the answer, or raises `WireError`.
    """

    target: str
    body: bytes | None
    read: Callable[[bytes], Answer]


class Failure(NamedTuple):
    """An answer that is none: the name of a gRPC status code, and what was said."""

    code: str
    details: str


class Send(NamedTuple):
    """A step: hand over a request and wait, for `bytes` or a `Failure`."""

    target: str
    body: bytes | None
    timeout: float | None


class Pause(NamedTuple):
    """A step: let time pass."""

    seconds: float


Step = Send | Pause
Flow = Generator[Step, Any, Answer]


class Calls(Protocol):
    """The calls of one of the two APIs, as exchanges."""

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        signature: Signature,
    ) -> Exchange[dict[str, np.ndarray]]: ...

    def classify(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[list[Classes]]: ...

    def regress(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[np.ndarray]: ...

    def metadata(self, spec: ModelSpec) -> Exchange[ModelMetadata]: ...

    def status(self, spec: ModelSpec) -> Exchange[list[VersionStatus]]: ...

    def reload(self, configs: Sequence[ModelConfig]) -> Exchange[None]: ...
