"""The gRPC services: bytes in, bytes out, errors as gRPC statuses.

A method that has no handler answers UNIMPLEMENTED by itself.
"""

import logging
from collections.abc import Callable

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.model import Version
from keras_attn.serving.server.status import StatusError, cut, invalid_argument
from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.fields import (
    integer_field,
    read_bytes,
    read_fields,
)
from keras_attn.serving.wire.messages import ModelSpec, PredictRequest

logger = logging.getLogger("keras_attn.serving")

Method = Callable[[bytes, grpc.ServicerContext], bytes]

_SERVING = b"".join(integer_field(1, 1))
_HEALTHY_SERVICES = ("", "ModelService", "PredictionService")


def handlers(
    manager: ModelManager, as_content: bool = False, health: bool = False
) -> list[grpc.GenericRpcHandler]:
    """Every service of the server.

    Args:
        manager: The models.
        as_content: Whether answers carry `tensor_content`.
        health: Whether the health service answers.
    """

    def predict(message: bytes, context: grpc.ServicerContext) -> bytes:
        request = PredictRequest.decode(message)
        with manager.servable(request.model_spec) as servable:
            answer = servable.predict(request, context.time_remaining())
        return answer.encode(as_content)

    def metadata(message: bytes, context: grpc.ServicerContext) -> bytes:
        return get_model_metadata(manager, message)

    def status(message: bytes, context: grpc.ServicerContext) -> bytes:
        return get_model_status(manager, message)

    services: dict[str, dict[str, Method]] = {
        "tensorflow.serving.PredictionService": {
            "Predict": predict,
            "GetModelMetadata": metadata,
        },
        "tensorflow.serving.ModelService": {"GetModelStatus": status},
    }
    if health:
        services["grpc.health.v1.Health"] = {"Check": check_health}
    return [_service(name, methods) for name, methods in services.items()]


def get_model_metadata(manager: ModelManager, message: bytes) -> bytes:
    request = _parse(get_model_metadata_pb2.GetModelMetadataRequest, message)
    spec = _read_spec(message)
    if spec is None:
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for name in request.metadata_field:
        if name != "signature_def":
            raise invalid_argument(f"Metadata field {name} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    with manager.servable(spec) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        for key, signature in servable.signature_defs.items():
            signatures.signature_def[key].CopyFrom(signature)
    response.metadata["signature_def"].Pack(signatures)
    return response.SerializeToString()


def get_model_status(manager: ModelManager, message: bytes) -> bytes:
    _parse(get_model_status_pb2.GetModelStatusRequest, message)
    versions = manager.statuses(_read_spec(message))
    response = get_model_status_pb2.GetModelStatusResponse(
        model_version_status=map(_version_status, versions)
    )
    return response.SerializeToString()


def check_health(message: bytes, context: grpc.ServicerContext) -> bytes:
    named = [bytes(value) for number, _, value in read_fields(message) if number == 1]
    service = named[-1].decode() if named else ""
    if service not in _HEALTHY_SERVICES:
        raise StatusError(grpc.StatusCode.NOT_FOUND, "unknown service")
    return _SERVING


def _version_status(version: Version) -> get_model_status_pb2.ModelVersionStatus:
    status = get_model_status_pb2.ModelVersionStatus(
        version=version.number, state=version.state.value
    )
    if version.error is not None:
        status.status.error_code = version.error.number
        status.status.error_message = version.error.message
    else:
        status.status.SetInParent()
    return status


def _read_spec(message: bytes) -> ModelSpec | None:
    """The model spec of a request that has it in field 1, as all of these do."""
    specs = [value for number, _, value in read_fields(message) if number == 1]
    return ModelSpec.decode(read_bytes(specs[-1])) if specs else None


def _parse(kind, message: bytes):
    try:
        return kind.FromString(message)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise WireError(str(error)) from error


def _service(name: str, methods: dict[str, Method]) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        name,
        {
            method: grpc.unary_unary_rpc_method_handler(_answer(method, function))
            for method, function in methods.items()
        },
    )


def _answer(name: str, function: Method) -> Method:
    def answer(message: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return function(message, context)
        except StatusError as error:
            code, text = error.code, error.message
        except WireError as error:
            code, text = grpc.StatusCode.INTERNAL, f"Malformed {name}Request: {error}"
        except Exception as error:
            logger.exception("%s failed", name)
            code, text = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        return context.abort(code, cut(text))  # raises

    return answer
