"""SentencePiece tokenizers: ids, losslessness, graphs and SavedModels."""

import numpy as np
import pytest

sentencepiece = pytest.importorskip("sentencepiece")
pytest.importorskip("keras_hub")

import keras  # noqa: E402

from keras_attn.data import dates, encode, train_tokenizer  # noqa: E402

SENTENCES = [
    "A man in a red shirt is standing on a ladder.",
    "Ein Mann in einem roten Hemd steht auf einer Leiter …",
    "„Zwei\u00a0Mädchen“ spielen mit dem Ball.",
    "Two girls are playing with the ball; one laughs.",
] * 3
DATES = dates.sample(2000).text
ODD = [
    "3\u200f/5\u200f/1997",
    "  two  spaces ",
    "a\tb",
    "1997\u202f年",
    "á",
    "5月",
]


@pytest.fixture(scope="module")
def characters():
    return train_tokenizer(DATES + ODD, model_type="char")


@pytest.fixture(scope="module")
def subwords():
    return train_tokenizer(SENTENCES, vocabulary_size=90, model_type="bpe")


def test_special_ids(characters, subwords):
    for tokenizer in (characters, subwords):
        pieces = [tokenizer.id_to_token(i) for i in range(4)]
        assert pieces == ["<pad>", "<unk>", "<s>", "</s>"]
        assert tokenizer.dtype == "int32"


def test_a_character_is_a_token_and_nothing_is_lost(characters):
    texts = [*DATES, *ODD, ""]
    ids = characters.tokenize(texts)
    assert [len(row) for row in ids] == [len(text) for text in texts]
    assert min(min(row, default=4) for row in ids) >= 4
    assert characters.detokenize(ids) == texts
    assert characters.vocabulary_size() == len(set("".join(texts))) + 4


def test_a_small_vocabulary_drops_the_rarest_characters():
    tokenizer = train_tokenizer(["aaaa", "bbb", "c"], 6, model_type="char")
    assert tokenizer.tokenize(["abc"])[0].count(1) == 1
    assert tokenizer.tokenize(["c"]) == [[1]]


def test_subwords_keep_case_and_every_character(subwords):
    ids = subwords.tokenize(SENTENCES)
    assert subwords.detokenize(ids) == SENTENCES
    assert subwords.vocabulary_size() == 90
    assert max(map(len, ids)) < max(map(len, SENTENCES))
    assert subwords.tokenize([" Two   girls "]) == subwords.tokenize(["Two girls"])


@pytest.mark.parametrize("model_type", ["bpe", "unigram", "char"])
def test_training_is_deterministic_and_silent(model_type, capfd):
    first, second = (train_tokenizer(SENTENCES, 60, model_type) for _ in range(2))
    assert first.proto == second.proto
    assert "trainer" not in capfd.readouterr().err


def test_encode_frames_and_pads():
    tokenizer = train_tokenizer(["abcd"], model_type="char")
    a, b, c = tokenizer.tokenize(["abc"])[0]
    ids = encode(tokenizer, ["abc", "", "b"], max_length=5, start=True)
    expected = [[2, a, b, c, 3], [2, 3, 0, 0, 0], [2, b, 3, 0, 0]]
    np.testing.assert_array_equal(ids, expected)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(encode(tokenizer, ["a"], 9, end=False), [[a]])
    assert encode(tokenizer, [], 5).shape[0] == 0


def test_encode_refuses_or_cuts_what_is_too_long():
    tokenizer = train_tokenizer(["abcd"], model_type="char")
    a, b, _, _ = tokenizer.tokenize(["abcd"])[0]
    with pytest.raises(ValueError, match=r"Sentence 1 has 4 tokens.*'abcd'"):
        encode(tokenizer, ["ab", "abcd"], max_length=3)
    cut = encode(tokenizer, ["ab", "abcd"], max_length=3, truncate=True)
    np.testing.assert_array_equal(cut, [[a, b, 3], [a, b, 3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], 8, "word"), "`model_type`.*Received: model_type='word'"),
        ((["a"], 3, "char"), "`vocabulary_size`.*Received: vocabulary_size=3"),
        ((["a"], None, "bpe"), "`vocabulary_size`.*Received: vocabulary_size=None"),
        (([], 9, "bpe"), "`sentences`"),
        ((["", " "], 9, "char"), "`sentences`"),
        ((["ab"], 900, "bpe"), "`vocabulary_size=900` from 1 sentences"),
    ],
)
def test_bad_input_to_training_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        train_tokenizer(*arguments)


def test_bad_input_to_encode_is_named(subwords):
    with pytest.raises(ValueError, match=r"sequence of strings.*'one'"):
        encode(subwords, "one", 9)
    with pytest.raises(ValueError, match="max_length=1"):
        encode(subwords, ["one"], 1)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)
def test_a_saved_model_takes_text_and_gives_text(characters, subwords, tmp_path):
    tf = pytest.importorskip("tensorflow")

    class Echo(tf.Module):
        def __init__(self, tokenizer):
            super().__init__()
            self.tokenizer = tokenizer

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text):
            ids = self.tokenizer.tokenize(text)
            text = self.tokenizer.detokenize(ids)
            return {"ids": ids.to_tensor(), "text": text}

    for name, tokenizer, texts in (
        ("characters", characters, [*ODD, ""]),
        ("subwords", subwords, [*SENTENCES[:4], ""]),
    ):
        tf.saved_model.save(Echo(tokenizer), str(tmp_path / name))
        loaded = tf.saved_model.load(str(tmp_path / name))
        answer = loaded(tf.constant(texts))
        assert [text.decode() for text in answer["text"].numpy()] == texts
        expected = encode(tokenizer, texts, max_length=99, end=False)
        np.testing.assert_array_equal(answer["ids"], expected)
        assert loaded(tf.constant([""]))["text"].numpy().tolist() == [b""]
