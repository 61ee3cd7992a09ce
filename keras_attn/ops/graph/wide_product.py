"""A product whose left side is much wider than its right one."""

import keras
from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient


def wide_product(inputs, kernel):
    """`inputs @ kernel`, with a gradient of the kernel that XLA computes fast.

    The gradient `X^T dY` has the large `X` turned, which XLA on a CPU does slowly, so
    it is computed as `(dY^T X)^T`. Barriers keep the compiler from undoing that.

    Args:
        inputs: Tensor `(n, width)`.
        kernel: Tensor `(width, units)`.

    Returns:
        Tensor `(n, units)`.
    """

    def forward(inputs, kernel):
        return (ops.matmul(inputs, kernel),), (inputs, kernel)

    def backward(residuals, gradient):
        inputs, kernel = residuals
        turned = _barrier(ops.transpose(gradient))
        return (
            ops.matmul(gradient, ops.transpose(kernel)),
            ops.transpose(_barrier(ops.matmul(turned, inputs))),
        )

    return custom_gradient(forward, backward)(inputs, kernel)[0]


def _barrier(tensor):
    """What XLA may not look through; elsewhere nothing."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.optimization_barrier(tensor)
    if keras.backend.backend() == "tensorflow" and _compiled_by_xla():
        from tensorflow.compiler.tf2xla.python import xla

        return xla.optimization_barrier(tensor)[0]
    return tensor


def _compiled_by_xla():
    """Whether TensorFlow is about to hand the operations to XLA, which it alone has."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    graph = tf.compat.v1.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)
