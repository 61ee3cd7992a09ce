"""The form of blocks around the diagonal, against the plain one."""

import numpy as np
import pytest

from keras_attn.ops import window_attention as module
from tests.comparison import assert_same
from tests.compiled import largest_array, multiplications
from tests.gradients import BACKEND, MODES, QUICKEST, in_mode, with_gradients
from tests.ops.attention_inputs import TERMS, as_tensor, draw, loss, make_terms

STEPS = 7
NAMES = [name for name in TERMS if "window" not in name]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_SMALLEST_BLOCK", 1)


def both(tensors, terms, mode):
    sources = [*tensors, *([terms["bias"]] if "bias" in terms else [])]
    for implementation in ("window", "plain"):
        chosen = mode if implementation == "window" else QUICKEST
        function = with_gradients(loss(implementation, terms))
        yield in_mode(function, chosen)(*sources)


@pytest.mark.parametrize("window", [1, 2, 3, 6, 40])
@pytest.mark.parametrize("causal", [False, True])
def test_any_width(window, causal, rng):
    """Whether blocks fill the sequence, one holds all of it, or the last is short."""
    terms = {"window": window, "causal": causal}
    assert_same(*both(draw(rng, STEPS, STEPS), terms, QUICKEST))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_plain_form(name, causal, rng):
    tensors = draw(rng, STEPS, STEPS)
    terms = {**make_terms(name, rng, STEPS, STEPS), "window": 2, "causal": causal}
    assert_same(*both(tensors, terms, QUICKEST))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("smallest", [1, 4])
def test_equals_the_plain_form_however_it_is_run(mode, smallest, monkeypatch, rng):
    monkeypatch.setattr(module, "_SMALLEST_BLOCK", smallest)
    tensors = draw(rng, STEPS, STEPS, groups=2)
    terms = make_terms("everything", rng, STEPS, STEPS)
    assert_same(*both(tensors, terms, mode))


@pytest.mark.skipif(BACKEND == "torch", reason="it has no compiler to ask")
def test_what_comes_later_costs_nothing_if_it_is_not_seen():
    tensors = [as_tensor(np.zeros((1, 2, 256, 8))) for _ in range(3)]
    both_sides, one_side = (
        multiplications(loss("window", {"window": 16, "causal": causal}), *tensors)
        for causal in (False, True)
    )
    assert one_side < 0.75 * both_sides


@pytest.mark.skipif(BACKEND == "torch", reason="it has no compiler to ask")
@pytest.mark.parametrize("name", ["nothing", "key_mask", "slopes"])
def test_cost_is_linear_in_the_length(name):
    """Not a matrix with most of it masked: neither in time nor in memory."""

    def costs(steps):
        tensors = [as_tensor(np.zeros((1, 2, steps, 8))) for _ in range(3)]
        terms = {
            "nothing": {},
            "key_mask": {"key_mask": as_tensor(np.ones((1, steps), "bool"))},
            "slopes": {"slopes": as_tensor(np.ones(2))},
        }[name]
        function = with_gradients(loss("window", {**terms, "window": 16}))
        return multiplications(function, *tensors), largest_array(function, *tensors)

    (time, memory), (twice_time, twice_memory) = costs(512), costs(1024)
    assert 1.9 < twice_time / time < 2.1
    assert 1.9 < twice_memory / memory < 2.1
    assert twice_memory < 1024 * 1024


@pytest.mark.skipif(BACKEND == "torch", reason="it has no compiler to ask")
@pytest.mark.parametrize(("name", "dtype"), [("mask", "bool"), ("bias", "float32")])
def test_of_a_matrix_the_band_is_read_and_nothing_larger_made(name, dtype):
    steps = 256
    tensors = [as_tensor(np.zeros((1, 2, steps, 8))) for _ in range(3)]
    pairs = as_tensor(np.zeros((1, 2, steps, steps), dtype))

    def function(query, key, value, given):
        terms = {name: given, "window": 16}
        return with_gradients(loss("window", terms))(query, key, value)

    assert largest_array(function, *tensors, pairs) == 2 * steps * steps


@pytest.mark.parametrize("filler", [np.inf, np.nan])
@pytest.mark.parametrize("causal", [False, True])
def test_what_lies_outside_the_band_is_not_read(causal, filler, rng):
    tensors, bias = draw(rng, STEPS, STEPS), rng.normal(size=(1, 1, STEPS, STEPS))
    distance = np.arange(STEPS) - np.arange(STEPS)[:, None]
    is_seen = (np.abs(distance) <= 2) & ((distance <= 0) | (not causal))
    terms = {"window": 2, "causal": causal}
    function = in_mode(with_gradients(loss("window", terms)), QUICKEST)
    noisy = np.where(is_seen, bias, filler)
    assert_same(
        function(*tensors, as_tensor(noisy)), function(*tensors, as_tensor(bias))
    )
