import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient
from tests.gradients import BACKEND, MODES, gradients, in_mode, with_gradients


def products(factor=1.0):
    """`x * w` and `x where mask`; gradients `factor` times too large, on purpose."""

    def forward(x, w, mask):
        return (x * w, ops.where(mask, x, 0.0)), (x, w, mask)

    def backward(residuals, product, kept):
        x, w, mask = residuals
        x_gradient = product * w + ops.where(mask, kept, 0.0)
        return factor * x_gradient, factor * product * x, None

    return custom_gradient(forward, backward)


X = np.float32([1.0, 2.0, 3.0])
W = np.float32([0.5, -1.0, 4.0])
MASK = np.array([True, False, True])


@pytest.mark.parametrize("mode", MODES)
def test_several_outputs(mode):
    def function(x, w, mask):
        return products()(x, w, mask)

    tensors = [ops.convert_to_tensor(x) for x in (X, W, MASK)]
    product, kept = in_mode(function, mode)(*tensors)
    np.testing.assert_allclose(product, X * W)
    np.testing.assert_allclose(kept, [1, 0, 3])


@pytest.mark.parametrize("mode", MODES)
def test_the_given_gradient_is_the_one_used(mode):
    def loss(x, w):
        product, kept = products(factor=10.0)(x, w, ops.convert_to_tensor(MASK))
        return ops.sum(product) + 2 * ops.sum(kept)

    x, w = gradients(loss, [X, W], mode=mode)
    np.testing.assert_allclose(x, 10 * (W + 2 * MASK))
    np.testing.assert_allclose(w, 10 * X)


@pytest.mark.parametrize("mode", MODES)
def test_an_unused_output_counts_as_zero(mode):
    def loss(x, w):
        return ops.sum(products()(x, w, ops.convert_to_tensor(MASK))[1])

    x, w = gradients(loss, [X, W], mode=mode)
    np.testing.assert_allclose(x, MASK)
    np.testing.assert_allclose(w, np.zeros(3))


@pytest.mark.parametrize("mode", MODES)
def test_variables_get_gradients(mode):
    variable = keras.Variable(W)

    def loss(x):
        w = ops.convert_to_tensor(variable)
        return ops.sum(products()(x, w, ops.convert_to_tensor(MASK))[0])

    x, w = gradients(loss, [X], [variable], mode=mode)
    np.testing.assert_allclose(x, W)
    np.testing.assert_allclose(w, X)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere only tensors are taken")
def test_a_tape_follows_a_variable_given_as_it_is():
    variable = keras.Variable(W)
    _, w = gradients(
        lambda x: ops.sum(products()(x, variable, MASK)[0]), [X], [variable]
    )
    np.testing.assert_allclose(w, X)


def cube(x):
    def backward(residuals, gradient):
        return (3.0 * residuals[0] ** 2 * gradient,)

    return custom_gradient(lambda x: ((x**3,), (x,)), backward)(x)[0]


@pytest.mark.skipif(BACKEND == "torch", reason="torch refuses second order")
def test_second_order():
    def slope(x):
        return ops.sum(with_gradients(lambda x: ops.sum(cube(x)))(x)[1][0])

    (second,) = gradients(slope, [X])
    np.testing.assert_allclose(second, 6 * X)


@pytest.mark.skipif(BACKEND != "torch", reason="the others have second order")
def test_second_order_is_refused():
    import torch

    x = torch.tensor(X, requires_grad=True)
    for reduce in (torch.sum, torch.linalg.norm):  # a linear loss and another
        loss = reduce(cube(x))
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            (loss + first.sum()).backward()
