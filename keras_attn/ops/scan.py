"""One rolled loop over the leading axis, on every backend."""

import keras
from keras import ops, tree


def scan(body, init, xs, reverse=False):
    """Carries a state over the leading axis of `xs` and stacks what each step emits.

    Unlike `keras.ops.scan`, the emitted tensors need not have the structure of the
    carry. The loop is a `tf.while_loop` in a TensorFlow graph, `lax.scan` on JAX and
    a Python loop in eager TensorFlow and on torch. It compiles under XLA.

    Args:
        body: Function `(carry, x) -> (carry, y)`, each a nest of tensors. The carry
            keeps its structure, shapes and dtypes.
        init: The first carry.
        xs: Nest of tensors that share their leading axis, the number of steps.
        reverse: Bool. Walk from the last step to the first; `ys` stay in the order
            of `xs`.

    Returns:
        The last carry, and `ys` stacked along a new leading axis.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.lax.scan(body, init, xs, reverse=reverse)
    if tree.flatten(xs)[0].shape[0] == 0:  # XLA cannot read from an empty array
        return _no_steps(body, init, xs)
    if backend == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return _graph_scan(tf, body, init, xs, reverse)
    return _python_scan(body, init, xs, reverse)


def _no_steps(body, init, xs):
    first = tree.map_structure(lambda x: ops.zeros(ops.shape(x)[1:], x.dtype), xs)
    emitted = body(init, first)[1]
    return init, tree.map_structure(
        lambda y: ops.zeros((0, *ops.shape(y)), y.dtype), emitted
    )


def _python_scan(body, init, xs, reverse):
    steps = tree.flatten(xs)[0].shape[0]
    carry, ys = init, []
    order = range(steps)
    for step in reversed(order) if reverse else order:
        carry, y = body(carry, tree.map_structure(lambda x, step=step: x[step], xs))
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map_structure(lambda *y: ops.stack(y), *ys)


def _graph_scan(tf, body, init, xs, reverse):
    leaves = tree.flatten(xs)
    steps = leaves[0].shape[0]
    if steps is None:
        steps = tf.shape(leaves[0])[0]
    emitted = tf.function(body, autograph=False).get_concrete_function(
        tree.map_structure(lambda c: tf.TensorSpec(c.shape, c.dtype), init),
        tree.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), xs),
    )
    specs = emitted.structured_outputs[1]

    def array(dtype, shape):
        return tf.TensorArray(dtype, size=steps, element_shape=shape)

    inputs = tree.map_structure(lambda x: array(x.dtype, x.shape[1:]).unstack(x), xs)
    outputs = [array(spec.dtype, spec.shape) for spec in tree.flatten(specs)]

    def loop(count, carry, outputs):
        step = steps - 1 - count if reverse else count
        carry, y = body(carry, tree.map_structure(lambda x: x.read(step), inputs))
        written = [
            a.write(step, leaf)
            for a, leaf in zip(outputs, tree.flatten(y), strict=True)
        ]
        return count + 1, carry, written

    _, carry, outputs = tf.while_loop(
        lambda count, *_: count < steps,
        loop,
        (0, init, outputs),
        maximum_iterations=steps,
    )
    return carry, tree.pack_sequence_as(specs, [array.stack() for array in outputs])
