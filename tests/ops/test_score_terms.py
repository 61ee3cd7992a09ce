import itertools

import numpy as np
import pytest
from keras import ops

from keras_attn.ops.score_terms import (
    ScoreTerms,
    combined_bias,
    combined_mask,
    conjunction,
    query_positions,
    sees_anything,
)
from tests.ops.attention_inputs import BATCH, TERMS, as_tensor, make_terms

STEPS, SLOTS = 4, 6


def full_mask(terms, steps=STEPS, slots=SLOTS):
    where = query_positions(terms, steps)
    mask = combined_mask(terms, where, ops.arange(slots, dtype="int32"))
    if mask is None:
        return np.ones((BATCH, 4, steps, slots), "bool")
    return np.broadcast_to(ops.convert_to_numpy(mask), (BATCH, 4, steps, slots))


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"causal": True}, lambda i, j: j <= i),
        ({"window": 1}, lambda i, j: abs(i - j) <= 1),
        ({"causal": True, "window": 2}, lambda i, j: i - 2 <= j <= i),
    ],
)
@pytest.mark.parametrize("start", [0, 2])
def test_positions_decide(terms, expected, start):
    positions = None
    if start:
        positions = as_tensor(np.arange(start, start + STEPS, dtype="int32")[None])
    mask = full_mask(ScoreTerms(positions=positions, **terms))[0, 0]
    for i, j in np.ndindex(STEPS, SLOTS):
        assert mask[i, j] == expected(start + i, j)


def test_all_that_hides_hides(rng):
    terms = make_terms("everything", rng, STEPS, SLOTS)
    parts = [
        full_mask(ScoreTerms(**{name: terms[name]}))
        for name in ("key_mask", "mask", "causal", "window")
    ]
    np.testing.assert_array_equal(
        full_mask(ScoreTerms(**terms)), np.logical_and.reduce(parts)
    )


def test_nothing_hides_nothing():
    assert combined_mask(ScoreTerms(), None, None) is None
    assert combined_bias(ScoreTerms(), None, None) is None
    assert conjunction([None, None]) is None
    assert sees_anything(ScoreTerms(causal=True), STEPS, SLOTS) is None


def test_biases_add(rng):
    bias = rng.normal(size=(1, 4, STEPS, SLOTS)).astype("float32")
    slopes = np.float32([0.5, 0.25, 0.1, 0.0])
    terms = ScoreTerms(bias=as_tensor(bias), slopes=as_tensor(slopes))
    where = query_positions(terms, STEPS)
    found = combined_bias(terms, where, ops.arange(SLOTS, dtype="int32"))
    distance = np.abs(np.arange(STEPS)[:, None] - np.arange(SLOTS))
    expected = bias - slopes[:, None, None] * distance
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-6)


def test_a_bias_of_half_precision_stays_finite():
    bias = ops.cast(as_tensor(np.full((1, 1, 2, 2), -1e9)), "float16")  # -inf
    found = ops.convert_to_numpy(combined_bias(ScoreTerms(bias=bias), None, None))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


ROWS = np.array([[True] * SLOTS, [False, False, True, False, False, True]])
SEEN = {
    "key_mask": as_tensor(ROWS),
    "causal": True,
    "window": 1,
    "positions": as_tensor(np.array([[0, 1, 2, 3], [2, 3, 4, 9]], "int32")),
}
CHOICES = [
    names
    for count in range(len(SEEN) + 1)
    for names in itertools.combinations(SEEN, count)
]


@pytest.mark.parametrize("names", CHOICES, ids="-".join)
def test_what_sees_anything_is_what_the_matrix_says(names):
    """Without making the matrix."""
    terms = ScoreTerms(**{name: SEEN[name] for name in names})
    check_seen(terms)


@pytest.mark.parametrize("name", TERMS)
def test_what_sees_anything_with_a_matrix(name, rng):
    check_seen(ScoreTerms(**make_terms(name, rng, STEPS, SLOTS)))


def check_seen(terms):
    seen = sees_anything(terms, STEPS, SLOTS)
    seen = np.ones((1, 1), "bool") if seen is None else ops.convert_to_numpy(seen)
    expected = full_mask(terms).any(axis=(1, 3))
    np.testing.assert_array_equal(np.broadcast_to(seen, (BATCH, STEPS)), expected)


def test_where_there_are_no_keys_nothing_is_seen():
    assert not ops.convert_to_numpy(sees_anything(ScoreTerms(), STEPS, 0)).any()
