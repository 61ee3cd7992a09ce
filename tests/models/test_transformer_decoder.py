import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import TransformerDecoder
from tests.gradients import BACKEND, MODES, QUICKEST, in_mode
from tests.models.transformers import (
    CHOICES,
    POSITIONS,
    SIZES,
    assert_same_answers,
    name_of,
    numpy,
    ragged,
    with_random_weights,
)
from tests.models.uncached import write_one_by_one

END, STEPS = 3, 5
LENGTHS = [4, 1, 3, 2]


def make(**options):
    return TransformerDecoder(9, **{**SIZES, "max_length": 8, **options})


def call(model, tokens):
    return ops.convert_to_numpy(model(ops.convert_to_tensor(tokens, "int32")))


def decode(model, prompt, lengths=LENGTHS, mode=QUICKEST):
    """`model.decode`, on JAX not eagerly, where it would be compiled at each call."""

    def function(prompt, lengths):
        return model.decode(prompt, lengths, END, STEPS)

    prompt, lengths = (ops.convert_to_tensor(x, "int32") for x in (prompt, lengths))
    return numpy(in_mode(function, mode)(prompt, lengths))


@pytest.fixture
def prompt(rng):
    return ragged(rng, LENGTHS, 4, largest=8)


@pytest.fixture(scope="module", params=CHOICES, ids=name_of)
def model(request):
    return with_random_weights(make(**request.param))


@pytest.fixture(scope="module")
def written():
    """What each model writes, decoded once without a cache."""
    return {}


def uncached(model, prompt):
    def logits_after(tokens):
        rows = [
            [*row[:length], *new]
            for row, length, new in zip(prompt, LENGTHS, tokens, strict=True)
        ]
        width = max(LENGTHS) + STEPS
        read = np.array([row + [0] * (width - len(row)) for row in rows], "int32")
        read = read[:, : max(len(row) for row in rows)]
        last = [len(row) - 1 for row in rows]
        return call(model, read)[range(len(rows)), last]

    return write_one_by_one(logits_after, len(prompt), STEPS, END)


@pytest.mark.parametrize("mode", MODES)
def test_cached_decoding_is_uncached_decoding(model, written, prompt, mode):
    """With prompts of different lengths side by side."""
    if model not in written:
        written[model] = uncached(model, prompt)
    found = decode(model, prompt, mode=mode)
    np.testing.assert_array_equal(found["tokens"], written[model]["tokens"])
    assert_same_answers(found, written[model])


def test_what_lies_after_the_prompts_is_not_read(model, prompt):
    expected = decode(model, prompt)
    noisy = np.where(prompt == 0, 10**6, prompt)  # no id of the vocabulary
    assert_same_answers(decode(model, noisy), expected, atol=1e-6)
    wide = np.pad(prompt, ((0, 0), (0, 2)), constant_values=5)
    assert_same_answers(decode(model, wide), expected)


def test_logits_for_every_step_carry_the_mask(model, prompt):
    assert model.output_shape == (None, None, 9)
    logits = model(ops.convert_to_tensor(prompt))
    assert logits.shape == (4, 4, 9)
    np.testing.assert_array_equal(logits._keras_mask, prompt != 0)


def test_a_token_sees_itself_and_what_came_before(prompt):
    model = with_random_weights(make())
    changed = prompt.copy()
    changed[0, 2] = 4 + (prompt[0, 2] - 3) % 5
    difference = np.abs(call(model, changed) - call(model, prompt))[0].max(axis=-1)
    assert (difference[:2] < 1e-5).all() and (difference[2:] > 1e-3).all()


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_the_loss_under_xla_is_the_mean_over_what_is_no_padding(prompt):
    model = with_random_weights(make(normalization="rms"))
    labels = np.pad(prompt[:, 1:], ((0, 0), (0, 1)))
    labels[range(4), np.array(LENGTHS) - 1] = END
    logits = call(model, prompt).astype("float64")
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    scores = np.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    history = model.fit(prompt, labels, batch_size=4, epochs=10, verbose=0)
    losses = history.history["loss"]
    np.testing.assert_allclose(losses[0], -scores[prompt != 0].mean(), rtol=1e-4)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 0, 3, 2], r"`lengths` must lie between 1 and .*, 4\. .*\[4, 0, 3, 2\]"),
        ([4, 1, 5, 2], r"`lengths` must lie between 1 and .*, 4\. .*\[4, 1, 5, 2\]"),
        ([4, 1, 3], r"`lengths` must have shape \(4,\).*\(3,\)"),
        ([[4, 1, 3, 2]], r"`lengths` must have shape \(4,\).*\(1, 4\)"),
    ],
)
def test_refuses_lengths_that_no_prompt_has(prompt, lengths, message):
    with pytest.raises(ValueError, match=message):
        make().decode(prompt, lengths, END, STEPS)


def test_refuses_prompts_of_no_steps_or_of_one_row(prompt):
    with pytest.raises(ValueError, match=r"between 1 and .*, 0"):
        make().decode(prompt[:, :0], LENGTHS, END, STEPS)
    with pytest.raises(ValueError, match=r"`prompt` must have shape \(batch, time\)"):
        make().decode(prompt[0], LENGTHS, END, STEPS)
    with pytest.raises(ValueError, match=r"`max_length` must be .*max_length=0"):
        make().decode(prompt, LENGTHS, END, 0)


def test_no_rows_are_answered(prompt):
    found = decode(make(), prompt[:0], [])
    assert {name: value.shape for name, value in found.items()} == {
        "tokens": (0, STEPS),
        "lengths": (0,),
        "score": (0,),
    }


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_learned_positions_come_to_an_end(prompt, positions):
    """The last token that is written is read no more."""
    assert decode(make(positions=positions), prompt)["tokens"].shape == (4, STEPS)
    small = make(positions=positions, max_length=7)
    if positions != "learned":
        assert decode(small, prompt)["tokens"].shape == (4, STEPS)
        return
    with pytest.raises(ValueError, match=r"for max_length=7 tokens.*8 tokens"):
        small.decode(prompt, LENGTHS, END, STEPS)
    with pytest.raises(ValueError, match="at most max_length=7 steps"):
        small.decode(np.ones((1, 8), "int32"), [1], END, STEPS)
