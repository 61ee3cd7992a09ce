"""Steps of Keras models as one compiled function, for either backend alike.

A step is forward, backward and what follows, without data loading and without what
`fit` adds to it. It waits for its result.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def training_step(
    model: keras.Model, inputs: Any, jit: bool = True
) -> Callable[[], Any]:
    """Forward, backward and Adam, on the mean square of the model's output.

    The inputs are arrays in the structure that the model takes.
    """
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    if keras.backend.backend() == "jax":
        return _jax_training_step(model, optimizer, inputs)
    import tensorflow as tf

    tensors = keras.tree.map_structure(tf.constant, inputs)

    @tf.function(jit_compile=jit)
    def train():
        with tf.GradientTape() as tape:
            loss = mean_square(model(tensors, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return lambda: train().numpy()


def gradient_step(
    model: keras.Model, inputs: Any, jit: bool = True
) -> Callable[[], Any]:
    """Forward and backward, to the weights and to the inputs that are not integers."""
    if keras.backend.backend() == "jax":
        return _jax_gradient_step(model, inputs)
    import tensorflow as tf

    tensors = keras.tree.map_structure(tf.constant, inputs)
    sources = [x for x in keras.tree.flatten(tensors) if x.dtype.is_floating]

    @tf.function(jit_compile=jit)
    def differentiate():
        with tf.GradientTape() as tape:
            tape.watch(sources)
            loss = mean_square(model(tensors, training=True))
        return loss, tape.gradient(loss, [sources, model.trainable_weights])

    return lambda: differentiate()[0].numpy()


def mean_square(outputs: Any) -> Any:
    return ops.mean(ops.square(outputs))


def _jax_loss(model: keras.Model) -> Callable[..., Any]:
    def loss(weights, others, inputs):
        outputs, others = model.stateless_call(weights, others, inputs, training=True)
        return mean_square(outputs), others

    return loss


def _values(variables: list[keras.Variable]) -> list[Any]:
    return [variable.value for variable in variables]


def _jax_training_step(
    model: keras.Model, optimizer: keras.Optimizer, inputs: Any
) -> Callable[[], Any]:
    import jax

    differentiate = jax.value_and_grad(_jax_loss(model), has_aux=True)
    arrays = jax.device_put(inputs)

    def train(state, arrays):
        weights, others, slots = state
        (loss, others), gradients = differentiate(weights, others, arrays)
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return loss, (weights, others, slots)

    train = jax.jit(train, donate_argnums=0)
    # Donated buffers are gone after the call: the variables keep theirs.
    state = jax.tree.map(
        jax.numpy.copy,
        (
            _values(model.trainable_variables),
            _values(model.non_trainable_variables),
            _values(optimizer.variables),
        ),
    )

    def step():
        nonlocal state
        loss, state = train(state, arrays)
        return jax.block_until_ready((loss, state))[0]

    return step


def _jax_gradient_step(model: keras.Model, inputs: Any) -> Callable[[], Any]:
    import jax

    flat = keras.tree.flatten(jax.device_put(inputs))
    is_float = [np.issubdtype(array.dtype, np.floating) for array in flat]
    loss = _jax_loss(model)

    def loss_of(weights, sources, others, rest):
        sources, rest = iter(sources), iter(rest)
        both = [next(sources if chosen else rest) for chosen in is_float]
        both = keras.tree.pack_sequence_as(inputs, both)
        return loss(weights, others, both)

    differentiate = jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1), has_aux=True))
    arguments = (
        _values(model.trainable_variables),
        [x for x, chosen in zip(flat, is_float, strict=True) if chosen],
        _values(model.non_trainable_variables),
        [x for x, chosen in zip(flat, is_float, strict=True) if not chosen],
    )
    return lambda: jax.block_until_ready(differentiate(*arguments))[0]
