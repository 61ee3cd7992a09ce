"""A Transformer exported, served over gRPC and asked under all its signatures."""

import numpy as np
import pytest

from keras_attn import Transformer
from tests.gradients import BACKEND
from tests.models.transformers import SIZES, with_random_weights

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

pytest.importorskip("tensorflow_text")
pytest.importorskip("keras_hub")

from keras_attn.data import train_tokenizer
from keras_attn.serving import Client, Server, export

TEXTS = ["3 mai", "1997", "12-5"]
END = 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["3 mai 1997", "2001-05-12"], model_type="char")


@pytest.fixture(scope="module")
def model(tokenizer):
    size = tokenizer.vocabulary_size()
    return with_random_weights(
        Transformer(size, size, **SIZES, positions="rotary", max_length=6)
    )


@pytest.fixture(scope="module")
def client(model, tokenizer, tmp_path_factory):
    version = export(
        model,
        tmp_path_factory.mktemp("models") / "translator",
        signatures=model.serving_signatures(tokenizer, tokenizer),
        examples={"serving_default": {"text": TEXTS}},
        allowed_batch_sizes=(1, 4),
    )
    folder = version.parent
    with (
        Server(folder) as server,
        Client(server.address, model=folder.name, timeout=60.0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def source(tokenizer):
    rows = [[*ids, END] for ids in tokenizer.tokenize(TEXTS)]
    lengths = np.int32([len(row) for row in rows])
    tokens = np.zeros((len(rows), lengths.max()), "int32")
    for padded, row in zip(tokens, rows, strict=True):
        padded[: len(row)] = row
    return tokens, lengths


@pytest.fixture(scope="module")
def decoded(model, source):
    answer = {name: np.array(value) for name, value in model.decode(source[0]).items()}
    steps = answer["lengths"].max()
    for name in ("tokens", "attention_scores"):
        answer[name] = answer[name][:, :steps]
    return answer


def test_text_is_answered_as_in_process(client, decoded, tokenizer):
    answer = client.predict({"text": TEXTS})
    words = [[i for i in row if i not in (0, END)] for row in decoded["tokens"]]
    texts = list(answer["text"])
    assert texts == tokenizer.detokenize(words)
    for name in ("score", "attention_scores"):
        np.testing.assert_allclose(answer[name], decoded[name], atol=1e-4)


def test_ids_are_answered_as_in_process(client, decoded, source):
    tokens, lengths = source
    filled = np.where(tokens == 0, 5, tokens)  # a batching server pads as it likes
    answer = client.predict(
        {"tokens": filled, "lengths": lengths}, signature_name="tokens"
    )
    assert answer.keys() == decoded.keys()
    for name, value in decoded.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-4, err_msg=name)


def test_what_was_written_is_scored_as_when_it_was_written(client, decoded, source):
    tokens, lengths = source
    answer = client.predict(
        {
            "source": tokens,
            "source_lengths": lengths,
            "target": decoded["tokens"],
            "target_lengths": decoded["lengths"],
        },
        signature_name="score",
    )
    np.testing.assert_allclose(answer["score"], decoded["score"], atol=1e-4)
