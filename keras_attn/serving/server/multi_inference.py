"""Several signatures on the same examples, in one run of the graph."""

from collections.abc import Iterable
from typing import NamedTuple

from tensorflow_serving.apis.inference_pb2 import (
    InferenceTask,
    MultiInferenceRequest,
    MultiInferenceResponse,
)

from keras_attn.serving.server import classification, regression
from keras_attn.serving.server.examples_input import run_examples
from keras_attn.serving.server.head import Head, Tensors
from keras_attn.serving.server.model_spec import fill_answering_model, signature_key
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import invalid_argument, unimplemented

_HEADS: dict[str, tuple[Head, str]] = {
    classification.METHOD_NAME: (classification, "classification_result"),
    regression.METHOD_NAME: (regression, "regression_result"),
}


class _Part(NamedTuple):
    """One task: how to read its answer, and from which tensors."""

    task: InferenceTask
    head: Head
    field: str
    tensors: Tensors


def multi_inference_with(
    servable: Servable, request: MultiInferenceRequest, timeout: float | None = None
) -> MultiInferenceResponse:
    """Classifies and regresses with one version.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    parts = _plan(servable, request.tasks)
    fetches = sorted({name for part in parts for name in part.tensors.answers.values()})
    values, count = run_examples(
        servable,
        "MultiInference",
        request.input,
        parts[0].tensors.examples,
        fetches,
        timeout,
    )
    response = MultiInferenceResponse()
    for part in parts:
        result = response.results.add()
        outputs = {alias: values[name] for alias, name in part.tensors.answers.items()}
        part.head.fill_result(getattr(result, part.field), outputs, count)
        fill_answering_model(result.model_spec, part.task.model_spec, servable.version)
    return response


def _plan(servable: Servable, tasks: Iterable[InferenceTask]) -> list[_Part]:
    parts: list[_Part] = []
    keys: set[str] = set()
    for task in tasks:
        _check_model(task, parts)
        key = signature_key(task.model_spec)
        if key in keys:
            raise invalid_argument(f"Duplicate evaluation of signature: {key}")
        keys.add(key)
        parts.append(_part(servable, task, key))
        if parts[-1].tensors.examples != parts[0].tensors.examples:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
    return parts


def _check_model(task: InferenceTask, earlier: list[_Part]) -> None:
    name = task.model_spec.name
    if not name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if earlier and name != earlier[0].task.model_spec.name:
        raise invalid_argument(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        )


def _part(servable: Servable, task: InferenceTask, key: str) -> _Part:
    signature = servable.signature_defs.get(key)
    if signature is None:
        raise invalid_argument(f"Requested signature not found in model graph: {key}")
    if task.method_name not in _HEADS:
        raise unimplemented(f"Unsupported signature method_name: {task.method_name}")
    head, field = _HEADS[task.method_name]
    tensors = head.find_tensors(signature, servable.check_method_names)
    return _Part(task, head, field, tensors)
