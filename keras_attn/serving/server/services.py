"""Every gRPC service of the server; a method that is not there is UNIMPLEMENTED."""

from collections.abc import Mapping
from functools import partial

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest

from keras_attn.serving.server import profiler
from keras_attn.serving.server.grpc_method import (
    Method,
    message_method,
    with_errors_as_status,
)
from keras_attn.serving.server.health import Health
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.model_service import get_model_status, reload_config
from keras_attn.serving.server.prediction_service import prediction_service


def handlers(
    manager: ModelManager,
    *,
    as_content: bool = False,
    metrics: Metrics | None = None,
    health: Health | None = None,
    profile: bool = False,
) -> list[grpc.GenericRpcHandler]:
    """What a `grpc.Server` needs to answer.

    Args:
        manager: The models.
        as_content: Whether tensors are answered as `tensor_content`.
        metrics: What counts the requests, if any.
        health: The health service, if there is one.
        profile: Whether requests for profiles are handed to TensorFlow.
    """
    services = {
        "tensorflow.serving.PredictionService": _unary(
            prediction_service(manager, as_content, metrics)
        ),
        "tensorflow.serving.ModelService": _unary(_model_service(manager, metrics)),
    }
    if profile:
        services[profiler.SERVICE] = _unary(
            {name: partial(profiler.profile, name) for name in profiler.METHODS}
        )
    if health is not None:
        services["grpc.health.v1.Health"] = {
            **_unary({"Check": health.check}),
            "Watch": _streamed("Watch", health.watch),
        }
    return [
        grpc.method_handlers_generic_handler(name, methods)
        for name, methods in services.items()
    ]


def _model_service(manager: ModelManager, metrics: Metrics | None) -> dict[str, Method]:
    return {
        "GetModelStatus": message_method(
            GetModelStatusRequest,
            lambda request, timeout: get_model_status(manager, request),
        ),
        "HandleReloadConfigRequest": message_method(
            ReloadConfigRequest,
            lambda request, timeout: reload_config(manager, request, metrics, timeout),
        ),
    }


def _unary(methods: Mapping[str, Method]) -> dict[str, grpc.RpcMethodHandler]:
    return {
        name: grpc.unary_unary_rpc_method_handler(with_errors_as_status(name, method))
        for name, method in methods.items()
    }


def _streamed(name: str, method) -> grpc.RpcMethodHandler:
    """A method that sends when it has something to say, and holds no thread."""
    answer = with_errors_as_status(name, method)
    answer.experimental_non_blocking = True  # type: ignore[attr-defined]
    return grpc.unary_stream_rpc_method_handler(answer)
