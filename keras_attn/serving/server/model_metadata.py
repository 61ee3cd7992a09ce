"""GetModelMetadata: the signatures of a version."""

from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)

from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.model_spec import requested_model
from keras_attn.serving.server.status import invalid_argument

_FIELD = "signature_def"


def get_model_metadata(
    manager: ModelManager, request: GetModelMetadataRequest
) -> GetModelMetadataResponse:
    """Describes the version that the request names.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    spec = requested_model(request)
    if spec is None:
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for name in request.metadata_field:
        if name != _FIELD:
            raise invalid_argument(f"Metadata field {name} is not supported")
    response = GetModelMetadataResponse()
    signatures = SignatureDefMap()
    with manager.servable(spec) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        for key, signature in servable.signature_defs.items():
            signatures.signature_def[key].CopyFrom(signature)
    response.metadata[_FIELD].Pack(signatures)
    return response
