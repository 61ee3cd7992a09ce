"""Classify and Regress in JSON: examples in, results out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.example.feature_pb2 import Feature
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResult,
)
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResult

from keras_attn.serving.server.rest.decimals import spell
from keras_attn.serving.server.rest.json_tensors import is_base64, to_bytes
from keras_attn.serving.server.rest.json_text import quote, type_name
from keras_attn.serving.server.rest.json_writer import one_line_rows, write_document
from keras_attn.serving.server.rest.predict_request import (
    format_error,
    read_document,
    read_signature_name,
)
from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.wire.messages import ModelSpec

_KINDS = {bool: "int64_list", int: "int64_list", float: "float_list"}
_KINDS |= {str: "bytes_list", dict: "bytes_list"}
_LARGEST_INTEGER = (1 << 63) - 1


def fill_request(
    request: ClassificationRequest | RegressionRequest, spec: ModelSpec, body: bytes
) -> None:
    """Reads `{"examples": [...]}`, with a `signature_name` and a `context` if wanted.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    document = read_document(body)
    request.model_spec.MergeFromString(spec.encode())
    request.model_spec.signature_name = _valid(read_signature_name(document))
    target: Any = request.input.example_list
    if "context" in document:
        target = request.input.example_list_with_context
        _fill_example(target.context, document["context"])
    if "examples" not in document:
        problem = (
            "When method is classify, key 'examples' is expected and was not found"
        )
        raise format_error(document, problem)
    examples = document["examples"]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    for example in examples:
        _fill_example(target.examples.add(), example)


def write_classifications(result: ClassificationResult) -> bytes:
    """`{"results": [...]}`: pairs of label and score for each example.

    Raises:
        StatusError: There are none.
    """
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for classifications in result.classifications:
        scores = _spell([one.score for one in classifications.classes])
        labels = [quote(one.label) for one in classifications.classes]
        pairs = [f"[{pair[0]}, {pair[1]}]" for pair in zip(labels, scores, strict=True)]
        rows.append(f"[{', '.join(pairs)}]")
    return write_document("results", one_line_rows(rows))


def write_regressions(result: RegressionResult) -> bytes:
    """`{"results": [...]}`: a value for each example.

    Raises:
        StatusError: There are none.
    """
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    values = _spell([one.value for one in result.regressions])
    return write_document("results", f"[{', '.join(values)}]")


def _spell(values: list[float]) -> list[str]:
    return spell(np.array(values, np.float32))


def _fill_example(example: Example, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(
            f"Example must be JSON object but got JSON {type_name(value)}"
        )
    for name, content in value.items():
        items = content if isinstance(content, list) else [content]
        _fill_feature(example.features.feature[_valid(name)], name, items)


def _fill_feature(feature: Feature, name: str, items: list) -> None:
    values: list[Any] = []
    chosen = ""
    for item in items:
        kind = _KINDS.get(type(item))
        if kind is None or (isinstance(item, dict) and not is_base64(item)):
            raise invalid_argument(
                f"Feature: {name} has element with unexpected JSON type: "
                f"{type_name(item)}"
            )
        if (chosen or kind) != kind:
            raise invalid_argument(
                f"Unexpected element type in feature: {name} expecting type: "
                f"{chosen.removesuffix('_list')}"
            )
        chosen = kind
        values.append(_CONVERSIONS[kind](item))
        if kind == "int64_list" and item > _LARGEST_INTEGER:
            raise invalid_argument(
                f"Feature: {name} has uint64 element. Only int64 is supported."
            )
    if chosen:
        getattr(feature, chosen).value.extend(values)


def _valid(name: str) -> str:
    """Bytes that are not UTF-8 may stand in a value, but not in a name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _to_bytes(item: Any) -> bytes:
    try:
        return to_bytes(item)
    except ValueError as error:
        raise invalid_argument(str(error)) from None


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "bytes_list": _to_bytes,
    "int64_list": int,
    "float_list": float,
}
