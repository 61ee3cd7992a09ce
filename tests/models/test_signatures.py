import numpy as np
import pytest

from keras_attn import Seq2Seq, Transformer
from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("signatures are TensorFlow graphs", allow_module_level=True)

import tensorflow as tf

END = 3


SIZES = {
    Seq2Seq: {"units": 5, "embedding_dim": 4},
    Transformer: {"model_dim": 8, "num_heads": 2, "intermediate_dim": 16},
}


@pytest.fixture(params=SIZES)
def kind(request):
    return request.param


@pytest.fixture
def model(rng, kind):
    return make(rng, kind, 20)


def make(rng, kind, size):
    model = kind(size, size, max_length=6, **SIZES[kind])
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


def traced(signature):
    """What an export makes of a signature: a graph with the inputs it declares."""
    function, inputs = signature
    return tf.function(function, input_signature=[inputs], autograph=False)


@pytest.fixture
def sentences(rng):
    lengths = np.int32([5, 2, 3])
    tokens = rng.integers(4, 20, size=(3, 5)).astype("int32")
    return np.where(np.arange(5) < lengths[:, None], tokens, 0), lengths


def test_names_and_inputs(model):
    signatures = model.serving_signatures()
    inputs = {
        name: {key: (spec.shape.as_list(), spec.dtype) for key, spec in specs.items()}
        for name, (_, specs) in signatures.items()
    }
    ids, lengths = ([None, None], tf.int32), ([None], tf.int32)
    tokens = {"tokens": ids, "lengths": lengths}
    assert inputs == {
        "serving_default": tokens,
        "tokens": tokens,
        "score": {
            "source": ids,
            "source_lengths": lengths,
            "target": ids,
            "target_lengths": lengths,
        },
    }


def test_tokens_are_those_of_decode(model, sentences):
    source, lengths = sentences
    function = traced(model.serving_signatures()["tokens"])
    found = function({"tokens": source, "lengths": lengths})
    expected = model.decode(source)
    steps = int(np.max(expected["lengths"]))
    np.testing.assert_array_equal(found["tokens"], expected["tokens"][:, :steps])
    np.testing.assert_array_equal(found["lengths"], expected["lengths"])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    np.testing.assert_allclose(
        found["attention_scores"], expected["attention_scores"][:, :steps], atol=1e-5
    )


def test_what_lies_beyond_the_lengths_is_ignored(model, sentences):
    """A batching server fills the rest of a row with ids of its own choice."""
    source, lengths = sentences
    filled = np.where(source == 0, 7, source)
    signatures = model.serving_signatures()
    for name in ("tokens", "serving_default"):
        function = traced(signatures[name])
        clean = function({"tokens": source, "lengths": lengths})
        noisy = function({"tokens": filled, "lengths": lengths})
        for key, value in clean.items():
            np.testing.assert_allclose(noisy[key], value, atol=1e-6, err_msg=key)


def test_scores_are_those_of_the_model(model, sentences):
    source, lengths = sentences
    target = np.int32([[4, 5, END, 0], [6, END, 0, 0], [7, 8, 9, END]])
    function = traced(model.serving_signatures()["score"])
    found = function(
        {
            "source": np.where(source == 0, 7, source),
            "source_lengths": lengths,
            "target": np.where(target == 0, 7, target),
            "target_lengths": np.int32([3, 2, 4]),
        }
    )
    expected = model.score(source, target)
    assert set(found) == {"token_scores", "score"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("wrong", [-1, 6])
def test_lengths_that_do_not_fit_are_refused(model, sentences, wrong, jit_compile):
    """All but by XLA, which has no errors."""
    source, _ = sentences
    function, specs = model.serving_signatures()["tokens"]
    ask = tf.function(function, [specs], autograph=False, jit_compile=jit_compile)
    request = {"tokens": source, "lengths": np.int32([5, wrong, 3])}
    if jit_compile:
        right = {**request, "lengths": np.clip(request["lengths"], 0, 5)}
        np.testing.assert_array_equal(ask(request)["tokens"], ask(right)["tokens"])
    else:
        message = "`lengths` must lie between 0 and the size of `tokens`"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            ask(request)


@pytest.mark.parametrize("wrong", [-1, 20])
def test_ids_without_an_embedding_are_refused(model, sentences, wrong):
    source, lengths = sentences
    target = np.int32([[4, END]] * 3)
    odd = np.where(source == 0, 0, wrong)
    signatures = model.serving_signatures()
    requests = {
        "tokens": {"tokens": odd, "lengths": lengths},
        "score": {
            "source": source,
            "source_lengths": lengths,
            "target": np.where(target == END, END, wrong),
            "target_lengths": np.int32([2, 2, 2]),
        },
    }
    for name, request in requests.items():
        message = r"`(tokens|target)` must hold token ids from 0 to 19"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            traced(signatures[name])(request)
    # What lies beyond the lengths may be anything.
    padding = {"tokens": odd, "lengths": np.zeros_like(lengths)}
    traced(signatures["tokens"])(padding)
    for ask in (lambda: model.decode(odd), lambda: model.score(odd, target)):
        with pytest.raises(ValueError, match=r"`source` must hold token ids .* to 19"):
            ask()
    with pytest.raises(ValueError, match=r"`target` must hold token ids .* to 19"):
        model.score(source, np.full_like(target, wrong))


def test_an_empty_text_is_answered(model):
    signatures = model.serving_signatures()
    nothing, zero = np.zeros((1, 0), "int32"), np.int32([0])
    found = traced(signatures["tokens"])({"tokens": nothing, "lengths": zero})
    expected = model.decode(nothing)
    steps = found["tokens"].shape[1]
    np.testing.assert_array_equal(found["tokens"], expected["tokens"][:, :steps])
    scored = traced(signatures["score"])(
        {
            "source": nothing,
            "source_lengths": zero,
            "target": nothing,
            "target_lengths": zero,
        }
    )
    assert scored["token_scores"].shape == (1, 0) and scored["score"] == [0.0]


def test_more_text_than_there_are_positions_is_refused(sentences):
    source, lengths = sentences
    sizes = {"model_dim": 8, "num_heads": 2, "num_layers": 1, "intermediate_dim": 8}
    model = Transformer(20, 20, **sizes, positions="learned", max_length=4)
    signatures = model.serving_signatures()
    ask = traced(signatures["tokens"])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"`tokens` must have at most 4 tokens"
    ):
        ask({"tokens": source, "lengths": lengths})
    # Padding takes no positions.
    found = ask({"tokens": source[1:], "lengths": lengths[1:]})
    expected = ask({"tokens": source[1:, :4], "lengths": lengths[1:]})
    np.testing.assert_array_equal(found["tokens"], expected["tokens"])


def test_an_empty_batch_is_answered(model):
    function = traced(model.serving_signatures()["tokens"])
    found = function({"tokens": np.zeros((0, 5)), "lengths": np.zeros(0)})
    assert [found[name].shape[0] for name in found] == [0] * len(found)


@pytest.fixture(scope="module")
def tokenizer():
    pytest.importorskip("tensorflow_text")
    pytest.importorskip("keras_hub")
    from keras_attn.data import train_tokenizer

    return train_tokenizer(["3 mai 1997", "2001-05-12"], model_type="char")


TEXTS = ["3 mai", "1997-12-5", ""]


def test_text_is_answered_like_its_ids(rng, kind, tokenizer):
    model = make(rng, kind, tokenizer.vocabulary_size())
    signatures = model.serving_signatures(tokenizer, tokenizer)
    assert set(signatures["serving_default"][1]) == {"text"}
    found = traced(signatures["serving_default"])({"text": TEXTS})

    rows = [[*ids, END] for ids in tokenizer.tokenize(TEXTS)]
    lengths = np.int32([len(row) for row in rows])
    source = np.zeros((3, lengths.max()), "int32")
    for padded, row in zip(source, rows, strict=True):
        padded[: len(row)] = row
    expected = model.decode(source)
    steps = int(np.max(expected["lengths"]))
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    np.testing.assert_allclose(
        found["attention_scores"], expected["attention_scores"][:, :steps], atol=1e-5
    )

    ids = np.array(expected["tokens"])
    words = [[i for i in row if i not in (0, END)] for row in ids.tolist()]
    answers = [text.decode() for text in found["text"].numpy()]
    assert answers == tokenizer.detokenize(words)
    for text, tokens in zip(TEXTS, found["source_tokens"].numpy(), strict=True):
        pieces = [token.decode() for token in tokens if token]
        assert "".join(pieces[:-1]).replace("\u2581", " ") == text
        assert pieces[-1] == "</s>"
    pieces = [[tokenizer.id_to_token(i) for i in row if i] for row in ids.tolist()]
    found_pieces = [
        [token.decode() for token in row if token]
        for row in found["target_tokens"].numpy()
    ]
    assert found_pieces == pieces


def test_one_tokenizer_alone_is_refused(model, tokenizer):
    with pytest.raises(
        ValueError, match="`source_tokenizer` and `target_tokenizer` go"
    ):
        model.serving_signatures(source_tokenizer=tokenizer)


def test_a_vocabulary_that_does_not_fit_is_refused(kind, tokenizer):
    size = tokenizer.vocabulary_size()
    message = rf"`{{}}_tokenizer`.*{{}}.*Received: .*vocabulary_size={size}"
    for sizes, words in (
        ((size - 1, size), ("source", f"at most {size - 1} ids")),
        ((size, size + 1), ("target", f"at least {size + 1} ids")),
    ):
        with pytest.raises(ValueError, match=message.format(*words)):
            kind(*sizes, **SIZES[kind]).serving_signatures(tokenizer, tokenizer)
