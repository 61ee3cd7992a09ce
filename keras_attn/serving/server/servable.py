"""One version of a model: signatures, names and types around a graph session."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.status import (
    failed_precondition,
    internal,
    invalid_argument,
)
from keras_attn.serving.wire.messages import (
    DEFAULT_SIGNATURE,
    ModelSpec,
    PredictRequest,
    PredictResponse,
)
from keras_attn.serving.wire.tensors import (
    BY_NUMBER,
    TensorError,
    data_type_of,
    decode_tensor,
)

Value = bytes | memoryview | np.ndarray

_METHOD_NAMES = [
    f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")
]


class Graph(Protocol):
    """What a servable stands on: a session, or a queue of batches before one."""

    signatures: dict

    def run(
        self,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]: ...

    def close(self) -> None: ...


@runtime_checkable
class QueuedGraph(Graph, Protocol):
    """A graph that can be asked without waiting for the answer."""

    def submit(
        self,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> Future[list[np.ndarray]]: ...


class Servable:
    """A version that can answer.

    Args:
        name: Name of the model.
        version: Number of the version.
        graph: Runs `(feeds, fetches, arrays, timeout)`. Requests meet only there, so
            that is where batching enters.
        check_method_names: Whether a signature answers only the method that it names.
        metrics: What is told of examples and of the time that the graph takes.
    """

    def __init__(
        self,
        name: str,
        version: int,
        graph: Graph,
        *,
        check_method_names: bool = False,
        metrics: Metrics | None = None,
    ):
        self.name = name
        self.version = version
        self.signature_defs = graph.signatures
        self.check_method_names = check_method_names
        self._graph = graph
        self._queue = graph if isinstance(graph, QueuedGraph) else None
        self._metrics = metrics
        self._plans = {key: Plan(value) for key, value in graph.signatures.items()}

    def predict(
        self, request: PredictRequest, timeout: float | None = None
    ) -> PredictResponse:
        """Answers a request; its inputs are encoded tensors, or arrays.

        The checks come in TF Serving's order: signature, number of inputs, names and
        values, outputs, types.

        Raises:
            StatusError: With TF Serving's code and text.
        """
        call = self._prepare(request)
        return call.answer(
            self.run("Predict", call.feeds, call.fetches, call.arrays, timeout)
        )

    async def predict_in_loop(
        self, request: PredictRequest, timeout: float | None = None
    ) -> PredictResponse:
        """`predict` for an event loop, which is not held up while the graph runs.

        Cancelled before its batch starts, the request is not computed.
        """
        call = self._prepare(request)
        arguments = (call.feeds, call.fetches, call.arrays, timeout)
        with self._timed("Predict"):
            if self._queue is not None:
                values = await asyncio.wrap_future(self._queue.submit(*arguments))
            else:
                values = await asyncio.to_thread(self._graph.run, *arguments)
        return call.answer(dict(zip(call.fetches, values, strict=True)))

    def run(
        self,
        api: str,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Computes `fetches`, by their names, for a request of the method `api`.

        Raises:
            StatusError: TensorFlow's code and text.
        """
        with self._timed(api):
            values = self._graph.run(feeds, fetches, arrays, timeout)
        return dict(zip(fetches, values, strict=True))

    @contextmanager
    def _timed(self, api: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self._metrics is not None:
            seconds = time.perf_counter() - start
            self._metrics.observe_runtime(self.name, api, seconds)

    def _prepare(self, request: PredictRequest) -> "Call":
        spec = request.model_spec or ModelSpec()
        key = spec.signature_name or DEFAULT_SIGNATURE
        plan = self._plans.get(key)
        if plan is None:
            raise failed_precondition(f'Serving signature key "{key}" not found.')
        if self.check_method_names:
            _check_method_name(plan.signature.method_name)
        arrays = plan.read_inputs(request.inputs)
        outputs = plan.choose_outputs(request.output_filter)
        plan.check_types(arrays)
        answering = ModelSpec(spec.name, self.version, signature_name=key)
        return Call(answering, plan.feeds, arrays, outputs)

    def count_examples(self, count: int) -> None:
        if self._metrics is not None:
            self._metrics.count_examples(self.name, count)

    def close(self) -> None:
        self._graph.close()


@dataclass(frozen=True)
class Call:
    """A request made ready: what the graph is fed, and what the answer is called."""

    spec: ModelSpec
    feeds: tuple[str, ...]
    arrays: list[np.ndarray]
    outputs: dict[str, str]

    @property
    def fetches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.outputs.values()))

    def answer(self, values: dict[str, np.ndarray]) -> PredictResponse:
        outputs = {alias: values[name] for alias, name in self.outputs.items()}
        return PredictResponse(self.spec, outputs)


@dataclass(frozen=True)
class Plan:
    """A signature made ready: aliases of a client to tensors of the graph."""

    signature: Any  # a SignatureDef

    @cached_property
    def _inputs(self) -> list[tuple[str, str, int]]:
        """`(tensor, alias, data type)`, in the order in which tensors are fed."""
        infos = self.signature.inputs.items()
        return sorted((info.name, alias, info.dtype) for alias, info in infos)

    @cached_property
    def feeds(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self._inputs)

    @cached_property
    def _outputs(self) -> dict[str, str]:
        return {a: info.name for a, info in sorted(self.signature.outputs.items())}

    @cached_property
    def _defaults(self) -> dict[str, bytes]:
        defaults = self.signature.defaults.items()
        return {alias: tensor.SerializeToString() for alias, tensor in defaults}

    def read_inputs(self, inputs: dict[str, Value]) -> list[np.ndarray]:
        self._check_count(inputs)
        tensors: dict[str, Value] = {**self._defaults, **inputs}
        for name, alias, _ in self._inputs:
            if alias not in tensors:
                raise invalid_argument(
                    f"Signature input alias: {alias}(feed name: {name}) not found in "
                    "request and no default value provided. Inputs expected to be in "
                    f"the request {{{_join(inputs)}}}, or default input alias set: "
                    f"{_join(self._defaults)}"
                )
        arrays = [_read_tensor(alias, tensors[alias]) for _, alias, _ in self._inputs]
        used = {alias for _, alias, _ in self._inputs if alias in inputs}
        if len(used) != len(inputs):
            raise invalid_argument(
                f"Inputs contains invalid name. Used request inputs: {_join(used)}, "
                f"request input: {_join(inputs)}"
            )
        return arrays

    def _check_count(self, inputs: dict[str, Value]) -> None:
        expected = {alias for _, alias, _ in self._inputs}
        missing = expected.difference(inputs)
        extra = set(inputs).difference(expected)
        too_few = len(inputs) < len(expected) and not self._defaults
        if len(inputs) > len(expected) or too_few:
            raise invalid_argument(
                f"input size does not match signature: {len(inputs)}!={len(expected)} "
                f"len({{{_join(inputs)}}}) != len({{{_join(expected)}}}). "
                f"Sent extra: {{{_join(extra)}}}. "
                f"Missing but required: {{{_join(missing)}}}."
            )

    def choose_outputs(self, wanted: list[str]) -> dict[str, str]:
        """Alias to tensor: those of the filter, or all."""
        chosen: dict[str, str] = {}
        for alias in wanted:
            if alias not in self._outputs:
                raise invalid_argument(
                    f"output tensor alias not found in signature: {alias} Outputs "
                    f"expected to be in the set {{{_join(self._outputs)}}}."
                )
            if alias in chosen:
                raise invalid_argument(f"duplicate output tensor alias: {alias}")
            chosen[alias] = self._outputs[alias]
        return chosen or self._outputs

    def check_types(self, arrays: list[np.ndarray]) -> None:
        for index, (array, (_, _, number)) in enumerate(
            zip(arrays, self._inputs, strict=True)
        ):
            given = data_type_of(array)
            if given.number != number:
                expected = BY_NUMBER[number].name if number in BY_NUMBER else number
                raise invalid_argument(
                    f"Expects arg[{index}] to be {expected} but {given.name} is "
                    "provided"
                )


def _check_method_name(name: str) -> None:
    if name not in _METHOD_NAMES:
        raise internal(
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(_METHOD_NAMES)}}}. Was: {name}"
        )


def _read_tensor(alias: str, tensor: Value) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    try:
        return decode_tensor(tensor)
    except TensorError:
        raise invalid_argument(f"tensor parsing error: {alias}") from None


def _join(names) -> str:
    return ",".join(sorted(names))
