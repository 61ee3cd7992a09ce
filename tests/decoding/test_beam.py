import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_attn.decoding import beam_search, greedy_search
from tests.comparison import assert_same
from tests.compiled import count_sorts
from tests.decoding.oracle import END, SLOTS, START, Options, Toy, beam, best_of_all
from tests.gradients import BACKEND, MODES, QUICKEST, in_mode

# JAX compiles each of these anew.
EXAMPLES = {"tensorflow": 40, "jax": 4, "torch": 25}[BACKEND]
some_examples = settings(max_examples=EXAMPLES, deadline=None, database=None)


def search(toy, options, mode=QUICKEST, mask=None):
    def run():
        given = options._asdict()
        *first, _ = toy.arguments(given["max_length"])
        return beam_search(*first, **given, coverage_mask=mask)

    found = in_mode(run, mode)()
    return type(found)(
        *(
            {name: ops.convert_to_numpy(value) for name, value in part.items()}
            if isinstance(part, dict)
            else ops.convert_to_numpy(part)
            for part in found
        )
    )


def assert_found(found, toy, expected, options):
    """The hypotheses of each row, and what was emitted along them."""
    for row, hypotheses in enumerate(expected):
        for place in range(options.n_best):
            tokens = found.tokens[row, place]
            length = found.lengths[row, place]
            emitted = {name: each[row, place] for name, each in found.emitted.items()}
            if place >= len(hypotheses):
                assert length == 0
                assert found.scores[row, place] == -np.inf
                assert found.log_probabilities[row, place] == -np.inf
            else:
                score, total, right = hypotheses[place]
                assert tuple(tokens[:length]) == right
                np.testing.assert_allclose(found.scores[row, place], score, atol=1e-4)
                np.testing.assert_allclose(
                    found.log_probabilities[row, place], total, atol=1e-4
                )
                attention = toy.follow(row, right)[1]
                np.testing.assert_allclose(
                    emitted["attention_scores"][:length], attention, atol=1e-6
                )
                assert tuple(emitted["read"][:length]) == (START, *right)[:length]
            assert not tokens[length:].any()
            assert not any(each[length:].any() for each in emitted.values())


@st.composite
def all_hypotheses(draw):
    """Options under which no hypothesis is ever dropped."""
    ids, max_length = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    width = (ids - 1) * max(1, ids - 2) ** (max_length - 1)
    options = Options(
        max_length,
        beam_width=width,
        n_best=draw(st.integers(1, width)),
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(st.sampled_from([0.0, 0.6, 2.0])),
        coverage_penalty=draw(st.sampled_from([0.0, 0.4])),
    )
    return ids, options, draw(st.integers(0, 2**20))


@some_examples
@given(all_hypotheses())
def test_a_wide_beam_finds_the_best_of_all(case):
    ids, options, seed = case
    toy = Toy(np.random.default_rng(seed), rows=2, ids=ids)
    expected = [best_of_all(toy, row, options) for row in range(2)]
    assert_found(search(toy, options), toy, expected, options)


@st.composite
def narrow_beams(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    width = groups * draw(st.integers(1, 4))
    max_length = draw(st.integers(1, 6))
    options = Options(
        max_length,
        beam_width=width,
        n_best=draw(st.integers(1, width)),
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(st.sampled_from([0.0, 0.6, 2.0])),
        coverage_penalty=draw(st.sampled_from([0.0, 0.4])),
        num_groups=groups,
        diversity=draw(st.sampled_from([0.0, 0.7])),
    )
    return draw(st.integers(2, 7)), options, draw(st.integers(0, 2**20))


@some_examples
@given(narrow_beams())
def test_any_beam_is_the_one_that_is_defined(case):
    ids, options, seed = case
    toy = Toy(np.random.default_rng(seed), rows=3, ids=ids)
    expected = [beam(toy, row, options) for row in range(3)]
    assert_found(search(toy, options), toy, expected, options)


EVERYTHING = Options(
    6,
    beam_width=6,
    n_best=4,
    min_length=2,
    length_penalty=0.7,
    coverage_penalty=0.2,
    num_groups=2,
    diversity=0.5,
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [EVERYTHING, Options(5, 3, 3)])
def test_every_mode_finds_the_same(rng, options, mode):
    toy = Toy(rng, rows=5, ids=6)
    mask = np.arange(SLOTS) < np.array([[3], [2], [1], [3], [2]])
    expected = [beam(toy, row, options, mask) for row in range(5)]
    assert_found(search(toy, options, mode, mask), toy, expected, options)


@pytest.mark.parametrize("options", [EVERYTHING, Options(6, 4, 2, length_penalty=1.0)])
def test_a_row_alone_is_the_row_in_its_batch(rng, options):
    toy = Toy(rng, rows=6, ids=6)
    together = search(toy, options)
    assert len(set(together.lengths[:, 0])) > 1
    for row in range(6):
        alone = Toy(rng, rows=1, ids=6)
        alone.logits, alone.attention = toy.logits[[row]], toy.attention[[row]]
        assert_same(
            search(alone, options),
            type(together)(
                *(
                    {name: each[[row]] for name, each in part.items()}
                    if isinstance(part, dict)
                    else part[[row]]
                    for part in together
                )
            ),
        )


def test_one_beam_is_greedy(rng):
    toy = Toy(rng, rows=30, ids=6)
    greedy = greedy_search(*toy.arguments(7))
    found = search(toy, Options(7, beam_width=1))
    assert len(set(found.lengths[:, 0])) > 3
    for one, other in zip(found[:3], greedy[:3], strict=True):
        np.testing.assert_allclose(one[:, 0], other, atol=1e-5)
    for name, value in greedy.emitted.items():
        np.testing.assert_allclose(found.emitted[name][:, 0], value, atol=1e-6)


def improbable_end(rng):
    """A model that never ends of its own accord."""
    toy = Toy(rng, rows=4, ids=5)
    toy.logits[..., END] = -60.0
    return toy


def test_what_never_ends_is_returned_at_the_greatest_length(rng):
    toy, options = improbable_end(rng), Options(4, 3, 3)
    found = search(toy, options)
    np.testing.assert_array_equal(found.lengths, np.full((4, 3), 4))
    assert not (found.tokens == END).any()
    assert_found(found, toy, [beam(toy, row, options) for row in range(4)], options)


def test_the_finished_come_before_the_unfinished(rng):
    toy, options = improbable_end(rng), Options(3, 4, 4)
    is_probable = rng.random(toy.logits.shape[:2]) < 0.5
    toy.logits[..., END] = np.where(is_probable, -3.0, -60.0)
    found = search(toy, options)
    has_ended = (found.tokens == END).any(axis=-1)
    assert 0 < has_ended.sum() < has_ended.size
    assert (np.diff(has_ended.astype(int), axis=1) <= 0).all()
    assert_found(found, toy, [beam(toy, row, options) for row in range(4)], options)


def test_a_probable_end_is_not_written_over():
    """P(end) = .6 at each step: the empty hypothesis is the best there is."""

    def step(tokens, states):
        logits = ops.log(ops.convert_to_tensor([[1e-9, 0.6, 0.4]]))
        return ops.broadcast_to(logits, (ops.shape(tokens)[0], 3)), states, {}

    rows = ops.zeros((2,), "int32")
    found = beam_search(step, [rows], {}, START, END, 6, 2, n_best=2)
    np.testing.assert_array_equal(found.tokens[0, :, :3], [[END, 0, 0], [2, END, 0]])
    np.testing.assert_allclose(
        found.log_probabilities[0], np.log([0.6, 0.4 * 0.6]), atol=1e-5
    )


def test_keras_hub_writes_over_a_probable_end():
    """The same toy in the sampler of keras-hub, whose finished beams go on."""
    samplers = pytest.importorskip("keras_hub").samplers

    def step(prompt, cache, index):
        logits = ops.log(ops.convert_to_tensor([[1e-9, 0.6, 0.4]]))
        return ops.broadcast_to(logits, (ops.shape(prompt)[0], 3)), None, cache

    prompt = ops.convert_to_tensor([[2, 0, 0, 0, 0, 0, 0]], "int32")
    mask = ops.convert_to_tensor([[True] + [False] * 6])
    sampler = samplers.BeamSampler(num_beams=2)
    found = sampler(step, prompt, index=1, mask=mask, stop_token_ids=[END])
    first = np.array(found)[0, 1:]
    assert not np.array_equal(first, [END, 0, 0, 0, 0, 0])


@pytest.mark.skipif(BACKEND == "jax", reason="counts the steps of an eager loop")
def test_stops_when_nothing_better_can_come():
    steps = []

    def step(tokens, states):
        steps.append(1)
        logits = ops.convert_to_tensor([[-99.0, 3.0, 0.0, -1.0]])
        return ops.broadcast_to(logits, (ops.shape(tokens)[0], 4)), states, {}

    rows = ops.zeros((2,), "int32")
    beam_search(step, [rows], {}, START, END, 50, beam_width=3, n_best=2)
    assert len(steps) == 2


def test_goes_on_while_the_greatest_length_could_still_win():
    """Of the first token's two ways the less probable ends as late as it may."""
    start, chances = 4, np.full((5, 5), 1e-20)
    chances[start, [0, END, 2]] = (
        1 - np.exp(-1) - np.exp(-1.5),
        np.exp(-1),
        np.exp(-1.5),
    )
    chances[2, 3] = chances[3, END] = 1.0
    logits = ops.convert_to_tensor(np.log(chances).astype("float32"))

    def step(tokens, states):
        return ops.take(logits, tokens, axis=0), states, {}

    rows = ops.zeros((1,), "int32")
    found = beam_search(step, [rows], {}, start, END, 3, 1, length_penalty=2.0)
    np.testing.assert_array_equal(found.tokens[0, 0], [2, 3, END])
    np.testing.assert_allclose(found.scores[0, 0], -1.5 / (8 / 6) ** 2, atol=1e-5)


def test_coverage_prefers_what_has_read_everything():
    """Of two ways, 3 is the more probable, but reads the first slot only."""
    start, logits = 4, np.full((5, 5), -50.0, "float32")
    logits[start, 2:4], logits[2:4, END] = [-0.1, 0.0], 0.0
    attention = np.array([[0.9, 0.1, 0.0]] * 5, "float32")
    attention[2] = [0.1, 0.9, 0.0]
    logits, attention = (ops.convert_to_tensor(x) for x in (logits, attention))

    def step(tokens, states):
        emitted = {"attention_scores": ops.take(attention, tokens, axis=0)}
        return ops.take(logits, tokens, axis=0), states, emitted

    def best(mask=None, **options):
        rows = ops.zeros((1,), "int32")
        emitted = {"attention_scores": ops.zeros((1, 3))}
        mask = None if mask is None else ops.convert_to_tensor([mask])
        found = beam_search(
            step, [rows], emitted, start, END, 3, 3, coverage_mask=mask, **options
        )
        return int(found.tokens[0, 0, 0])

    assert best() == 3
    assert best(coverage_penalty=1.0) == 2
    assert best([True, True, False], coverage_penalty=1.0) == 2
    assert best([True, False, False], coverage_penalty=1.0) == 3


def test_groups_write_differently(rng):
    toy = Toy(rng, rows=8, ids=7)
    found = {
        diversity: search(toy, Options(5, 4, 4, num_groups=4, diversity=diversity))
        for diversity in (0.0, 3.0)
    }
    # Groups that do not see each other find the same.
    assert (found[0.0].tokens == found[0.0].tokens[:, :1]).all()
    kinds = [len({tuple(h) for h in row}) for row in found[3.0].tokens]
    assert min(kinds) >= 3
    alone = search(toy, Options(5, 1))
    difference = found[3.0].log_probabilities - alone.log_probabilities
    assert (np.abs(difference).min(axis=1) < 1e-5).all()  # the first group's


def test_constants_belong_to_their_rows(rng):
    """As states do, but they are not moved."""
    toy = Toy(rng, rows=4, ids=5)
    step, states, *rest = toy.arguments(5)

    def with_constants(tokens, states, constants):
        states = {**states, "row": constants[0]}
        assert constants[1] is None
        logits, states, emitted = step(tokens, states)
        return logits, {n: states[n] for n in ("code", "steps")}, emitted

    moved = {name: states[name] for name in ("code", "steps")}
    constants = (states["row"], None)
    expected = beam_search(step, states, *rest, 3, n_best=2)
    found = beam_search(with_constants, moved, *rest, 3, n_best=2, constants=constants)
    assert_same(found, expected)
    greedy = greedy_search(with_constants, moved, *rest, constants=constants)
    assert_same(greedy, greedy_search(step, states, *rest))


def test_an_empty_batch_has_no_hypotheses(rng):
    toy = Toy(rng, rows=0, ids=4)
    found = search(toy, Options(3, 2, 2), "eager")
    assert found.tokens.shape == (0, 2, 3)
    assert found.emitted["attention_scores"].shape == (0, 2, 3, SLOTS)


def test_impossible_tokens_are_never_written(rng):
    """Logits of minus infinity, as a constraint sets them."""
    toy, options = Toy(rng, rows=3, ids=5), Options(3, 6, 6)
    toy.logits[..., 3:] = -np.inf
    found = search(toy, options)
    assert not (found.tokens >= 3).any()
    lengths = [[1, 2, 3, 3, 0, 0]] * 3  # three that end, one that does not
    np.testing.assert_array_equal(np.sort(found.lengths), np.sort(lengths))
    assert not np.isnan(found.scores).any()


def test_half_precision_logits_score_in_full(rng):
    toy = Toy(rng, rows=2, ids=5)
    toy.logits = toy.logits.astype("float16").astype("float32")
    step, *rest = toy.arguments(4)

    def half(tokens, states):
        logits, states, emitted = step(tokens, states)
        return ops.cast(logits, "float16"), states, emitted

    assert_same(
        beam_search(half, *rest, 3, n_best=3), beam_search(step, *rest, 3, n_best=3)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_length": 0},
            r"`max_length` must be an int .*max_length=0",
        ),
        (
            {"min_length": 5},
            r"`min_length` must be an int .*=4\. .*min_length=5",
        ),
        ({"min_length": -1}, r"`min_length` must be an int between 0 .*min_length=-1"),
        (
            {"beam_width": 0},
            r"`beam_width` must be an int .*beam_width=0",
        ),
        ({"n_best": 4}, r"`n_best` must lie .* beam_width=3\. Received: n_best=4"),
        ({"n_best": 0}, r"`n_best` must be an int .*n_best=0"),
        ({"n_best": 1.0}, r"`n_best` must be an int .*n_best=1\.0"),
        ({"beam_width": 2.0}, r"`beam_width` must be an int .*beam_width=2\.0"),
        ({"max_length": 4.5}, r"`max_length` must be an int .*max_length=4\.5"),
        ({"min_length": 1.5}, r"`min_length` must be an int .*min_length=1\.5"),
        ({"num_groups": 2}, r"`num_groups` must divide beam_width=3\. .*num_groups=2"),
        ({"num_groups": 0}, r"`num_groups` must be an int .*num_groups=0"),
        ({"length_penalty": -1}, r"`length_penalty` must be a finite number .*=-1"),
        ({"coverage_penalty": -1}, r"`coverage_penalty` must be a finite number .*=-1"),
        ({"diversity": float("nan")}, r"`diversity` must be a finite number .*=nan"),
        ({"end_token_id": 0}, r"`end_token_id` must lie .*, 5\. .*end_token_id=0"),
        ({"end_token_id": 5}, r"`end_token_id` must lie .*, 5\. .*end_token_id=5"),
    ],
)
def test_refuses(rng, options, message):
    step, states, emitted, *_ = Toy(rng, rows=2, ids=5).arguments(4)
    given = {"max_length": 4, "beam_width": 3, "end_token_id": END, **options}
    with pytest.raises(ValueError, match=message):
        beam_search(step, states, emitted, START, **given)


def test_a_group_that_dies_leaves_the_answer_to_the_others():
    """The same in a batch that goes on for longer."""
    x, y, z, w, start, ids = 2, 3, 4, 5, 6, 7
    shares = np.zeros((ids, ids))
    shares[start, [x, y, END, z, w]] = 0.5, 0.4, 0.05, 0.04, 0.01
    shares[x, END] = shares[END, END] = 1.0
    shares[y, 0] = shares[0, 0] = 1.0  # what may not be written: y ends nowhere
    shares[z, [END, z]] = shares[w, [END, w]] = 0.6, 0.4
    endless = np.full((ids, ids), 1e-26)
    endless[:, x] = 1.0
    with np.errstate(divide="ignore"):
        logits = np.log(np.stack([shares, endless])).astype("float32")

    def step(tokens, row):
        return ops.take(logits.reshape(-1, ids), row * ids + tokens, axis=0), row, {}

    found = [
        beam_search(
            step,
            ops.convert_to_tensor(np.int32(rows)),
            {},
            start,
            END,
            max_length=6,
            beam_width=4,
            n_best=4,
            num_groups=2,
            diversity=10.0,
        )
        for rows in ([0], [0, 1])
    ]
    alone, beside = (ops.convert_to_numpy(each.tokens)[0] for each in found)
    np.testing.assert_array_equal(alone, beside)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found[0].scores)[0],
        ops.convert_to_numpy(found[1].scores)[0],
    )


def test_a_state_may_be_a_number(rng):
    table = ops.convert_to_tensor(rng.normal(size=(6, 5)).astype("float32"))

    def step(tokens, states):
        row, count = states
        return ops.take(table, (tokens + count) % 6, axis=0), [row, count + 1], {}

    states = [np.arange(2, dtype="int32"), 0]
    given = {"max_length": 4, "start_token_id": START, "end_token_id": END}
    found = beam_search(step, states, {}, beam_width=1, **given)
    expected = greedy_search(step, states, {}, **given)
    assert_same(found.tokens[:, 0], expected.tokens)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, SLOTS + 1), "bool"), r"`coverage_mask` must have shape"),
        (np.ones((2, SLOTS), "int32"), r"`coverage_mask` must be boolean.*int32"),
    ],
)
def test_refuses_another_mask(rng, mask, message):
    options = Options(4, 3, coverage_penalty=0.1)
    with pytest.raises(ValueError, match=message):
        search(Toy(rng, rows=2, ids=5), options, mask=ops.convert_to_tensor(mask))


def test_refuses_coverage_of_no_attention():
    rows = ops.zeros((2,), "int32")
    with pytest.raises(ValueError, match=r"`coverage_penalty` needs .*coverage_pen"):
        beam_search(lambda *x: x, [rows], {}, 2, 1, 4, 3, coverage_penalty=0.1)


def test_refuses_to_guess_the_number_of_rows():
    with pytest.raises(ValueError, match=r"must hold a tensor \(batch, \.\.\.\)"):
        beam_search(lambda *x: x, [ops.zeros(())], {}, 2, 1, 4, 3)


@pytest.mark.skipif(BACKEND == "torch", reason="torch has no compiled mode here")
@pytest.mark.parametrize("num_groups", [1, 2])
def test_a_compiled_search_sorts_no_vocabulary(rng, num_groups):
    toy = Toy(rng, rows=2, ids=40)

    def run(logits):
        step, *others = toy.arguments(5)
        return beam_search(
            lambda tokens, states: (logits, *step(tokens, states)[1:]),
            *others,
            beam_width=4,
            num_groups=num_groups,
            diversity=0.5,
        ).tokens

    assert count_sorts(run, rng.normal(size=(8, 40)).astype("float32")) == 0
