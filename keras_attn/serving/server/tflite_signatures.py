"""The signatures of a TFLite model, as TensorFlow Serving finds them."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow.lite.python.schema_py_generated import Model

from keras_attn.serving.server.status import internal, invalid_argument

Tensors = Mapping[str, dict[str, Any]]
"""What the interpreter tells of inputs or outputs, by their names."""

_METADATA = b"signature_defs_metadata"
_PREDICT = "tensorflow/serving/predict"


def read_signatures(content: bytes) -> dict[str, SignatureDef]:
    """The signatures in the metadata of a model; none if there is no such entry.

    The converter's own list of signatures is another one, and is not read.

    Raises:
        StatusError: The entry holds no signatures.
    """
    model = Model.GetRootAs(content)
    entries = (model.Metadata(i) for i in range(model.MetadataLength()))
    entry = next((entry for entry in entries if entry.Name() == _METADATA), None)
    if entry is None:
        return {}
    try:
        packed = flexbuffers.GetRoot(
            model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
        ).AsMap
        return {
            key.AsKey: SignatureDef.FromString(bytes(value.AsStringBytes))
            for key, value in zip(packed.Keys, packed.Values, strict=True)
        }
    except Exception as error:  # of the buffer, or protobuf's
        raise invalid_argument(
            f"Invalid SignatureDefs found in TfLite model: {error}"
        ) from error


def signature_of_tensors(inputs: Tensors, outputs: Tensors) -> SignatureDef:
    """A signature that calls every tensor by its own name, without its `:0`."""
    return SignatureDef(
        inputs={_plain(name): _describe(tensor) for name, tensor in inputs.items()},
        outputs={_plain(name): _describe(tensor) for name, tensor in outputs.items()},
        method_name=_PREDICT,
    )


def fit_to_tensors(
    kind: str, infos: Mapping[str, TensorInfo], tensors: Tensors
) -> None:
    """Names tensors as the model does: older converters cut the `:0` off.

    Raises:
        StatusError: The model has no such tensor.
    """
    for alias, info in infos.items():
        if info.name not in tensors:
            if _plain(info.name) not in tensors:
                raise internal(
                    f"Unknown tensor '{info.name}'.\n\tSignature {kind} {alias} "
                    "references an unknown tensor"
                )
            info.name = _plain(info.name)


def _plain(name: str) -> str:
    return name.partition(":")[0]


def _describe(tensor: dict[str, Any]) -> TensorInfo:
    sizes = [TensorShapeProto.Dim(size=int(size)) for size in tensor["shape"]]
    return TensorInfo(
        name=tensor["name"],
        dtype=tf.as_dtype(tensor["dtype"]).as_datatype_enum,
        tensor_shape=TensorShapeProto(dim=sizes),
    )
