"""Gradients, and ways to run a function, on whichever backend Keras has."""

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ["eager", "graph", "xla"],
    "jax": ["eager", "xla"],
    "torch": ["eager"],
}[BACKEND]
# JAX compiles a loop anew whenever it is called eagerly.
QUICKEST = "xla" if BACKEND == "jax" else "eager"


def in_mode(function, mode):
    """The function of tensors, eager, as a TensorFlow graph, or compiled by XLA."""
    if mode == "eager":
        return function
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=mode == "xla")


def with_gradients(function, variables=()):
    """A function of tensors that returns `function`'s scalar and all its gradients.

    The gradients are those of the tensors, then those of the variables, zeros where
    nothing flows.
    """
    return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND](
        function, list(variables)
    )


def gradients(function, tensors, variables=(), mode="eager"):
    """The gradients alone, as NumPy arrays."""
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    _, found = in_mode(with_gradients(function, variables), mode)(*tensors)
    return [ops.convert_to_numpy(gradient) for gradient in found]


def weighted_sum(outputs):
    """A scalar that looks at every entry of every output differently."""
    total = 0.0
    for output in keras.tree.flatten(outputs):
        size = int(np.prod(output.shape))
        factors = np.cos(np.arange(size, dtype="float32")).reshape(output.shape)
        total = total + ops.sum(
            ops.cast(output, "float32") * ops.convert_to_tensor(factors)
        )
    return total


def _tensorflow(function, variables):
    import tensorflow as tf

    def run(*tensors):
        sources = [*tensors, *(variable.value for variable in variables)]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        found = tape.gradient(
            value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return value, [tf.convert_to_tensor(gradient) for gradient in found]

    return run


def _jax(function, variables):
    import jax

    def loss(sources):
        tensors, values = sources
        with keras.StatelessScope(
            state_mapping=list(zip(variables, values, strict=True))
        ):
            return function(*tensors)

    def run(*tensors):
        sources = (list(tensors), [variable.value for variable in variables])
        value, (first, second) = jax.value_and_grad(loss)(sources)
        return value, [*first, *second]

    return run


def _torch(function, variables):
    import torch

    def run(*tensors):
        tensors = [tensor.detach().requires_grad_() for tensor in tensors]
        sources = [*tensors, *(variable.value for variable in variables)]
        with torch.enable_grad():
            value = function(*tensors)
        if not value.requires_grad:  # which torch would refuse
            return value, [torch.zeros_like(source) for source in sources]
        return value, torch.autograd.grad(
            value, sources, allow_unused=True, materialize_grads=True
        )

    return run
