import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.attentive_recurrence import attentive_recurrence
from tests.gradients import MODES, gradients, in_mode, weighted_sum

BATCH, STEPS, SLOTS, WIDTH, UNITS, STATE = 3, 4, 5, 3, 2, 4
CHOICES = list(itertools.product(["gru", "lstm"], [True, False], [True, False]))


def loop(xp, tensors, cell, factor, inputs_mask, memory_mask, keep):
    """Equations 4 to 6 and the cells' own, step by step, on NumPy or a backend."""
    inputs, memory, key, kernel, bias, context_kernel, state, *rest = tensors
    carry = rest.pop(0) if cell == "lstm" else None
    scale = rest.pop(0) if rest else None

    def sigmoid(x):
        return 1 / (1 + xp.exp(-x))

    outputs, contexts, alignments = [], [], []
    for step in range(STEPS):
        products = xp.matmul(state, kernel) + bias
        query, recurrent = products[:, :UNITS], products[:, UNITS:]
        if scale is None:
            scores = xp.sum(query[:, None] * key, axis=-1) * factor
        else:
            scores = xp.sum(xp.tanh(query[:, None] + key) * scale, axis=-1)
        powers = xp.exp(scores) * memory_mask
        total = xp.sum(powers, axis=-1, keepdims=True)
        weights = powers / (total + 1e-9)
        read = weights * keep[:, step]
        context = xp.sum(read[..., None] * memory, axis=1)
        gates = inputs[:, step] + xp.matmul(context, context_kernel)
        a, b, c = (gates[:, i * STATE : (i + 1) * STATE] for i in range(3))
        d, e, f = (recurrent[:, i * STATE : (i + 1) * STATE] for i in range(3))
        valid = inputs_mask[:, step, None] * 1.0
        if cell == "gru":
            update = sigmoid(a + d)
            candidate = xp.tanh(c + sigmoid(b + e) * f)
            new = update * state + (1 - update) * candidate
        else:
            read_gate = sigmoid(gates[:, 3 * STATE :] + recurrent[:, 3 * STATE :])
            new_carry = sigmoid(b + e) * carry + sigmoid(a + d) * xp.tanh(c + f)
            new = read_gate * xp.tanh(new_carry)
            carry = valid * new_carry + (1 - valid) * carry
        state = valid * new + (1 - valid) * state
        outputs.append(state)
        contexts.append(context)
        alignments.append(weights)
    last = [state] if cell == "gru" else [state, carry]
    return [*(xp.stack(x, axis=1) for x in (outputs, contexts, alignments)), *last]


class Problem:
    """Random arguments of one choice of cell, alignment and masks."""

    def __init__(self, rng, cell, additive, masked):
        gates = (3 if cell == "gru" else 4) * STATE
        shapes = {
            "inputs": (BATCH, STEPS, gates),
            "memory": (BATCH, SLOTS, WIDTH),
            "key": (BATCH, SLOTS, UNITS),
            "state_kernel": (STATE, UNITS + gates),
            "state_bias": (UNITS + gates,),
            "context_kernel": (WIDTH, gates),
            **{f"state_{i}": (BATCH, STATE) for i in range(1 + (cell == "lstm"))},
            **({"scale": (UNITS,)} if additive else {}),
        }
        self.cell, self.additive, self.masked = cell, additive, masked
        self.names = list(shapes)
        self.tensors = [rng.normal(size=s).astype("float32") for s in shapes.values()]
        self.inputs_mask = np.ones((BATCH, STEPS), "bool")
        self.memory_mask = np.ones((BATCH, SLOTS), "bool")
        self.keep = np.ones((BATCH, STEPS, SLOTS), "float32")
        if masked:
            self.inputs_mask[1, 1] = self.inputs_mask[2, 2:] = False
            self.memory_mask[0, 3:] = self.memory_mask[2] = False
            self.keep = 2.0 * rng.integers(0, 2, self.keep.shape).astype("float32")

    def ours(self, *tensors):
        first = tensors[:6]
        states, scale = tensors[6:], None
        if self.additive:
            *states, scale = states
        masks = {}
        if self.masked:
            masks = {
                "inputs_mask": ops.convert_to_tensor(self.inputs_mask),
                "memory_mask": ops.convert_to_tensor(self.memory_mask),
                "keep": ops.convert_to_tensor(self.keep),
            }
        inputs, memory, key, kernel, bias, context_kernel = first
        *results, last = attentive_recurrence(
            inputs,
            memory,
            key,
            tuple(states),
            kernel,
            bias,
            context_kernel,
            scale,
            cell=self.cell,
            factor=0.5,
            **masks,
        )
        return [*results, *last]

    def expected(self, xp, *tensors):
        masks = [self.inputs_mask, self.memory_mask, self.keep]
        if xp is ops:
            masks = [ops.convert_to_tensor(mask, "float32") for mask in masks]
        return loop(xp, tensors, self.cell, 0.5, *masks)


@pytest.fixture(params=CHOICES, ids=lambda c: f"{c[0]}-{c[1]:d}-{c[2]:d}")
def problem(request, rng):
    return Problem(rng, *request.param)


@pytest.mark.parametrize("mode", MODES)
def test_values_are_those_of_the_equations(problem, mode):
    tensors = [ops.convert_to_tensor(x) for x in problem.tensors]
    found = in_mode(problem.ours, mode)(*tensors)
    expected = problem.expected(np, *(x.astype("float64") for x in problem.tensors))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_the_equations(problem, mode):
    found = gradients(
        lambda *x: weighted_sum(problem.ours(*x)), problem.tensors, mode=mode
    )
    expected = gradients(
        lambda *x: weighted_sum(problem.expected(ops, *x)), problem.tensors
    )
    for name, ours, theirs in zip(problem.names, found, expected, strict=True):
        bound = 1e-5 * max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, atol=bound, rtol=0, err_msg=name)


def test_no_steps_hand_the_state_on(rng):
    problem = Problem(rng, "lstm", additive=True, masked=False)
    tensors = [ops.convert_to_tensor(x) for x in problem.tensors]
    outputs, contexts, weights, *last = problem.ours(tensors[0][:, :0], *tensors[1:])
    shapes = [tuple(x.shape) for x in (outputs, contexts, weights)]
    assert shapes == [(BATCH, 0, STATE), (BATCH, 0, WIDTH), (BATCH, 0, SLOTS)]
    for state, first in zip(last, tensors[6:8], strict=True):
        np.testing.assert_array_equal(state, first)


def test_a_memory_of_no_slots_reads_zeros(rng):
    problem = Problem(rng, "gru", additive=False, masked=False)
    tensors = [ops.convert_to_tensor(x) for x in problem.tensors]
    tensors[1], tensors[2] = tensors[1][:, :0], tensors[2][:, :0]
    _, contexts, weights, _ = problem.ours(*tensors)
    assert tuple(weights.shape) == (BATCH, STEPS, 0)
    np.testing.assert_array_equal(contexts, np.zeros((BATCH, STEPS, WIDTH)))
    assert keras.backend.standardize_dtype(contexts.dtype) == "float32"
