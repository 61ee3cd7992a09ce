import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.cells import CELLS
from tests.gradients import MODES, gradients, weighted_sum

UNITS = 3
LAYERS = {"gru": (keras.layers.GRUCell, 3, 1), "lstm": (keras.layers.LSTMCell, 4, 2)}


@pytest.fixture(params=LAYERS)
def name(request):
    return request.param


@pytest.fixture
def arguments(name, rng):
    """The two products and the states, large enough to bend every gate."""
    _, gates, states = LAYERS[name]
    widths = [gates * UNITS] * 2 + [UNITS] * states
    return [rng.normal(size=(5, width)).astype("float32") for width in widths]


def test_steps_like_the_cell_of_keras(name, rng):
    make, _, count = LAYERS[name]
    cell = make(UNITS)
    cell.build((None, 4))
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    x = ops.convert_to_tensor(rng.normal(size=(5, 4)).astype("float32"))
    states = [
        ops.convert_to_tensor(rng.normal(size=(5, UNITS)).astype("float32"))
        for _ in range(count)
    ]
    bias = ops.convert_to_tensor(cell.bias)
    input_bias, recurrent_bias = (bias[0], bias[1]) if name == "gru" else (bias, 0.0)
    new = CELLS[name][0](
        ops.matmul(x, cell.kernel) + input_bias,
        ops.matmul(states[0], cell.recurrent_kernel) + recurrent_bias,
        tuple(states),
    )
    _, expected = cell(x, states)
    assert len(new) == count
    for ours, theirs in zip(new, expected, strict=True):
        theirs = ops.convert_to_numpy(theirs)
        np.testing.assert_allclose(ops.convert_to_numpy(ours), theirs, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_automatic_differentiation(name, arguments, mode):
    forward, backward = CELLS[name]
    expected = gradients(
        lambda inputs, recurrent, *states: weighted_sum(
            forward(inputs, recurrent, states)
        ),
        arguments,
        mode=mode,
    )
    inputs, recurrent, *states = (ops.convert_to_tensor(x) for x in arguments)
    upstream = np.cos(np.arange(5 * UNITS, dtype="float32")).reshape(5, UNITS)
    upstream = tuple(ops.convert_to_tensor(upstream) for _ in states)
    first, second, state_gradients = backward(
        inputs, recurrent, tuple(states), upstream
    )
    found = [first, second, *state_gradients]
    if name == "lstm":  # the first state acts through `recurrent` alone
        np.testing.assert_array_equal(state_gradients[0], np.zeros((5, UNITS)))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
