import numpy as np
import pytest
from keras import ops

from keras_attn.decoding import sample
from keras_attn.decoding.greedy import greedy_search
from tests.gradients import MODES, in_mode

PADDING, START, END = 0, 2, 3
VOCABULARY = 7


def chain(table):
    """A step whose logits depend on the row and its last token; it counts its steps."""
    flat = ops.convert_to_tensor(table.reshape(-1, VOCABULARY).astype("float32"))

    def step(last, states):
        row, count = states
        logits = ops.take(flat, row * VOCABULARY + last, axis=0)
        emitted = {"count": count, "pair": ops.stack([row, last], axis=-1)}
        return logits, [row, count + 1], emitted

    return step


def search(table, max_length):
    rows = ops.arange(len(table), dtype="int32")
    counts = ops.zeros_like(rows)
    emitted = {"count": counts, "pair": ops.stack([rows, rows], axis=-1)}
    states = [rows, counts]
    return greedy_search(chain(table), states, emitted, START, END, max_length)


def follow(*walks):
    """Logits that make each row walk from the start through the given tokens."""
    table = np.zeros((len(walks), VOCABULARY, VOCABULARY))
    for row, walk in zip(table, walks, strict=True):
        for last, token in zip((START, *walk), walk, strict=False):
            row[last, token] = 9.0
    return table


def oracle(table, max_length):
    """The same in plain Python: tokens and score of each row."""
    for row in table:
        tokens, score, last = [], 0.0, START
        while len(tokens) < max_length and last != END:
            logits = row[last]
            last = 1 + int(np.argmax(logits[1:]))
            tokens.append(last)
            score += logits[last] - np.log(np.sum(np.exp(logits)))
        yield tokens, score


def test_rows_end_on_their_own():
    table = follow((4, 5, END), (END,), (6, 5, 4, END))
    tokens, lengths, _, emitted = search(table, max_length=6)
    np.testing.assert_array_equal(
        tokens,
        [[4, 5, END, 0, 0, 0], [END, 0, 0, 0, 0, 0], [6, 5, 4, END, 0, 0]],
    )
    np.testing.assert_array_equal(lengths, [3, 1, 4])
    np.testing.assert_array_equal(
        emitted["count"],
        [[0, 1, 2, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 0, 0]],
    )
    np.testing.assert_array_equal(
        emitted["pair"][2], [[2, 2], [2, 6], [2, 5], [2, 4], [0, 0], [0, 0]]
    )


def test_a_row_stays_ended_whatever_the_logits_say():
    table = follow((END,), (4, 5, 6, END))
    table[0, PADDING, 5] = 99.0  # what a padding token would lead to
    table[0, END, 5] = 99.0
    tokens, lengths, score, _ = search(table, max_length=5)
    np.testing.assert_array_equal(tokens[0], [END, 0, 0, 0, 0])
    alone = search(table[:1], max_length=5)
    np.testing.assert_allclose(score[0], alone[2][0], rtol=1e-6)
    assert int(lengths[0]) == 1


@pytest.mark.parametrize("max_length", [1, 3])
def test_stops_at_the_greatest_length(max_length):
    tokens, lengths, *_ = search(follow((4, 5, 6, 1, END)), max_length)
    np.testing.assert_array_equal(tokens, [[4, 5, 6][:max_length]])
    np.testing.assert_array_equal(lengths, [max_length])


def test_padding_is_never_written_but_has_its_probability():
    table = follow((4, END))
    table[0, START, PADDING] = 50.0
    tokens, lengths, score, _ = search(table, max_length=3)
    np.testing.assert_array_equal(tokens, [[4, END, 0]])
    np.testing.assert_array_equal(lengths, [2])
    np.testing.assert_allclose(score, [next(oracle(table, 3))[1]], rtol=1e-6)
    assert float(score[0]) < -40


@pytest.mark.parametrize("mode", MODES)
def test_equals_plain_python(rng, mode):
    table = 3 * rng.normal(size=(30, VOCABULARY, VOCABULARY))
    expected = list(oracle(table, 6))
    rows = ops.arange(30, dtype="int32")

    def run(rows):
        states = [rows, ops.zeros_like(rows)]
        emitted = {"count": rows, "pair": ops.stack([rows, rows], axis=-1)}
        return greedy_search(chain(table), states, emitted, START, END, 6)

    tokens, lengths, score, emitted = in_mode(run, mode)(rows)
    assert len({len(row) for row, _ in expected}) > 2  # rows end at different steps
    for row, (row_tokens, row_score) in enumerate(expected):
        length = len(row_tokens)
        padding = [0] * (6 - length)
        assert int(lengths[row]) == length
        np.testing.assert_array_equal(tokens[row], row_tokens + padding)
        np.testing.assert_allclose(score[row], row_score, rtol=1e-5)
        steps = list(range(length))
        np.testing.assert_array_equal(emitted["count"][row], steps + padding)


def test_an_empty_batch_writes_nothing():
    tokens, lengths, score, emitted = search(follow(), max_length=4)
    assert tuple(tokens.shape) == (0, 4)
    assert tuple(lengths.shape) == tuple(score.shape) == (0,)
    assert tuple(emitted["pair"].shape) == (0, 4, 2)


def test_half_precision_logits_score_in_full():
    table = follow((4, 5, END))

    def step(last, states):
        logits, states, emitted = chain(table)(last, states)
        return ops.cast(logits, "float16"), states, emitted

    rows = ops.zeros((1,), "int32")
    emitted = {"count": rows, "pair": ops.stack([rows, rows], axis=-1)}
    _, _, score, _ = greedy_search(step, [rows, rows], emitted, START, END, 4)
    assert ops.dtype(score) == "float32"
    np.testing.assert_allclose(score, [next(oracle(table, 4))[1]], rtol=1e-3)


@pytest.mark.parametrize("max_length", [0, -1])
def test_refuses_no_steps(max_length):
    message = rf"`max_length` must be an int .* Received: max_length={max_length}"
    with pytest.raises(ValueError, match=message):
        search(follow((END,)), max_length)


@pytest.mark.parametrize("nothing", [-np.inf, np.nan])
@pytest.mark.parametrize("draw", [False, True])
def test_a_row_without_a_possible_token_ends_there(nothing, draw):
    """After one token, or before; and the other rows go on."""
    table = follow((4, 5, END), (4, 5, END), (4, 5, END))
    table[1, 4] = table[2, START] = nothing
    rows = ops.arange(3, dtype="int32")
    states = [rows, ops.zeros_like(rows)]
    emitted = {"count": rows, "pair": ops.stack([rows, rows], axis=-1)}
    arguments = (chain(table), states, emitted, START, END, 5)
    if draw:
        found = sample(*arguments, seed=0, temperature=1e-3)
    else:
        found = greedy_search(*arguments)
    tokens = [[4, 5, END, 0, 0], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(found.tokens, tokens)
    np.testing.assert_array_equal(found.lengths, [3, 1, 0])
    scores = ops.convert_to_numpy(found.log_probabilities)
    assert np.isneginf(scores[1:]).all() and -1 < scores[0] < 0
    pairs = ops.convert_to_numpy(found.emitted["pair"])
    assert not pairs[1, 1:].any() and not pairs[2].any()
