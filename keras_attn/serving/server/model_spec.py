"""The `ModelSpec` of a request, and that of its answer, as TensorFlow's messages."""

from typing import Any

from tensorflow_serving.apis.model_pb2 import ModelSpec as Message

from keras_attn.serving.wire.messages import DEFAULT_SIGNATURE, ModelSpec


def requested_model(request: Any) -> ModelSpec | None:
    """What a message with a field `model_spec` asks for; None if it is not set."""
    if not request.HasField("model_spec"):
        return None
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
        spec.signature_name,
    )


def signature_key(spec: Message | ModelSpec) -> str:
    return spec.signature_name or DEFAULT_SIGNATURE


def fill_answering_model(answer: Message, asked: Message, version: int) -> None:
    """The name as it was sent, the version and the signature as they were used."""
    answer.name = asked.name
    answer.version.value = version
    answer.signature_name = signature_key(asked)
