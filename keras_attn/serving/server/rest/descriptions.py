"""The state and the signatures of a model, in JSON."""

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.model_metadata import get_model_metadata
from keras_attn.serving.server.model_service import get_model_status
from keras_attn.serving.wire.messages import ModelSpec

_FIELD = "signature_def"


def describe_status(manager: ModelManager, spec: ModelSpec) -> bytes:
    """The versions of a model and how they do.

    Raises:
        StatusError: There are none.
    """
    request = GetModelStatusRequest()
    request.model_spec.MergeFromString(spec.encode())
    return _to_json(get_model_status(manager, request)).encode()


def describe_metadata(manager: ModelManager, spec: ModelSpec) -> bytes:
    """The signatures of a version.

    Raises:
        StatusError: It does not serve.
    """
    request = GetModelMetadataRequest(metadata_field=[_FIELD])
    request.model_spec.MergeFromString(spec.encode())
    response = get_model_metadata(manager, request)
    signatures = SignatureDefMap()
    response.metadata[_FIELD].Unpack(signatures)
    return (
        f'{{\n"model_spec":{_to_json(response.model_spec)},\n'
        f'"metadata": {{"{_FIELD}": {_to_json(signatures)}}}\n}}\n'
    ).encode()


def _to_json(message: Message) -> str:
    text = MessageToJson(
        message,
        indent=1,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return f"{text}\n"
