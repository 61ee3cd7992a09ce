"""A signature made ready for requests, and a request made ready for the graph."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from keras_attn.serving.server.status import internal, invalid_argument
from keras_attn.serving.wire.messages import ModelSpec, PredictResponse
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

    def check_method_name(self) -> None:
        name = self.signature.method_name
        if name not in _METHOD_NAMES:
            raise internal(
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(_METHOD_NAMES)}}}. Was: {name}"
            )

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


def _read_tensor(alias: str, tensor: Value) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    try:
        return decode_tensor(tensor)
    except TensorError:
        raise invalid_argument(f"tensor parsing error: {alias}") from None


def _join(names) -> str:
    return ",".join(sorted(names))
