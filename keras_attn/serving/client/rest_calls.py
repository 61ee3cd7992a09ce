"""The calls of TF Serving's REST API."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from keras_attn.serving.client.exchange import Exchange
from keras_attn.serving.client.json_values import (
    dump,
    load,
    read_array,
    to_json_value,
)
from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.examples import Classes, Example
from keras_attn.serving.wire.management import ModelConfig, VersionStatus
from keras_attn.serving.wire.messages import ModelSpec
from keras_attn.serving.wire.metadata import (
    INIT_OP,
    ModelMetadata,
    Signature,
    TensorSpec,
    dtype_of,
)
from keras_attn.serving.wire.status_codes import NUMBERS
from keras_attn.serving.wire.tensors import BY_NUMBER

Answer = TypeVar("Answer")

_DATA_TYPES = {f"DT_{row.name.upper()}": number for number, row in BY_NUMBER.items()}


class RestCalls:
    """JSON there and back, in the columnar form.

    Args:
        prefix: What stands before `/v1/models` in the server's URLs.
    """

    def __init__(self, prefix: str = ""):
        self._prefix = prefix

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        signature: Signature,
    ) -> Exchange[dict[str, np.ndarray]]:
        values = {name: to_json_value(name, array) for name, array in inputs.items()}
        body = dump({"signature_name": spec.signature_name, "inputs": values})
        read = partial(_read_outputs, signature.outputs, tuple(outputs))
        return Exchange(self._path(spec, ":predict"), body, _reader(read))

    def classify(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[list[Classes]]:
        body = _dump_examples(spec, examples, context)
        return Exchange(self._path(spec, ":classify"), body, _reader(_read_classes))

    def regress(
        self, spec: ModelSpec, examples: Sequence[Example], context: Example | None
    ) -> Exchange[np.ndarray]:
        body = _dump_examples(spec, examples, context)
        return Exchange(self._path(spec, ":regress"), body, _reader(_read_values))

    def metadata(self, spec: ModelSpec) -> Exchange[ModelMetadata]:
        return Exchange(self._path(spec, "/metadata"), None, _reader(_read_metadata))

    def status(self, spec: ModelSpec) -> Exchange[list[VersionStatus]]:
        return Exchange(self._path(spec), None, _reader(_read_statuses))

    def reload(self, configs: Sequence[ModelConfig]) -> Exchange[None]:
        raise NotImplementedError(
            "The REST API has no call to reload; ask the gRPC port of the server."
        )

    def _path(self, spec: ModelSpec, end: str = "") -> str:
        path = f"{self._prefix}/v1/models/{quote(spec.name, safe='')}"
        if spec.version is not None:
            path += f"/versions/{spec.version}"
        elif spec.version_label is not None:
            path += f"/labels/{quote(spec.version_label, safe='')}"
        return path + end


def _dump_examples(
    spec: ModelSpec, examples: Sequence[Example], context: Example | None
) -> bytes:
    request: dict[str, Any] = {
        "signature_name": spec.signature_name,
        "examples": [_to_features(example) for example in examples],
    }
    if context is not None:
        request["context"] = _to_features(context)
    return dump(request)


def _to_features(example: Example) -> dict[str, Any]:
    return {name: to_json_value(name, values) for name, values in example.items()}


def _reader(read: Callable[[Any], Answer]) -> Callable[[bytes], Answer]:
    """Has `read` look at parsed JSON; what is not where it should be is an error."""

    def read_body(body: bytes) -> Answer:
        try:
            return read(load(body))
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            kind = type(error).__name__
            raise WireError(f"Unexpected JSON ({kind}: {error}).") from error

    return read_body


def _read_outputs(
    specs: Mapping[str, TensorSpec], wanted: Sequence[str], answer: Any
) -> dict[str, np.ndarray]:
    values = answer["outputs"]
    if len(specs) == 1:  # an only output stands alone
        values = dict.fromkeys(specs, values)
    elif values.keys() != specs.keys():
        raise WireError(f"Outputs {sorted(values)} where {sorted(specs)} belong.")
    return {
        name: read_array(name, values[name], specs[name]) for name in wanted or specs
    }


def _read_classes(answer: Any) -> list[Classes]:
    return [
        [(str(label), float(score)) for label, score in classes]
        for classes in answer["results"]
    ]


def _read_values(answer: Any) -> np.ndarray:
    return np.array(answer["results"], np.float32)


def _read_statuses(answer: Any) -> list[VersionStatus]:
    return [
        VersionStatus(
            int(status["version"]),
            status["state"],
            NUMBERS.get(status["status"]["error_code"], NUMBERS["UNKNOWN"]),
            status["status"]["error_message"],
        )
        for status in answer["model_version_status"]
    ]


def _read_metadata(answer: Any) -> ModelMetadata:
    spec = answer["model_spec"]
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    return ModelMetadata(
        spec["name"],
        int(spec["version"]),
        {
            name: _read_signature(signatures[name])
            for name in sorted(signatures)
            if name != INIT_OP
        },
    )


def _read_signature(signature: Any) -> Signature:
    return Signature(
        _read_tensor_infos(signature.get("inputs", {})),
        _read_tensor_infos(signature.get("outputs", {})),
        frozenset(signature.get("defaults", ())),
        signature.get("method_name", ""),
    )


def _read_tensor_infos(infos: Any) -> dict[str, TensorSpec]:
    return {name: _read_tensor_info(infos[name]) for name in sorted(infos)}


def _read_tensor_info(info: Any) -> TensorSpec:
    dtype = dtype_of(_DATA_TYPES.get(info.get("dtype"), 0))
    shape = info.get("tensor_shape", {})
    if shape.get("unknown_rank"):
        return TensorSpec(dtype, None)
    return TensorSpec(dtype, tuple(int(size["size"]) for size in shape.get("dim", ())))
