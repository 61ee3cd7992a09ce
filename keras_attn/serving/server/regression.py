"""Signatures that give one value for each example."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow_serving.apis.regression_pb2 import Regression, RegressionResult

from keras_attn.serving.server.head import Tensors, shape_text, type_name
from keras_attn.serving.server.status import invalid_argument

METHOD_NAME = "tensorflow/serving/regress"
API = "Regress"

_INPUT, _OUTPUT = "inputs", "outputs"


def find_tensors(signature: Any, check_method_name: bool) -> Tensors:
    """Reads a signature as that of a regressor.

    Raises:
        StatusError: It is none.
    """
    if check_method_name and signature.method_name != METHOD_NAME:
        raise invalid_argument(
            f"Expected regression signature method_name to be {METHOD_NAME}. "
            f"Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if _INPUT not in signature.inputs:
        raise invalid_argument(
            f"No regression inputs found in SignatureDef: {signature}"
        )
    if _OUTPUT not in signature.outputs:
        raise invalid_argument(
            f"No regression outputs found in SignatureDef: {signature}"
        )
    return Tensors(
        signature.inputs[_INPUT].name, {_OUTPUT: signature.outputs[_OUTPUT].name}
    )


def fill_result(
    result: RegressionResult, outputs: Mapping[str, np.ndarray], count: int
) -> None:
    """Writes the value of each example.

    Raises:
        StatusError: The output does not fit `count` examples.
    """
    output = outputs[_OUTPUT]
    if output.ndim != 1 and (output.ndim != 2 or output.shape[1] != 1):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or "
            f"[batch_size, 1] but got {shape_text(output)}"
        )
    if len(output) != count:
        raise invalid_argument(
            "Input batch size did not match output batch size: "
            f"{count} vs. {len(output)}"
        )
    if type_name(output) != "DT_FLOAT":
        raise invalid_argument(
            f"Expected output Tensor of DT_FLOAT.  Got: {type_name(output)}"
        )
    result.regressions.extend(Regression(value=value) for value in output.ravel())
