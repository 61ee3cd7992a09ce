"""What models write under a beam and by chance, and where it comes from."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import Decoder, Seq2Seq, Transformer, TransformerDecoder
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, QUICKEST, in_mode
from tests.models.transformers import (
    SIZES,
    assert_same_answers,
    numpy,
    ragged,
    with_random_weights,
)

START, END, LENGTH = 2, 3, 6
BEAM = {"beam_width": 4, "n_best": 3, "length_penalty": 0.6}
MAKERS = {
    "seq2seq": lambda: Seq2Seq(12, 9, 6, 5, cell="lstm", max_length=LENGTH),
    "repeated_state": lambda: Seq2Seq(
        12, 9, 6, 5, context="repeated_state", max_length=LENGTH
    ),
    "transformer": lambda: Transformer(12, 9, **SIZES, max_length=LENGTH),
}


@pytest.fixture(scope="module", params=MAKERS)
def model(request):
    return with_random_weights(MAKERS[request.param]())


@pytest.fixture
def source(rng):
    return ragged(rng, [5, 4, 2, 5, 1], 5, largest=11)


def decode(model, source, mode=QUICKEST, **options):
    function = in_mode(lambda tokens: model.decode(tokens, **options), mode)
    return numpy(function(ops.convert_to_tensor(source, "int32")))


def test_the_slots_to_be_covered_may_be_chosen(source):
    model = with_random_weights(MAKERS["seq2seq"]())
    options = {"beam_width": 3, "coverage_penalty": 0.3}
    usual = decode(model, source, **options)
    same = decode(model, source, coverage_mask=source != 0, **options)
    assert_same_answers(same, usual)
    none = decode(model, source, coverage_mask=np.zeros_like(source, "bool"), **options)
    assert (none["ranking_score"] >= usual["ranking_score"]).all()
    assert (none["ranking_score"] > usual["ranking_score"]).any()


def search_anew(model, source, width, steps):
    """The beam of one sentence, whose model reads everything anew at each step."""
    beams, finished = [((), 0.0)], []
    for _ in range(steps):
        read = np.array([[START, *tokens] for tokens, _ in beams], "int32")
        inputs = {"source": np.repeat(source[None], len(beams), 0), "target": read}
        inputs = {name: ops.convert_to_tensor(x) for name, x in inputs.items()}
        logits = ops.convert_to_numpy(model(inputs))[:, -1].astype("float64")
        scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        candidates = [
            ((*tokens, token), total + row[token])
            for (tokens, total), row in zip(beams, scores, strict=True)
            for token in range(1, row.size)
        ]
        candidates.sort(key=lambda each: -each[1])
        finished += [each for each in candidates[:width] if each[0][-1] == END]
        beams = [each for each in candidates if each[0][-1] != END][:width]

    def score(hypothesis):
        tokens, total = hypothesis
        return total / ((5 + len(tokens)) / 6) ** BEAM["length_penalty"]

    return [
        (tokens, total, score((tokens, total)))
        for part in (finished, beams)
        for tokens, total in sorted(part, key=score, reverse=True)
    ]


def test_a_beam_over_caches_is_a_beam_over_everything(model, source):
    found = decode(model, source, max_length=4, **BEAM)
    for row, sentence in enumerate(source):
        expected = search_anew(model, sentence, BEAM["beam_width"], 4)
        for place in range(BEAM["n_best"]):
            tokens, total, score = expected[place]
            length = found["lengths"][row, place]
            assert tuple(found["tokens"][row, place, :length]) == tokens
            np.testing.assert_allclose(found["score"][row, place], total, atol=1e-3)
            ranking = found["ranking_score"][row, place]
            np.testing.assert_allclose(ranking, score, atol=1e-3)


def test_a_hypothesis_scores_what_the_model_gives_it(model, source):
    found = decode(model, source, **BEAM)
    for place in range(BEAM["n_best"]):
        scored = numpy(model.score(source, found["tokens"][:, place]))
        np.testing.assert_allclose(scored["score"], found["score"][:, place], rtol=1e-3)
    lengths = [{tuple(row) for row in rows} for rows in found["tokens"]]
    assert all(len(kinds) == BEAM["n_best"] for kinds in lengths)


@pytest.mark.parametrize("mode", MODES[1:])
def test_every_mode_finds_the_same(model, source, mode):
    options = {"max_length": 4, "beam_width": 3, "n_best": 3}
    if getattr(model, "context", "attention") == "attention":
        options["coverage_penalty"] = 0.2
    found = decode(model, source, mode, **options)
    assert_same_answers(found, decode(model, source, MODES[0], **options))


def test_the_best_comes_without_an_axis(model, source):
    several = decode(model, source, **BEAM)
    best = decode(model, source, beam_width=4, length_penalty=0.6)
    assert best["tokens"].shape == (5, LENGTH)
    assert_same(best, {name: value[:, 0] for name, value in several.items()})
    greedy = decode(model, source)
    one = decode(model, source, beam_width=1)
    assert_same({name: one[name] for name in greedy}, greedy)


def test_a_row_alone_is_the_row_in_its_batch(model, source):
    together = decode(model, source, **BEAM)
    alone = decode(model, source[[2]], **BEAM)
    assert_same_answers(alone, {n: value[[2]] for n, value in together.items()})


def test_a_source_of_no_steps_is_one_of_padding(model, source):
    found = decode(model, source[:, :0], beam_width=2)
    expected = decode(model, np.zeros_like(source[:, :1]), beam_width=2)
    assert_same_answers(found, expected)


def test_each_hypothesis_has_its_own_attention(source):
    model = with_random_weights(MAKERS["seq2seq"]())
    found = decode(model, source, **BEAM)
    weights = found["attention_scores"]
    assert weights.shape == (5, 3, LENGTH, 5)
    written = np.arange(LENGTH) < found["lengths"][..., None]
    np.testing.assert_allclose(weights.sum(-1), written, atol=1e-5)
    hidden = np.broadcast_to((source == 0)[:, None, None], weights.shape)
    np.testing.assert_array_equal(weights[hidden], 0.0)
    read = model.decoder
    for place in range(3):
        tokens = found["tokens"][:, place]
        shifted = np.column_stack([np.full(5, START), tokens[:, :-1]])
        shifted = np.where(tokens != 0, shifted, 0)
        memory, mask, _, states = model.encode(ops.convert_to_tensor(source))
        _, expected = read(
            model.writer.embedding(ops.convert_to_tensor(shifted, "int32")),
            memory,
            initial_state=states,
            memory_mask=mask,
            return_attention_scores=True,
        )
        expected = ops.convert_to_numpy(expected) * written[:, place, :, None]
        np.testing.assert_allclose(weights[:, place], expected, atol=1e-4)


def test_a_prompt_is_continued_by_a_beam(rng):
    model = with_random_weights(TransformerDecoder(9, **SIZES, max_length=8))
    prompt, lengths = ragged(rng, [4, 1, 3], 4, largest=8), np.int32([4, 1, 3])

    def function(prompt, lengths):
        return model.decode(prompt, lengths, END, 4, beam_width=3, n_best=2)

    tensors = [ops.convert_to_tensor(x) for x in (prompt, lengths)]
    found = numpy(in_mode(function, QUICKEST)(*tensors))
    for row, (begin, length) in enumerate(zip(prompt, lengths, strict=True)):
        for place in range(2):
            tokens = found["tokens"][row, place, : found["lengths"][row, place]]
            whole = ops.convert_to_tensor([*begin[:length], *tokens], "int32")
            logits = ops.convert_to_numpy(model(whole[None]))[0].astype("float64")
            scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            total = scores[length - 1 : -1][range(len(tokens)), tokens].sum()
            np.testing.assert_allclose(found["score"][row, place], total, atol=1e-3)


def test_chance_writes_what_the_model_scores(model, source):
    found = decode(model, source, seed=5, temperature=1.5, top_k=5)
    scored = numpy(model.score(source, found["tokens"]))
    np.testing.assert_allclose(scored["score"], found["score"], rtol=1e-3)
    other = decode(model, source, seed=6, temperature=1.5, top_k=5)
    assert (other["tokens"] != found["tokens"]).any()


@pytest.mark.parametrize(
    "jit_compile", [False] if BACKEND == "torch" else [True, False]
)
def test_a_decoder_searches_as_it_is_told(source, jit_compile):
    decoder = Decoder(with_random_weights(MAKERS["seq2seq"]()), BEAM)
    decoder.compile(jit_compile=jit_compile)
    assert decoder.jit_compile == jit_compile
    expected = decode(decoder.model, source, **BEAM)
    assert_same_answers(decoder.predict(source, batch_size=5, verbose=0), expected)


def test_a_decoder_is_saved_with_its_search(source, tmp_path):
    decoder = Decoder(with_random_weights(MAKERS["seq2seq"]()), BEAM)
    expected = decode(decoder.model, source, **BEAM)
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    assert loaded.options == BEAM
    found = decode(loaded.model, source, **loaded.options)
    assert_same_answers(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_best": 2}, r"`n_best` is no option of `greedy_search`.*n_best=2"),
        ({"seed": 1, "beam_width": 2}, r"`seed` is no option of `beam_search`.*seed=1"),
        ({"seed": 1, "n_best": 2}, r"`n_best` is no option of `sample`.*n_best=2"),
        ({"beam_width": 0}, r"`beam_width` must be an int .*beam_width=0"),
        ({"max_length": 0, "beam_width": 2}, r"`max_length` must be .*max_length=0"),
    ],
)
def test_refuses_options(source, options, message):
    with pytest.raises(ValueError, match=message):
        MAKERS["seq2seq"]().decode(source, **options)


def test_refuses_coverage_without_attention(source):
    with pytest.raises(ValueError, match="`coverage_penalty` needs attention"):
        MAKERS["repeated_state"]().decode(source, beam_width=2, coverage_penalty=0.1)
