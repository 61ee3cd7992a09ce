"""`serving_default` of a Keras model that offers no signatures of its own."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_attn.serving._signatures import DEFAULT, Signature, checked_signatures

# Keras numbers unnamed tensors and layers by what the process has built so far.
# Such a name would change from one export to the next, under the clients' feet.
_AUTOMATIC_INPUT = re.compile(r"(keras_tensor|input_layer)(_\d+)?")
_HALF = {"float16", "bfloat16"}

Specs = dict[str, tf.TensorSpec]


def model_signature(model: keras.Model) -> list[Signature]:
    """The forward pass of `model` as one signature, training behaviour off."""
    if isinstance(model, keras.Sequential) or hasattr(model, "output_names"):
        inputs, structure = _described_inputs(model)
        names = _output_names(model)
    else:
        inputs, structure = _recorded_inputs(model)
        names = []

    def forward(tensors):
        return _named(_call(model, structure, tensors), names)

    return checked_signatures({DEFAULT: (forward, inputs)})


def _call(model: keras.Model, structure: Any, tensors: dict[str, Any]) -> Any:
    """Calls `model` on the named tensors, packed as `structure` of their names."""
    arguments = keras.tree.map_structure(lambda name: tensors[name], structure)
    return model(arguments, training=False)


def _described_inputs(model: keras.Model) -> tuple[Specs, Any]:
    """Names, shapes and dtypes as the model's `Input`s state them."""
    specs = {}
    for index, tensor in enumerate(model.inputs):
        name = tensor.name
        if _AUTOMATIC_INPUT.fullmatch(name):
            name = _numbered("inputs", index, len(model.inputs))
        if tensor.sparse or tensor.ragged:
            raise ValueError(
                f"Input {name!r} of `model` must be dense to be served. Received: "
                f"sparse={tensor.sparse}, ragged={tensor.ragged}. Pass `signatures` "
                "with a function that builds it from dense tensors."
            )
        dtype = "float32" if tensor.dtype in _HALF else tensor.dtype
        # An input of rank 0 has no batch; the check of the signature says so.
        shape = (None, *tensor.shape[1:]) if tensor.shape else ()
        specs[name] = tf.TensorSpec(shape, dtype)
    if isinstance(model, keras.Sequential):
        return specs, next(iter(specs))
    return specs, keras.tree.pack_sequence_as(model.input, list(specs))


def _recorded_inputs(model: keras.Model) -> tuple[Specs, Any]:
    """Names and shapes of the call that built a subclassed model.

    Keras records no dtype: an input that is only ever cast to an integer is
    `int32`, any other `float32`.
    """
    call = inspect.signature(model.call)
    required = [p.name for p in call.parameters.values() if p.default is p.empty]
    recorded = (model.get_build_config() or {}).get("input_shape")
    structure: Any = required[0] if required else ""
    shapes: Mapping[str, Any] = {structure: recorded}
    if isinstance(recorded, Mapping):
        structure, shapes = {name: name for name in recorded}, recorded
    if len(required) != 1 or not all(map(_is_shape, shapes.values())):
        raise ValueError(
            "`model` is subclassed, and the names and shapes of its inputs cannot be "
            "told from the call that built it. Pass `signatures={'serving_default': "
            "(function, {name: tf.TensorSpec})}`. "
            f"Received: call{call}, input shapes {recorded}"
        )
    specs = {name: tf.TensorSpec((None, *shape[1:])) for name, shape in shapes.items()}

    @tf.function(autograph=False, input_signature=[specs])
    def trace(tensors):
        return _call(model, structure, tensors)

    placeholders = trace.get_concrete_function().inputs
    for name, placeholder in zip(sorted(specs), placeholders, strict=False):
        if _becomes_integer(placeholder):
            specs[name] = tf.TensorSpec(specs[name].shape, tf.int32)
    return specs, structure


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, (tuple, list)) and all(
        size is None or isinstance(size, int) for size in shape
    )


def _becomes_integer(tensor: Any) -> bool:
    """Whether all that the graph does with `tensor` is a cast to an integer."""
    casts = tensor.consumers()
    return bool(casts) and all(
        operation.type == "Cast"
        and (
            operation.outputs[0].dtype.is_integer
            or _becomes_integer(operation.outputs[0])  # on the way through 16 bits
        )
        for operation in casts
    )


def _output_names(model: keras.Model) -> list[str]:
    """Names of the layers that give the outputs, where the user chose them."""
    if isinstance(model, keras.Sequential):
        layers = [model.layers[-1]]
    else:
        by_name = {operation.name: operation for operation in model.operations}
        layers = [by_name[name] for name in model.output_names]
    chosen = [layer.name for layer in layers]
    return [
        _numbered("outputs", index, len(layers))
        if _is_automatic(layer) or chosen.count(layer.name) > 1
        else layer.name
        for index, layer in enumerate(layers)
    ]


def _is_automatic(layer: keras.Operation) -> bool:
    """Whether Keras made the layer's name out of the name of its class."""
    stem = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return stem == type(layer).__name__.replace("_", "").lower()


def _named(outputs: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    tensors = keras.tree.flatten(outputs)
    if not names:
        count = len(tensors)
        names = [_numbered("outputs", index, count) for index in range(count)]
    return dict(zip(names, tensors, strict=True))


def _numbered(stem: str, index: int, count: int) -> str:
    return stem if count == 1 else f"{stem}_{index}"
