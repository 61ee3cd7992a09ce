"""What a classifier and a regressor have in common: examples in, an answer for each."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from tensorflow.core.framework import types_pb2

from keras_attn.serving.wire.tensors import data_type_of


class Tensors(NamedTuple):
    """The tensor of the graph that takes the examples, and those that answer."""

    examples: str
    answers: dict[str, str]


class Head(Protocol):
    """A way to read a signature and its outputs; `classification`, `regression`."""

    METHOD_NAME: str
    API: str

    def find_tensors(self, signature: Any, check_method_name: bool) -> Tensors:
        """Raises `StatusError` where the signature is of another kind."""

    def fill_result(
        self, result: Any, outputs: Mapping[str, np.ndarray], count: int
    ) -> None:
        """Raises `StatusError` where the outputs do not fit `count` examples."""


def shape_text(array: np.ndarray) -> str:
    """A shape as TensorFlow writes it."""
    return f"[{','.join(map(str, array.shape))}]"


def type_name(array: np.ndarray) -> str:
    """A data type as TensorFlow's enumeration calls it."""
    return types_pb2.DataType.Name(data_type_of(array).number)
