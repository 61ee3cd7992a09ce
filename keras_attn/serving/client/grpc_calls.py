"""The calls of TF Serving's gRPC API."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.serving.client.exchange import Exchange
from keras_attn.serving.wire.examples import (
    Classes,
    Example,
    decode_classification_response,
    decode_regression_response,
    encode_examples_request,
)
from keras_attn.serving.wire.management import (
    ModelConfig,
    VersionStatus,
    decode_status_response,
    encode_reload_request,
    encode_status_request,
)
from keras_attn.serving.wire.messages import ModelSpec, PredictRequest, PredictResponse
from keras_attn.serving.wire.metadata import (
    ModelMetadata,
    Signature,
    decode_metadata_response,
    encode_metadata_request,
)

_PREDICTION = "/tensorflow.serving.PredictionService"
_MODELS = "/tensorflow.serving.ModelService"


class GrpcCalls:
    """Protocol buffers there and back."""

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        signature: Signature,
    ) -> Exchange[dict[str, np.ndarray]]:
        request = PredictRequest(spec, dict(inputs), list(outputs))
        return Exchange(f"{_PREDICTION}/Predict", request.encode(), _read_outputs)

    def classify(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[list[Classes]]:
        request = encode_examples_request(spec, examples, context)
        return Exchange(
            f"{_PREDICTION}/Classify", request, decode_classification_response
        )

    def regress(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[np.ndarray]:
        request = encode_examples_request(spec, examples, context)
        return Exchange(f"{_PREDICTION}/Regress", request, decode_regression_response)

    def metadata(self, spec: ModelSpec) -> Exchange[ModelMetadata]:
        request = encode_metadata_request(spec)
        return Exchange(
            f"{_PREDICTION}/GetModelMetadata", request, decode_metadata_response
        )

    def status(self, spec: ModelSpec) -> Exchange[list[VersionStatus]]:
        request = encode_status_request(spec)
        return Exchange(f"{_MODELS}/GetModelStatus", request, decode_status_response)

    def reload(self, configs: Sequence[ModelConfig]) -> Exchange[None]:
        request = encode_reload_request(configs)
        return Exchange(f"{_MODELS}/HandleReloadConfigRequest", request, _read_nothing)


def _read_outputs(message: bytes) -> dict[str, np.ndarray]:
    return PredictResponse.decode(message).outputs


def _read_nothing(message: bytes) -> None:
    """A reload that failed says so by its gRPC status."""
