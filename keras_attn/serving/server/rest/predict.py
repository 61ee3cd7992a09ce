"""Predict in JSON."""

from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.rest.json_writer import write_columns, write_rows
from keras_attn.serving.server.rest.predict_request import (
    read_document,
    read_inputs,
    read_signature_name,
)
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.wire.messages import (
    DEFAULT_SIGNATURE,
    ModelSpec,
    PredictRequest,
)
from keras_attn.serving.wire.tensors import encode_tensor


def predict(
    manager: ModelManager, spec: ModelSpec, body: bytes, timeout: float | None
) -> bytes:
    """Answers a request in JSON.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    document = read_document(body)
    name = read_signature_name(document)
    with manager.servable(spec) as servable:
        infos = _find_inputs(servable, name)
        arrays, in_rows = read_inputs(document, infos)
        # From here on it is the request that a gRPC client would send. Its tensors
        # cost next to nothing to write and read, beside their JSON.
        request = PredictRequest(
            ModelSpec(spec.name, spec.version, spec.version_label, name),
            {alias: b"".join(encode_tensor(array)) for alias, array in arrays.items()},
        )
        outputs = servable.predict(request, timeout).outputs
    return write_rows(outputs) if in_rows else write_columns(outputs)


def _find_inputs(servable: Servable, name: str):
    signature = servable.signature_defs.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise invalid_argument(
            f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in '
            "signature def"
        )
    if not signature.inputs:
        raise invalid_argument(
            f"Failed to get input map for signature: {name or 'DEFAULT'}"
        )
    return signature.inputs
