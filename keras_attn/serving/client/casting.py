"""From what a caller has to what a signature takes, where nothing is lost."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_attn.serving.wire.examples import Example
from keras_attn.serving.wire.metadata import Signature, TensorSpec

_KIND_ORDER = "biufc"  # a value may move to a wider kind: integers, floats, complex
_FEATURE_TYPES = {"b": "int64", "i": "int64", "u": "int64", "f": "float32"}


def to_inputs(inputs: Mapping[str, Any], signature: Signature) -> dict[str, np.ndarray]:
    """Checks names and casts values.

    Args:
        inputs: Input names to anything `numpy.asarray` takes.
        signature: What the server expects.

    Raises:
        ValueError: A name is missing or unknown, or a value does not fit its type.
    """
    required = signature.inputs.keys() - signature.optional
    if required - inputs.keys() or inputs.keys() - signature.inputs.keys():
        raise ValueError(
            f"`inputs` must have the names of the signature. Received: "
            f"{sorted(inputs)}. Expected: {describe(signature.inputs)}."
        )
    return {name: cast(name, inputs[name], signature.inputs[name]) for name in inputs}


def to_examples(examples: Iterable[Mapping[str, Any]]) -> list[Example]:
    """Casts features to the three kinds of `tf.train.Example`.

    Raises:
        ValueError: A value is of no such kind, or would lose something.
    """
    return [to_example(example) for example in examples]


def to_example(example: Mapping[str, Any]) -> Example:
    return {name: _to_feature(name, value) for name, value in example.items()}


def _to_feature(name: str, value: Any) -> np.ndarray:
    kind = np.asarray(value).dtype.kind
    dtype = _FEATURE_TYPES.get(kind, "string")
    return cast(name, value, TensorSpec(dtype)).reshape(-1)


def describe(tensors: Mapping[str, TensorSpec]) -> str:
    """Names with dtypes and shapes, `?` for an open dimension."""
    return ", ".join(f"{name}: {format_spec(spec)}" for name, spec in tensors.items())


def format_spec(spec: TensorSpec) -> str:
    if spec.shape is None:
        return f"{spec.dtype} (...)"
    sizes = ", ".join("?" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.dtype} ({sizes})"


def cast(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """Makes an array of the type of `spec` that holds the same values.

    Integers go to any integer type they fit and to floats that hold them exactly;
    float64 is rounded to a narrower float, but not to infinity.

    Raises:
        ValueError: The values do not fit, or rows differ in length.
    """
    if spec.dtype == "string":
        return _to_strings(name, value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"Input `{name}` is not a tensor: {error}.") from error
    try:
        target = np.dtype(spec.dtype)
    except TypeError:  # a type that NumPy alone does not have: the server will say
        return array
    if array.dtype == target or array.size == 0:
        return array.astype(target)
    return _to_numbers(name, array, target)


def _to_strings(name: str, value: Any) -> np.ndarray:
    # NumPy's own strings lose a last zero byte, so that it is not asked to make any.
    array = value if isinstance(value, np.ndarray) else np.asarray(value, object)
    if array.size == 0:
        return np.empty(array.shape, object)
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype.kind == "O":
        wrong = {type(item) for item in array.flat} - {str, bytes, np.str_, np.bytes_}
        if not wrong:
            return array
        received = ", ".join(sorted(kind.__name__ for kind in wrong))
        raise ValueError(f"Input `{name}` takes strings. Received: {received}.")
    raise ValueError(f"Input `{name}` takes strings. Received: {array.dtype}.")


def _to_numbers(name: str, array: np.ndarray, target: np.dtype) -> np.ndarray:
    problem = f"Input `{name}` takes {target.name}. Received: {array.dtype}"
    source_kind, target_kind = _kind(array.dtype), _kind(target)
    if source_kind is None or target_kind is None or source_kind > target_kind:
        raise ValueError(f"{problem}, which has no lossless form there.")
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(target)
        if source_kind == target_kind and array.dtype.kind in "fc":
            kept = np.isfinite(result) | ~np.isfinite(array)
        else:
            kept = _same_values(array, result)
    if not kept.all():
        lost = array[~kept].flat[0] if array.ndim else array
        raise ValueError(f"{problem}, and {lost} does not fit.")
    return result


def _kind(dtype: np.dtype) -> int | None:
    """Position among bool, integers, floats, complex; signed and unsigned are one."""
    if dtype.name == "bfloat16":
        return _KIND_ORDER.index("f")
    if dtype.kind not in _KIND_ORDER:
        return None
    return _KIND_ORDER.index("i" if dtype.kind == "u" else dtype.kind)


def _same_values(array: np.ndarray, result: np.ndarray) -> np.ndarray:
    if result.dtype.kind in "iu" and array.dtype.kind in "iu":
        limits = np.iinfo(result.dtype)
        return np.asarray((array >= limits.min) & (array <= limits.max))
    back = result.real if result.dtype.kind == "c" else result
    return np.asarray(back.astype(array.dtype) == array)
