"""One version of a model: signatures, names and types around a graph session."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from keras_attn.serving.server.status import (
    failed_precondition,
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


class Servable:
    """A version that can answer.

    Args:
        name: Name of the model.
        version: Number of the version.
        graph: Runs `(feeds, fetches, arrays, timeout)`. Requests meet only there, so
            that is where batching enters.
    """

    def __init__(self, name: str, version: int, graph: Graph):
        self.name = name
        self.version = version
        self.signature_defs = graph.signatures
        self._graph = graph
        self._plans = {key: Plan(value) for key, value in graph.signatures.items()}

    def predict(
        self, request: PredictRequest, timeout: float | None = None
    ) -> PredictResponse:
        """Answers a request whose inputs are still encoded.

        The checks come in TF Serving's order: signature, number of inputs, names and
        values, outputs, types.

        Raises:
            StatusError: With TF Serving's code and text.
        """
        spec = request.model_spec or ModelSpec()
        key = spec.signature_name or DEFAULT_SIGNATURE
        plan = self._plans.get(key)
        if plan is None:
            raise failed_precondition(f'Serving signature key "{key}" not found.')
        arrays = plan.read_inputs(request.inputs)
        outputs = plan.choose_outputs(request.output_filter)
        plan.check_types(arrays)
        fetches = tuple(dict.fromkeys(outputs.values()))
        values = self._graph.run(plan.feeds, fetches, arrays, timeout)
        by_name = dict(zip(fetches, values, strict=True))
        return PredictResponse(
            ModelSpec(spec.name, self.version, signature_name=key),
            {alias: by_name[name] for alias, name in outputs.items()},
        )

    def close(self) -> None:
        self._graph.close()


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

    def read_inputs(self, inputs: dict[str, memoryview]) -> list[np.ndarray]:
        self._check_count(inputs)
        tensors = self._defaults | inputs
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

    def _check_count(self, inputs: dict[str, memoryview]) -> None:
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


def _read_tensor(alias: str, tensor: bytes | memoryview) -> np.ndarray:
    try:
        return decode_tensor(tensor)
    except TensorError:
        raise invalid_argument(f"tensor parsing error: {alias}") from None


def _join(names) -> str:
    return ",".join(sorted(names))
