"""Signatures that name a label and a score for each class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow_serving.apis.classification_pb2 import Class, ClassificationResult

from keras_attn.serving.server.head import Tensors, shape_text, type_name
from keras_attn.serving.server.status import invalid_argument

METHOD_NAME = "tensorflow/serving/classify"
API = "Classify"

_INPUT, _CLASSES, _SCORES = "inputs", "classes", "scores"
_FIELDS = {_CLASSES: "label", _SCORES: "score"}


def find_tensors(signature: Any, check_method_name: bool) -> Tensors:
    """Reads a signature as that of a classifier.

    Raises:
        StatusError: It is none.
    """
    if check_method_name and signature.method_name != METHOD_NAME:
        raise invalid_argument(
            f"Expected classification signature method_name to be {METHOD_NAME}. "
            f"Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(
            f"Expected one or two output Tensors, found {len(signature.outputs)}"
        )
    if _INPUT not in signature.inputs:
        raise invalid_argument(
            f"No classification inputs found in SignatureDef: {signature}"
        )
    answers = {
        alias: signature.outputs[alias].name
        for alias in (_CLASSES, _SCORES)
        if alias in signature.outputs
    }
    if not answers:
        raise invalid_argument(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {signature}'
        )
    return Tensors(signature.inputs[_INPUT].name, answers)


def fill_result(
    result: ClassificationResult, outputs: Mapping[str, np.ndarray], count: int
) -> None:
    """Writes the classes of each example.

    Raises:
        StatusError: The outputs do not fit `count` examples.
    """
    for alias, type_ in ((_CLASSES, "DT_STRING"), (_SCORES, "DT_FLOAT")):
        if alias in outputs:
            _check(alias, outputs[alias], type_, count)
    if len({output.shape[1] for output in outputs.values()}) > 1:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{outputs[_CLASSES].shape[1]} vs. {outputs[_SCORES].shape[1]}"
        )
    fields = [_FIELDS[alias] for alias in outputs]
    for rows in zip(*(output.tolist() for output in outputs.values()), strict=True):
        result.classifications.add().classes.extend(
            Class(**dict(zip(fields, values, strict=True)))
            for values in zip(*rows, strict=True)
        )


def _check(alias: str, output: np.ndarray, type_: str, count: int) -> None:
    if output.ndim != 2:
        raise invalid_argument(
            "Expected Tensor shape: [batch_size num_classes] but got "
            + shape_text(output)
        )
    if type_name(output) != type_:
        raise invalid_argument(
            f"Expected {alias} Tensor of {type_}. Got: {type_name(output)}"
        )
    if len(output) != count:
        raise invalid_argument(
            f"Expected {alias} output batch size of {count}. Got: {len(output)}"
        )
