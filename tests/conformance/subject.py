"""A case of the table at work: its batch, its layer, a model around it."""

import inspect
import math

import keras
import numpy as np
from keras import ops

from tests.gradients import QUICKEST, in_mode

BATCH = 3


class Subject:
    """One case of the table, with the batch it is tried on."""

    def __init__(self, case, rng):
        self.case = case
        self.is_model = case.is_model
        self.inputs, self.masks = {}, {}
        self.indices = {
            name: rng.integers(0, count, (BATCH, *shape)).astype("int32")
            for name, (shape, count) in case.indices.items()
        }
        for name, shape in case.inputs.items():
            if name in (case.vocabularies or {}):
                kept = np.arange(shape[0]) < np.array([[shape[0]], [2], [1]])
                ids = rng.integers(1, case.vocabularies[name], (BATCH, *shape))
                self.inputs[name] = np.where(kept, ids, 0).astype("int32")
            else:
                self.inputs[name] = rng.normal(size=(BATCH, *shape)).astype("float32")
        for name in case.masks:
            slots = case.inputs[name][:-1]
            # The first row keeps all, the second two slots, the last one none.
            lengths = np.array([[math.prod(slots)], [2], [0]])
            kept = np.arange(math.prod(slots)) < lengths
            self.masks[case.mask_of(name)] = kept.reshape(BATCH, *slots)

    def make(self, **kwargs):
        """The layer, built, with random weights."""
        layer = self.case.make(**kwargs)
        if not self.is_model:
            self.build(layer)
        rng = np.random.default_rng(1)  # biases too; the same numbers every time
        for weight in layer.trainable_weights:
            weight.assign(rng.normal(scale=0.5, size=weight.shape))
        return layer

    def build(self, layer):
        """Builds a layer with the shapes that its `build` asks for."""
        shapes = {f"{name}_shape": value.shape for name, value in self.inputs.items()}
        shapes["input_shape"] = next(iter(shapes.values()))  # where it is Keras' own
        asked = inspect.signature(layer.build).parameters
        layer.build(**{name: shapes[name] for name in asked if name in shapes})

    def model(self, **kwargs):
        """A functional model around the layer; its masks are inputs of their own.

        Several outputs become one, side by side.
        """
        layer = self.make(**kwargs)
        if self.is_model:
            return layer
        inputs = {
            name: keras.Input(value.shape[1:], dtype=value.dtype.name, name=name)
            for name, value in self.arguments.items()
        }
        parts = dict.fromkeys(self.case.parts, True)
        outputs = keras.tree.flatten(layer(**inputs, **parts))
        if len(outputs) == 1:
            return keras.Model(inputs, outputs[0])
        flat = keras.layers.Flatten(dtype="float32")
        outputs = [flat(ops.cast(output, "float32")) for output in outputs]
        return keras.Model(inputs, ops.concatenate(outputs, axis=-1))

    @property
    def arguments(self):
        return {**self.inputs, **self.indices, **self.masks}

    def call(self, layer, inputs=None, mode=QUICKEST, **flags):
        """Calls a layer, or a model, also one around it, with tensors of the batch."""
        arguments = {**self.arguments, **(inputs or {})}

        def function(*tensors):
            given = dict(zip(arguments, tensors, strict=True))
            if isinstance(layer, keras.Model):
                return layer(self.fed(given))
            return layer(**given, **flags)

        tensors = [ops.convert_to_tensor(x) for x in arguments.values()]
        return in_mode(function, mode)(*tensors)

    def fed(self, arguments):
        """The arguments in the structure that a model takes: one alone, or a dict."""
        alone = self.is_model and len(arguments) == 1
        return next(iter(arguments.values())) if alone else arguments
