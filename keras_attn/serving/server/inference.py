"""Classify, Regress and MultiInference: examples in, answers of one version out.

The functions take and give TensorFlow Serving's messages. Those that end in `_with`
run on a servable at hand; the others find the one that the request names.
"""

from typing import Any

from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.inference_pb2 import (
    MultiInferenceRequest,
    MultiInferenceResponse,
)
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from keras_attn.serving.server import classification, regression
from keras_attn.serving.server.examples_input import run_examples
from keras_attn.serving.server.head import Head
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.model_spec import (
    fill_answering_model,
    requested_model,
    signature_key,
)
from keras_attn.serving.server.multi_inference import multi_inference_with
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.wire.messages import ModelSpec


def classify(
    manager: ModelManager, request: ClassificationRequest, timeout: float | None = None
) -> ClassificationResponse:
    """Names labels and scores for each example.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    with manager.servable(requested_model(request)) as servable:
        return classify_with(servable, request, timeout)


def regress(
    manager: ModelManager, request: RegressionRequest, timeout: float | None = None
) -> RegressionResponse:
    """Gives one value for each example.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    with manager.servable(requested_model(request)) as servable:
        return regress_with(servable, request, timeout)


def multi_inference(
    manager: ModelManager, request: MultiInferenceRequest, timeout: float | None = None
) -> MultiInferenceResponse:
    """Classifies and regresses the same examples in one run.

    The first task says which version answers all of them.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    spec = requested_model(request.tasks[0]) if request.tasks else None
    with manager.servable(spec or ModelSpec()) as servable:
        return multi_inference_with(servable, request, timeout)


def classify_with(
    servable: Servable, request: ClassificationRequest, timeout: float | None = None
) -> ClassificationResponse:
    response = ClassificationResponse()
    _answer(classification, servable, request, response, timeout)
    return response


def regress_with(
    servable: Servable, request: RegressionRequest, timeout: float | None = None
) -> RegressionResponse:
    response = RegressionResponse()
    _answer(regression, servable, request, response, timeout)
    return response


def _answer(
    head: Head, servable: Servable, request: Any, response: Any, timeout: float | None
) -> None:
    key = signature_key(request.model_spec)
    signature = servable.signature_defs.get(key)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {key}")
    feed, answers = head.find_tensors(signature, servable.check_method_names)
    values, count = run_examples(
        servable, head.API, request.input, feed, answers.values(), timeout
    )
    outputs = {alias: values[name] for alias, name in answers.items()}
    head.fill_result(response.result, outputs, count)
    fill_answering_model(response.model_spec, request.model_spec, servable.version)
