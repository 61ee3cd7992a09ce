"""One version of a model: signatures, names and types around a graph session."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np

from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.plan import Call, Plan
from keras_attn.serving.server.status import failed_precondition
from keras_attn.serving.wire.messages import (
    DEFAULT_SIGNATURE,
    ModelSpec,
    PredictRequest,
    PredictResponse,
)


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
    """A graph whose answers an event loop can wait for."""

    async def run_in_loop(
        self,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]: ...


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
                values = await self._queue.run_in_loop(*arguments)
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

    def _prepare(self, request: PredictRequest) -> Call:
        spec = request.model_spec or ModelSpec()
        key = spec.signature_name or DEFAULT_SIGNATURE
        plan = self._plans.get(key)
        if plan is None:
            raise failed_precondition(f'Serving signature key "{key}" not found.')
        if self.check_method_names:
            plan.check_method_name()
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
