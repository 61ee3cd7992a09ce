"""`tensorflow.serving.PredictionService`: what models answer."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from keras_attn.serving.server.grpc_method import Method, message_method, time_left
from keras_attn.serving.server.inference import classify, multi_inference, regress
from keras_attn.serving.server.loop_handlers import LoopMethod
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.model_metadata import get_model_metadata
from keras_attn.serving.server.request_metrics import measured
from keras_attn.serving.wire.messages import PredictRequest, PredictResponse

_LARGE = 1 << 20  # bytes that would hold up an event loop that reads or writes them


def prediction_service(
    manager: ModelManager, as_content: bool = False, metrics: Metrics | None = None
) -> dict[str, Method]:
    """The methods by name.

    Args:
        manager: The models.
        as_content: Whether tensors are answered as `tensor_content`.
        metrics: What counts the requests, if any. Like TF Serving it hears nothing of
            MultiInference and GetModelMetadata.
    """

    def counted(
        api: str, function: Callable[[ModelManager, Any, float | None], Any]
    ) -> Callable[[Any, float | None], Any]:
        def answer(request: Any, timeout: float | None) -> Any:
            with measured(metrics, request.model_spec.name, api):
                return function(manager, request, timeout)

        return answer

    return {
        "Predict": _predict(manager, as_content, metrics),
        "Classify": message_method(
            ClassificationRequest, counted("Classify", classify)
        ),
        "Regress": message_method(RegressionRequest, counted("Regress", regress)),
        "MultiInference": message_method(
            MultiInferenceRequest, partial(multi_inference, manager)
        ),
        "GetModelMetadata": message_method(
            GetModelMetadataRequest,
            lambda request, timeout: get_model_metadata(manager, request),
        ),
    }


def predict_in_loop(
    manager: ModelManager, as_content: bool = False, metrics: Metrics | None = None
) -> LoopMethod:
    """Predict for an event loop, which goes on while a request waits for its batch.

    Args:
        manager: The models.
        as_content: Whether tensors are answered as `tensor_content`.
        metrics: What counts the requests, if any.
    """
    in_thread = _predict(manager, as_content, metrics)

    async def predict(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if len(message) > _LARGE:
            return await asyncio.to_thread(in_thread, message, context)
        request = PredictRequest.decode(message)
        timeout = time_left(context)
        with _measured(metrics, request), manager.servable(request.model_spec) as found:
            response = await found.predict_in_loop(request, timeout)
            if _is_large(response):
                return await asyncio.to_thread(response.encode, as_content)
            return response.encode(as_content)

    return predict


def _is_large(response: PredictResponse) -> bool:
    arrays = response.outputs.values()
    if sum(array.nbytes for array in arrays) > _LARGE:
        return True
    texts = (text for array in arrays if array.dtype == object for text in array.flat)
    return sum(map(len, texts)) > _LARGE


def _predict(
    manager: ModelManager, as_content: bool, metrics: Metrics | None
) -> Method:
    """Reads and writes its messages itself, since its tensors can be large."""

    def predict(message: bytes, context: grpc.ServicerContext) -> bytes:
        request = PredictRequest.decode(message)
        timeout = time_left(context)
        with _measured(metrics, request), manager.servable(request.model_spec) as found:
            return found.predict(request, timeout).encode(as_content)

    return predict


def _measured(
    metrics: Metrics | None, request: PredictRequest
) -> AbstractContextManager[None]:
    name = request.model_spec.name if request.model_spec else ""
    return measured(metrics, name, "Predict")
