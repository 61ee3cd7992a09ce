import numpy as np
import pytest

from keras_attn.data import Vocabulary, encode


def test_words_are_numbered_by_how_often_they_are_said():
    vocabulary = Vocabulary.of(["b a b", "c b"], " ", min_count=1)
    assert vocabulary.pieces == ["<pad>", "<unk>", "<s>", "</s>", "b", "a", "c"]
    found = encode(vocabulary, ["c b", "b d b"], 5)
    np.testing.assert_array_equal(found, [[6, 4, 3, 0], [4, 1, 4, 3]])
    assert vocabulary.detokenize(found) == ["c b", "b <unk> b"]
    assert Vocabulary.of(["b a b"], " ", min_count=2).vocabulary_size() == 5


def test_characters_need_no_separator():
    vocabulary = Vocabulary.of(["ab b"])
    assert vocabulary.detokenize(vocabulary.tokenize(["b ab", ""])) == ["b ab", ""]
    assert vocabulary.id_to_token(4) == "b"


def test_no_text_holds_a_special_id():
    vocabulary = Vocabulary(["a", "b"], " ")
    assert vocabulary.tokenize(["a <pad> b </s> <s> <unk>"]) == [[4, 1, 5, 1, 1, 1]]


def test_nothing_is_written_after_the_end():
    assert Vocabulary("ab").detokenize([[4, 3, 5, 0]]) == ["a"]


def test_the_config_makes_a_twin():
    vocabulary = Vocabulary(["x y", "z"], "; ")
    twin = Vocabulary(**vocabulary.get_config())
    assert twin.pieces == vocabulary.pieces
    assert twin.tokenize(["z; x y"]) == [[5, 4]]


@pytest.mark.parametrize(
    ("pieces", "separator", "message"),
    [
        (["ab"], "", r"separators ''\. Received: 'ab'"),
        (["a b"], " ", r"separators ' '\. Received: 'a b'"),
        ([""], " ", r"Received: ''"),
        (["a", "a"], " ", r"must all differ"),
        (["</s>"], " ", r"must all differ"),
    ],
)
def test_refuses(pieces, separator, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(pieces, separator)
