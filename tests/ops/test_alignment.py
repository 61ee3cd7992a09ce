import re

import numpy as np
import pytest
from keras import ops

from keras_attn.ops.alignment import additive_scores, dot_scores
from tests.gradients import (
    BACKEND,
    MODES,
    gradients,
    in_mode,
    weighted_sum,
    with_gradients,
)


def plain_additive(query, key, scale, backend=ops):
    """The formula, with its `(b, t, s, u)` tensor."""
    return backend.sum(backend.tanh(query[:, :, None] + key[:, None]) * scale, axis=-1)


def random_arguments(rng, steps, batch=2, slots=5, units=3):
    shapes = (batch, steps, units), (batch, slots, units), (units,)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("mode", MODES)
def test_additive_scores_match_numpy(rng, steps, mode):
    arguments = random_arguments(rng, steps)
    tensors = [ops.convert_to_tensor(x) for x in arguments]
    scores = in_mode(additive_scores, mode)(*tensors)
    doubles = [x.astype("float64") for x in arguments]
    expected = plain_additive(*doubles, backend=np)
    assert tuple(scores.shape) == (2, steps, 5)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("mode", MODES)
def test_additive_gradients_are_those_of_the_formula(rng, steps, mode):
    arguments = random_arguments(rng, steps)
    found = gradients(
        lambda *x: weighted_sum(additive_scores(*x)), arguments, mode=mode
    )
    expected = gradients(lambda *x: weighted_sum(plain_additive(*x)), arguments)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_dot_scores_match_numpy(rng, factor):
    query, key, _ = random_arguments(rng, 4)
    scores = dot_scores(
        ops.convert_to_tensor(query), ops.convert_to_tensor(key), factor
    )
    doubles = query.astype("float64"), key.astype("float64")
    expected = factor * np.einsum("btu,bsu->bts", *doubles)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def compiled_text(function, tensors):
    """What XLA makes of the function."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function).lower(*tensors).compile().as_text()
    compiled = in_mode(function, "xla")
    return compiled.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")


def largest_tensor(text):
    shapes = re.findall(r"\b(?:f32|pred|s32)\[([\d,]+)\]", text)
    return max(np.prod([int(size) for size in shape.split(",")]) for shape in shapes)


@pytest.mark.skipif(BACKEND == "torch", reason="XLA reports the shapes it compiles")
def test_no_tensor_holds_every_hidden_unit_of_every_pair(rng):
    batch, steps, slots, units = 2, 11, 13, 17
    tensors = [
        ops.convert_to_tensor(x)
        for x in random_arguments(rng, steps, batch, slots, units)
    ]

    def largest(scores):
        function = with_gradients(lambda *x: ops.sum(ops.sin(scores(*x))))
        return largest_tensor(compiled_text(function, tensors))

    assert largest(plain_additive) >= batch * steps * slots * units
    assert largest(additive_scores) <= batch * slots * units
