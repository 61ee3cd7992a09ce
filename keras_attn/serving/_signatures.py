"""What a served model answers: named functions with named, typed inputs."""

import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

DEFAULT = "serving_default"

# What a request can carry in both protocols; JSON knows no 16-bit floats.
SERVABLE = frozenset(
    tf.dtypes.as_dtype(name)
    for name in "float32 float64 int8 uint8 int16 int32 int64 bool string".split()
)
_HALF = frozenset((tf.float16, tf.bfloat16))

_SIGNATURE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TENSOR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
# Attributes of the object that a SavedModel is written from.
_RESERVED = {
    "signatures",
    "variables",
    "trainable_variables",
    "non_trainable_variables",
}


class Signature(NamedTuple):
    """A function from a dict of tensors to a dict of tensors, and its inputs."""

    name: str
    function: Callable[[dict[str, Any]], dict[str, Any]]
    inputs: dict[str, tf.TensorSpec]

    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Calls the function and checks that its outputs can be served.

        16-bit floats become `float32`. Runs while the graph is traced.
        """
        outputs = self.function(inputs)
        if not isinstance(outputs, Mapping) or not outputs:
            raise ValueError(
                f"The function of signature {self.name!r} must return a dict of "
                f"tensors. Received: {outputs!r}"
            )
        checked = {}
        for name, output in outputs.items():
            if not isinstance(name, str) or not _is_tensor_name(name):
                raise ValueError(_bad_name("an output", self.name, name))
            tensor = tf.convert_to_tensor(output)
            if tensor.dtype in _HALF:
                tensor = tf.cast(tensor, tf.float32)
            subject = f"Output {name!r} of signature {self.name!r}"
            _check_dtype(subject, tensor.dtype)
            if tensor.shape.rank is not None:  # else seen when the output is computed
                _check_batch(subject, tensor.shape)
            checked[name] = tensor
        return checked


def checked_signatures(signatures: Any) -> list[Signature]:
    """The signatures of a `{name: (function, {name: TensorSpec})}` mapping."""
    if not isinstance(signatures, Mapping) or not signatures:
        raise ValueError(
            "`signatures` must be a non-empty dict `{name: (function, inputs)}`. "
            f"Received: signatures={signatures!r}"
        )
    checked = [_checked_signature(name, value) for name, value in signatures.items()]
    if DEFAULT not in signatures:
        raise ValueError(
            f"`signatures` must have {DEFAULT!r}, the one a request without a "
            f"signature name asks for. Received: {sorted(signatures)}"
        )
    return checked


def _checked_signature(name: Any, value: Any) -> Signature:
    if (
        not isinstance(name, str)
        or not _SIGNATURE_NAME.fullmatch(name)
        or name in _RESERVED
    ):
        raise ValueError(
            "A signature's name must be a letter followed by letters, digits or "
            f"underscores, and none of {sorted(_RESERVED)}. Received: {name!r}"
        )
    if not isinstance(value, tuple) or len(value) != 2 or not callable(value[0]):
        raise ValueError(
            f"Signature {name!r} must be a pair `(function, inputs)`. "
            f"Received: {value!r}"
        )
    function, inputs = value
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(
            f"The inputs of signature {name!r} must be a non-empty dict "
            f"`{{name: tf.TensorSpec}}`. Received: {inputs!r}"
        )
    specs = {key: _checked_input(name, key, spec) for key, spec in inputs.items()}
    return Signature(name, function, specs)


def _checked_input(signature: str, name: Any, spec: Any) -> tf.TensorSpec:
    if not isinstance(name, str) or not _is_tensor_name(name):
        raise ValueError(_bad_name("an input", signature, name))
    subject = f"Input {name!r} of signature {signature!r}"
    if not isinstance(spec, tf.TensorSpec):
        raise ValueError(f"{subject} must be a tf.TensorSpec. Received: {spec!r}")
    _check_dtype(subject, spec.dtype)
    _check_batch(subject, spec.shape)
    return tf.TensorSpec(spec.shape, spec.dtype, name=name)


def _check_dtype(subject: str, dtype: tf.DType) -> None:
    if dtype not in SERVABLE:
        known = ", ".join(sorted(servable.name for servable in SERVABLE))
        raise ValueError(
            f"{subject} must be one of {known}. Received: dtype={dtype.name}"
        )


def _check_batch(subject: str, shape: tf.TensorShape) -> None:
    if not shape.rank or shape[0] is not None:
        raise ValueError(
            f"{subject} must have the batch as its first dimension, of size None. "
            f"Received: shape={shape}"
        )


def _is_tensor_name(name: str) -> bool:
    # Names become parameters of a method of the loaded signature.
    reserved = keyword.iskeyword(name) or name == "self"
    return bool(_TENSOR_NAME.fullmatch(name)) and not reserved


def _bad_name(role: str, signature: str, name: Any) -> str:
    return (
        f"The name of {role} of signature {signature!r} must be a letter followed by "
        "letters, digits or any of `_ . / -`, and neither `self` nor a Python keyword. "
        f"Received: {name!r}"
    )
