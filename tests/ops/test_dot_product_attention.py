import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.dot_product_attention import choose, dot_product_attention
from keras_attn.ops.score_terms import ScoreTerms
from tests.gradients import BACKEND
from tests.ops.attention_inputs import draw, make_terms, output

USUAL, LONG = ("native", "native") if BACKEND == "torch" else ("plain", "chunked")


def shaped(*shape):
    return keras.KerasTensor(shape)


@pytest.mark.parametrize(
    ("query", "key", "terms", "expected"),
    [
        ((2, 4, 64, 8), (2, 4, 64, 8), {}, USUAL),
        ((1, 8, 2048, 8), (1, 8, 2048, 8), {}, LONG),
        ((1, 8, 1, 8), (1, 8, 2**22, 8), {}, USUAL),  # a step of decoding
        ((64, 8, 512, 8), (64, 8, 512, 8), {}, USUAL),
        ((None, 8, 2048, 8), (None, 8, 2048, 8), {}, LONG),
        ((1, 8, None, 8), (1, 8, None, 8), {}, USUAL),
        ((1, 4, 256, 8), (1, 4, 256, 8), {"window": 32}, "window"),
        ((1, 4, 96, 8), (1, 4, 96, 8), {"window": 32}, USUAL),
        ((1, 4, 96, 8), (1, 4, 96, 8), {"window": 32, "causal": True}, "window"),
        ((1, 4, 256, 8), (1, 4, 300, 8), {"window": 32}, USUAL),
        ((1, 4, 256, 8), (1, 4, 256, 8), {"window": 32, "positions": 1}, USUAL),
        ((1, 4, None, 8), (1, 4, None, 8), {"window": 32}, USUAL),
    ],
)
def test_the_form_suits_the_shape(query, key, terms, expected):
    chosen = choose(shaped(*query), shaped(*key), shaped(*key), ScoreTerms(**terms))
    assert chosen == expected


def test_dropout_keeps_to_what_can_draw_it():
    shape = shaped(2, 4, 64, 8)
    assert choose(shape, shape, shape, ScoreTerms(), dropout=0.5) == "plain"


@pytest.mark.parametrize(
    ("implementation", "terms", "slots", "message"),
    [
        ("fast", {}, 5, r"must be one of .*implementation='fast'"),
        ("window", {}, 5, r"wants a window.*window=None"),
        ("window", {"window": 2}, 6, r"one known length.*5.*6"),
    ],
)
def test_a_form_that_does_not_suit_is_refused(
    implementation, terms, slots, message, rng
):
    with pytest.raises(ValueError, match=message):
        output(implementation, *draw(rng, 5, slots), terms)


def test_chunks_of_an_unknown_length_are_refused():
    open_ended = shaped(1, 4, None, 8)
    with pytest.raises(ValueError, match=r"lengths of query and key.*None"):
        dot_product_attention(
            open_ended, open_ended, open_ended, ScoreTerms(), implementation="chunked"
        )


@pytest.mark.parametrize("return_attention_scores", [False, True])
@pytest.mark.parametrize("implementation", ["auto", "plain", "chunked", "window"])
@pytest.mark.parametrize(("steps", "slots"), [(0, 0), (0, 4), (4, 0)])
def test_nothing_gives_nothing(
    steps, slots, implementation, return_attention_scores, rng
):
    output, weights = dot_product_attention(
        *draw(rng, steps, slots),
        ScoreTerms(**make_terms("everything", rng, steps, slots)),
        return_attention_scores=return_attention_scores,
        implementation=implementation,
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(output), np.zeros((2, 4, steps, 2))
    )
    if return_attention_scores:
        assert tuple(weights.shape) == (2, 4, steps, slots)
