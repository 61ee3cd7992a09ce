import numpy as np
import pytest
from keras import ops

from keras_attn.decoding import greedy_search, sample
from keras_attn.decoding.sampling import keep_likely
from tests.compiled import count_sorts
from tests.decoding.oracle import END, START, Toy
from tests.gradients import BACKEND, MODES, in_mode


def coin(logits, rows):
    """A step that throws the same dice in every row, without end."""
    logits = ops.convert_to_tensor(np.float32(logits))

    def step(tokens, states):
        shape = (ops.shape(tokens)[0], logits.shape[0])
        return ops.broadcast_to(logits, shape), states, {}

    return step, [ops.zeros((rows,), "int32")], {}, START, END


def shares(logits, rows=4000, steps=5, **options):
    """How often each token is drawn."""
    written = sample(*coin(logits, rows), steps, **{"seed": 0, **options})
    tokens = np.array(written.tokens).ravel()
    return np.bincount(tokens, minlength=len(logits)) / tokens.size


LOGITS = np.log([0.3, 1e-20, 0.4, 0.2, 0.1])  # the padding has a share


def test_tokens_are_drawn_by_their_probabilities():
    found = shares(LOGITS)
    expected = np.array([0, 0, 4, 2, 1]) / 7
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / 20_000))


def test_temperature_sharpens():
    found = shares(LOGITS, temperature=0.5)
    expected = np.array([0, 0, 16, 4, 1]) / 21
    np.testing.assert_allclose(found, expected, atol=0.015)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, [0, 0, 1, 0, 0]),
        ({"top_k": 2}, [0, 0, 2 / 3, 1 / 3, 0]),
        ({"top_k": 9}, [0, 0, 4 / 7, 2 / 7, 1 / 7]),
        ({"top_p": 0.5}, [0, 0, 1, 0, 0]),
        ({"top_p": 0.6}, [0, 0, 2 / 3, 1 / 3, 0]),
        ({"top_p": 1.0}, [0, 0, 4 / 7, 2 / 7, 1 / 7]),
        ({"top_k": 2, "top_p": 0.66}, [0, 0, 1, 0, 0]),
    ],
)
def test_only_likely_tokens_are_drawn(options, kept):
    found = shares(LOGITS, **options)
    np.testing.assert_allclose(found, kept, atol=0.015)
    assert (found[np.array(kept) == 0] == 0).all()


def test_what_is_kept_is_defined_by_sorting(rng):
    logits = rng.normal(size=(50, 9)).astype("float32")
    found = np.array(keep_likely(ops.convert_to_tensor(logits), 6, 0.7))
    for row, kept in zip(logits.astype("float64"), found, strict=True):
        order = np.argsort(-row)[:6]
        chances = np.exp(row[order]) / np.exp(row[order]).sum()
        number = 1 + np.searchsorted(np.cumsum(chances), 0.7)
        assert set(np.flatnonzero(kept > -1e29)) == set(order[:number])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, [2]),
        ({"top_k": 2}, [2, 3]),
        ({"top_p": 1e-6}, [2]),
        ({"top_p": 0.6}, [2, 3]),
        ({"top_k": 3, "top_p": 0.6}, [2, 3]),
    ],
)
def test_of_equal_tokens_the_first_are_kept(options, kept):
    found = shares(np.float32([-9, -9, 1, 1, 1]), **options)
    np.testing.assert_array_equal(np.flatnonzero(found), kept)


def test_a_seed_draws_the_same_again_and_another_one_does_not(rng):
    toy = Toy(rng, rows=20, ids=6)

    def drawn(seed):
        return np.array(sample(*toy.arguments(8), seed=seed).tokens)

    first = drawn(3)
    np.testing.assert_array_equal(drawn(3), first)
    assert (drawn(4) != first).any()
    assert len({tuple(row) for row in first}) > 5


# Of seed 7, on TensorFlow and on JAX.
DRAWN = [
    [2, 1, 0, 0, 0, 0],
    [3, 1, 0, 0, 0, 0],
    [2, 4, 2, 3, 2, 2],
    [2, 5, 1, 0, 0, 0],
    [2, 2, 4, 4, 2, 1],
    [5, 2, 2, 4, 4, 4],
    [2, 1, 0, 0, 0, 0],
    [3, 5, 3, 3, 3, 1],
    [3, 5, 4, 2, 2, 3],
]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_draws_the_same(rng, mode):
    """A seed that is a tensor too."""
    toy = Toy(rng, rows=9, ids=6)

    def run(seed):
        return sample(*toy.arguments(6), seed, temperature=0.9, top_k=4, min_length=2)

    found = in_mode(run, mode)(ops.convert_to_tensor(7, "int32"))
    assert (np.array(found.lengths) >= 2).all()
    if BACKEND != "torch":  # which draws with a generator of its own
        np.testing.assert_array_equal(found.tokens, DRAWN)
    for row, (tokens, length) in enumerate(
        zip(np.array(found.tokens), np.array(found.lengths), strict=True)
    ):
        total, attention = toy.follow(row, tokens[:length])
        np.testing.assert_allclose(found.log_probabilities[row], total, atol=1e-4)
        kept = found.emitted["attention_scores"][row]
        np.testing.assert_allclose(kept[:length], attention, atol=1e-6)
        assert not tokens[length:].any()


def test_cold_drawing_is_greedy(rng):
    toy = Toy(rng, rows=12, ids=6)
    greedy = greedy_search(*toy.arguments(6))
    cold = ({"temperature": 1e-4}, {"temperature": 1e-38})
    for options in (*cold, {"top_k": 1}, {"top_p": 1e-6}):
        found = sample(*toy.arguments(6), seed=1, **options)
        np.testing.assert_array_equal(found.tokens, greedy.tokens)
        np.testing.assert_allclose(
            found.log_probabilities, greedy.log_probabilities, atol=1e-5
        )


def test_padding_is_not_written_however_hot_it_is():
    written = sample(*coin(LOGITS, 1000), 1, seed=0, temperature=1e30)
    assert np.array(written.tokens).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, r"`temperature` must be .* above 0\. .*temperature=0"),
        ({"temperature": np.nan}, r"`temperature` must be finite .*temperature=nan"),
        ({"temperature": np.inf}, r"`temperature` must be finite .*temperature=inf"),
        ({"top_k": 2.5}, r"`top_k` must be an int .*top_k=2\.5"),
        ({"top_k": 0}, r"`top_k` must be an int .*top_k=0"),
        ({"top_p": 0}, r"`top_p` must be in \(0, 1\]\. .*top_p=0"),
        ({"top_p": 1.5}, r"`top_p` must be in \(0, 1\]\. .*top_p=1.5"),
        (
            {"min_length": 4},
            r"`min_length` must be an int .*=3\. .*min_length=4",
        ),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        sample(*coin(LOGITS, 2), 3, seed=0, **options)


@pytest.mark.skipif(BACKEND == "torch", reason="torch has no compiled mode here")
def test_the_most_likely_are_found_without_sorting(rng):
    logits = rng.normal(size=(2, 40)).astype("float32")
    assert count_sorts(lambda x: keep_likely(x, top_k=5), logits) == 0
    assert count_sorts(lambda x: keep_likely(x, top_p=0.5), logits) == 1
