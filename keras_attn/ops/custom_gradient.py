"""One way to give a function its own gradient, on every backend."""

import keras


def custom_gradient(forward, backward):
    """Joins a forward and a backward pass into one differentiable function.

    `keras.ops.custom_gradient` takes a single output on torch and loses the gradients
    of captured variables there; this helper takes tensors only, all of them as
    arguments, and any number of outputs.

    Second-order gradients go through the operations of `backward` on TensorFlow and
    JAX; torch raises, since there a second pass would silently miss the residuals.

    Args:
        forward: Function `(*inputs) -> (outputs, residuals)`, two tuples of tensors.
            It must not close over tensors: all it reads comes in as an argument.
        backward: Function `(residuals, *output_gradients) -> input_gradients`, one
            entry for each input, `None` for an input that has no gradient (a mask).

    Returns:
        Function `(*inputs) -> outputs`, a tuple of tensors.
    """
    return _BACKENDS[keras.backend.backend()](forward, backward)


def _tensorflow(forward, backward):
    import tensorflow as tf

    @tf.custom_gradient
    def function(*inputs):
        outputs, residuals = forward(*inputs)
        return outputs, lambda *gradients: backward(residuals, *gradients)

    def call(*inputs):  # a variable is read here, so that its gradient flows
        return tuple(function(*(tf.convert_to_tensor(x) for x in inputs)))

    return call


def _jax(forward, backward):
    import jax

    @jax.custom_vjp
    def function(*inputs):
        return forward(*inputs)[0]

    function.defvjp(
        forward, lambda residuals, gradients: tuple(backward(residuals, *gradients))
    )
    return function


def _torch(forward, backward):
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, *inputs):
            outputs, residuals = forward(*inputs)
            context.save_for_backward(*residuals)
            return tuple(outputs)

        @staticmethod
        def backward(context, *gradients):
            if torch.is_grad_enabled():  # else a second pass may go unnoticed
                gradients = tuple(g.detach().requires_grad_() for g in gradients)
            return first_order(context, *gradients)

    @torch.autograd.function.once_differentiable
    def first_order(context, *gradients):
        return tuple(backward(context.saved_tensors, *gradients))

    return Function.apply


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
