"""A beam inside a SavedModel, served over gRPC: ids, text, the best and the n best."""

import numpy as np
import pytest

from keras_attn import Seq2Seq
from tests.comparison import assert_same
from tests.gradients import BACKEND
from tests.models.transformers import ragged, with_random_weights

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

import tensorflow as tf

from keras_attn.serving import Client, Server, export

END = 3
BEAM = {"beam_width": 4, "n_best": 3, "length_penalty": 0.6, "coverage_penalty": 0.1}
BEST = {name: value for name, value in BEAM.items() if name != "n_best"}
TEXTS = ["3 mai", "1997", "12-5"]


@pytest.fixture(scope="module")
def tokenizer():
    pytest.importorskip("tensorflow_text")
    pytest.importorskip("keras_hub")
    from keras_attn.data import train_tokenizer

    return train_tokenizer(["3 mai 1997", "2001-05-12"], model_type="char")


def make(size):
    return with_random_weights(Seq2Seq(size, size, 6, 5, max_length=6))


def trimmed(answer):
    """An answer of `decode` without the steps that no row has."""
    steps = int(np.max(answer["lengths"]))
    axis = len(answer["lengths"].shape)
    return {
        name: np.take(value, range(steps), axis)
        if name in ("tokens", "attention_scores")
        else value
        for name, value in answer.items()
    }


def test_ids_in_any_batch_and_length(rng, tmp_path):
    model = make(20)
    signatures = model.serving_signatures(**BEAM)
    assert list(signatures) == ["serving_default", "tokens", "score", "n_best"]
    version = export(
        model, tmp_path / "writer", signatures=signatures, allowed_batch_sizes=[1]
    )
    with Server(version.parent) as server, Client(server.address, "writer") as client:
        for lengths in ([5, 2, 3], [7]):
            source = ragged(rng, lengths, max(lengths), largest=19)
            inputs = {"tokens": source, "lengths": np.int32(lengths)}
            several = trimmed(model.decode(source, **BEAM))
            best = trimmed(model.decode(source, **BEST))
            assert_same(client.predict(inputs, signature_name="n_best"), several)
            assert_same(client.predict(inputs, signature_name="tokens"), best)
            assert_same(client.predict(inputs), best)
    assert several["tokens"].shape[:2] == (1, 3)


def test_text_has_several_answers(tokenizer):
    model = make(tokenizer.vocabulary_size())
    signatures = model.serving_signatures(tokenizer, tokenizer, **BEAM)
    function, inputs = signatures["n_best"]
    found = tf.function(function, [inputs], autograph=False)({"text": TEXTS})
    rows = [[*ids, END] for ids in tokenizer.tokenize(TEXTS)]
    source = np.zeros((3, max(map(len, rows))), "int32")
    for padded, row in zip(source, rows, strict=True):
        padded[: len(row)] = row
    expected = trimmed(model.decode(source, **BEAM))
    assert found["text"].shape == found["score"].shape == (3, 3)
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    np.testing.assert_allclose(
        found["attention_scores"], expected["attention_scores"], atol=1e-5
    )
    for texts, hypotheses in zip(
        found["text"].numpy(), expected["tokens"], strict=True
    ):
        words = [[int(i) for i in ids if i not in (0, END)] for ids in hypotheses]
        assert [text.decode() for text in texts] == tokenizer.detokenize(words)
    pieces = [
        [[tokenizer.id_to_token(int(i)) for i in ids if i] for ids in hypotheses]
        for hypotheses in expected["tokens"]
    ]
    answers = found["target_tokens"].numpy()
    assert [
        [[piece.decode() for piece in ids if piece] for ids in row] for row in answers
    ] == pieces
    default, _ = signatures["serving_default"]
    assert default({"text": tf.constant(TEXTS)})["text"].shape == (3,)
