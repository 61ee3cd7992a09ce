"""A TFLite model in place of a graph session.

It is found as `model.tflite` in the folder of a version. Its signatures are those of
its metadata, if it has the entry that TensorFlow Serving reads; else there is one,
`serving_default`, whose aliases are the names of the model's tensors.
"""

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from keras_attn.serving.server.status import StatusError, internal, invalid_argument
from keras_attn.serving.server.tflite_signatures import (
    Tensors,
    fit_to_tensors,
    read_signatures,
    signature_of_tensors,
)
from keras_attn.serving.wire.messages import DEFAULT_SIGNATURE

MODEL_FILE = "model.tflite"


class TFLiteModel:
    """A loaded model, for one request at a time.

    Args:
        file: The model.

    Raises:
        StatusError: It cannot be loaded.
    """

    def __init__(self, file: Path):
        content = file.read_bytes()
        self._interpreter = _interpreter(content)
        self._inputs = _by_name(self._interpreter.get_input_details())
        self._outputs = _by_name(self._interpreter.get_output_details())
        self.signatures: dict[str, SignatureDef] = read_signatures(content) or {
            DEFAULT_SIGNATURE: signature_of_tensors(self._inputs, self._outputs)
        }
        for signature in self.signatures.values():
            fit_to_tensors("input", signature.inputs, self._inputs)
            fit_to_tensors("output", signature.outputs, self._outputs)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def run(
        self,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """Computes `fetches` from the arrays fed to `feeds`.

        Args:
            feeds: Names of inputs.
            fetches: Names of outputs.
            arrays: One for each feed.
            timeout: Seconds. Work that has begun is not broken off.

        Raises:
            StatusError: The arrays do not fit the model, or the time is up.
        """
        if timeout is not None and timeout <= 0:
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        inputs = dict(zip(feeds, arrays, strict=True))
        with self._lock:
            self._resize(inputs)
            try:
                for name, array in inputs.items():
                    self._interpreter.set_tensor(self._inputs[name]["index"], array)
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise internal(
                    f"Failed to invoke TfLite interpreter: {error}"
                ) from error
            indices = [self._outputs[name]["index"] for name in fetches]
            return [self._interpreter.get_tensor(index) for index in indices]

    def close(self) -> None:
        """Nothing is held beyond the model itself."""

    def _resize(self, inputs: Mapping[str, np.ndarray]) -> None:
        shapes = {name: array.shape for name, array in inputs.items()}
        if shapes == self._shapes:
            return
        self._shapes = {}
        try:
            for name, shape in shapes.items():
                index = self._inputs[name]["index"]
                self._interpreter.resize_tensor_input(index, shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise internal(f"Failed to allocate tensors: {error}") from error
        self._shapes = shapes


def _interpreter(content: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            # TensorFlow would rather see it in a package of its own.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            return tf.lite.Interpreter(model_content=content)
    except (RuntimeError, ValueError) as error:
        raise invalid_argument(
            f"Cannot build FlatBufferModel from buffer. {error}"
        ) from error


def _by_name(details: list[dict]) -> Tensors:
    return {tensor["name"]: tensor for tensor in details}
