"""The non-linear half of the recurrent cells, with their gradients.

A cell adds two linear maps, one of its inputs and one of its state. Both arrive here
already computed, `(b, g)` each, so that a loop may form them in large products and
their weight gradients after the loop. Gate order and `reset_after` are Keras' own.
"""

from keras import ops


def gru(inputs, recurrent, states):
    """GRU with `reset_after=True` (Cho et al., 2014, as in cuDNN)."""
    update, _, candidate = _gru_gates(inputs, recurrent)
    (state,) = states
    return (update * state + (1.0 - update) * candidate,)


def gru_gradient(inputs, recurrent, states, gradients):
    """Gradients of `gru`'s inputs, recurrent part and states."""
    update, reset, candidate = _gru_gates(inputs, recurrent)
    (state,), (gradient,) = states, gradients
    candidate_gradient = gradient * (1.0 - update) * (1.0 - candidate * candidate)
    inner = ops.split(recurrent, 3, axis=-1)[2]
    reset_gradient = candidate_gradient * inner * reset * (1.0 - reset)
    update_gradient = gradient * (state - candidate) * update * (1.0 - update)
    shared = [update_gradient, reset_gradient]
    return (
        ops.concatenate([*shared, candidate_gradient], axis=-1),
        ops.concatenate([*shared, candidate_gradient * reset], axis=-1),
        (gradient * update,),
    )


def _gru_gates(inputs, recurrent):
    input_update, input_reset, input_candidate = ops.split(inputs, 3, axis=-1)
    state_update, state_reset, state_candidate = ops.split(recurrent, 3, axis=-1)
    update = ops.sigmoid(input_update + state_update)
    reset = ops.sigmoid(input_reset + state_reset)
    return update, reset, ops.tanh(input_candidate + reset * state_candidate)


def lstm(inputs, recurrent, states):
    """LSTM with forget gate (Gers et al., 2000)."""
    write, forget, candidate, read = _lstm_gates(inputs, recurrent)
    carry = forget * states[1] + write * candidate
    return read * ops.tanh(carry), carry


def lstm_gradient(inputs, recurrent, states, gradients):
    """Gradients of `lstm`'s inputs, recurrent part and states."""
    write, forget, candidate, read = _lstm_gates(inputs, recurrent)
    squashed = ops.tanh(forget * states[1] + write * candidate)
    carry = gradients[1] + gradients[0] * read * (1.0 - squashed * squashed)
    gates = ops.concatenate(
        [
            carry * candidate * write * (1.0 - write),
            carry * states[1] * forget * (1.0 - forget),
            carry * write * (1.0 - candidate * candidate),
            gradients[0] * squashed * read * (1.0 - read),
        ],
        axis=-1,
    )
    return gates, gates, (ops.zeros_like(carry), carry * forget)


def _lstm_gates(inputs, recurrent):
    write, forget, candidate, read = ops.split(inputs + recurrent, 4, axis=-1)
    return (
        ops.sigmoid(write),
        ops.sigmoid(forget),
        ops.tanh(candidate),
        ops.sigmoid(read),
    )


CELLS = {"gru": (gru, gru_gradient), "lstm": (lstm, lstm_gradient)}
