"""Requests of different lengths in one batch: TF Serving's padding, and ours."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_attn.serving import Client, Server, export
from keras_attn.serving.server import StatusError
from keras_attn.serving.server.batching import (
    BatchedGraph,
    Batcher,
    BatchingParameters,
)
from keras_attn.serving.server.session import GraphSession, SessionOptions

PARAMETERS = """
    max_batch_size {{ value: {size} }}
    batch_timeout_micros {{ value: 60000000 }}
    pad_variable_length_inputs: {pad}
"""


class Reader(keras.Model):
    """Attends over the words it is told are there."""

    def __init__(self):
        super().__init__()
        self.words = keras.layers.Embedding(50, 16)
        self.mix = keras.layers.MultiHeadAttention(2, 8)

    def call(self, ids, mask):
        mask = ops.cast(mask, "bool")
        words = self.words(ids)
        steps = self.mix(words, words, attention_mask=mask[:, None, :])
        kept = ops.cast(mask, "float32")[..., None]
        mean = ops.sum(steps * kept, 1) / ops.maximum(ops.sum(kept, 1), 1)
        return {"steps": steps, "mean": mean}

    def serving_signatures(self):
        words = tf.TensorSpec([None, None], tf.int32)
        counts = tf.TensorSpec([None], tf.int32)

        def by_lengths(inputs):
            ids, lengths = inputs["ids"], inputs["lengths"]
            return self(ids, tf.sequence_mask(lengths, tf.shape(ids)[1]))

        def by_mask(inputs):
            return self(inputs["ids"], inputs["mask"])

        return {
            "serving_default": (by_lengths, {"ids": words, "lengths": counts}),
            "masked": (by_mask, {"ids": words, "mask": words}),
        }


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = Reader()
    ids = np.arange(6)[None]
    model(ids, np.ones_like(ids))
    rows = {"ids": ids.astype("int32"), "lengths": np.array([4], "int32")}
    masked = {"ids": rows["ids"], "mask": np.array([[1, 1, 1, 1, 0, 0]], "int32")}
    base = tmp_path_factory.mktemp("models") / "reader"
    export(model, base, examples={"serving_default": rows, "masked": masked})
    return base


def sentences():
    rng = np.random.default_rng(1)
    return [
        rng.integers(1, 50, (rows, words)) for rows, words in [(1, 3), (2, 9), (1, 5)]
    ]


def told_lengths(ids):
    return {"ids": ids, "lengths": np.full(len(ids), ids.shape[1])}


def told_a_mask(ids):
    return {"ids": ids, "mask": np.ones_like(ids)}


@pytest.fixture
def ask(reader, tmp_path):
    """The answers to requests that share a batch, or have one each."""

    def ask(requests, signature, pad="true", together=True, **flags):
        sizes = [len(request["ids"]) for request in requests]
        file = tmp_path / "batching.config"
        file.write_text(PARAMETERS.format(size=sum(sizes), pad=pad))
        flags["enable_model_warmup"] = False
        if together:
            flags |= {"enable_batching": True, "batching_parameters_file": str(file)}
        with Server(reader, **flags) as server:
            with Client(server.address, "reader", timeout=60) as client:
                with ThreadPoolExecutor(len(requests)) as threads:
                    answers = [
                        threads.submit(client.predict, r, signature_name=signature)
                        for r in requests
                    ]
                    return [answer.result() for answer in answers]

    return ask


@pytest.mark.parametrize("pad", ["true", "false"])
def test_padding_by_lengths_changes_no_answer(ask, pad):
    requests = [told_lengths(ids) for ids in sentences()]
    batched = ask(requests, "serving_default", pad, pad_by_lengths=True)
    alone = ask(requests, "serving_default", together=False)
    for given, expected, ids in zip(batched, alone, sentences(), strict=True):
        assert given["steps"].shape == (*ids.shape, 16)
        for name in ("steps", "mean"):
            np.testing.assert_allclose(given[name], expected[name], atol=1e-5)


def test_padding_with_own_first_element_does(ask):
    """A mask is padded with its first element, which says that a word is there."""
    requests = [told_a_mask(ids) for ids in sentences()]
    batched = ask(requests, "masked", pad_by_lengths=True)  # there are no lengths
    alone = ask(requests, "masked", together=False)
    short, long = batched[0], batched[1]
    assert short["steps"].shape == (1, 9, 16)
    assert np.abs(short["mean"] - alone[0]["mean"]).max() > 0.01
    np.testing.assert_allclose(long["mean"], alone[1]["mean"], atol=1e-5)


def test_without_the_flag_lengths_are_inputs_like_others(ask):
    requests = [told_lengths(ids) for ids in sentences()]
    batched = ask(requests, "serving_default")
    assert [answer["steps"].shape[1] for answer in batched] == [9, 9, 9]


def spec(shape, dtype="float32"):
    return tf.TensorSpec(shape, dtype)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Signatures that show what is cut and what is not."""

    class Shapes(tf.Module):
        @tf.function(
            input_signature=[spec([None, None], tf.string), spec([None], tf.int64)]
        )
        def words(self, words, lengths):
            joined = tf.strings.reduce_join(words, 1, separator="|")
            return {"joined": joined, "words": tf.identity(words)}

        @tf.function(input_signature=[spec([None, None, 4]), spec([None], tf.int32)])
        def fixed(self, x, lengths):
            return {
                "sum": tf.reduce_sum(x, 1),
                "pairs": x @ tf.linalg.matrix_transpose(x),
            }

        @tf.function(
            input_signature=[
                spec([None, None]),
                spec([None, None]),
                spec([None], tf.int32),
            ]
        )
        def two(self, a, b, lengths):
            return {"a": a + 1, "b": b + 1}

        @tf.function(input_signature=[spec([None, None]), spec([None, None])])
        def floats(self, x, lengths):
            return {"x": x + 1}

    module = Shapes()
    path = tmp_path_factory.mktemp("models") / "shapes" / "1"
    names = ["words", "fixed", "two", "floats"]
    tf.saved_model.save(
        module, str(path), {name: getattr(module, name) for name in names}
    )
    session = GraphSession(path, SessionOptions())
    yield session
    session.close()


@pytest.fixture
def together(graph):
    """Answers of a signature to requests in one batch, by the names of outputs."""
    batcher = Batcher(1)

    def together(name, *requests):
        signature = graph.signatures[name]
        rows = sum(len(request["lengths"]) for request in requests)
        parameters = BatchingParameters(rows, 60_000_000)
        batched = BatchedGraph(graph, batcher, parameters, pad_by_lengths=True)
        inputs = sorted((info.name, key) for key, info in signature.inputs.items())
        outputs = {key: info.name for key, info in signature.outputs.items()}
        futures = [
            batched.submit(
                tuple(tensor for tensor, _ in inputs),
                tuple(outputs.values()),
                [request[key] for _, key in inputs],
            )
            for request in requests
        ]
        return [dict(zip(outputs, f.result(30), strict=True)) for f in futures]

    yield together
    batcher.stop()


def test_strings_are_padded_with_empty_ones(together):
    requests = [
        {"words": np.array([[b"un", b"deux"]], object), "lengths": np.array([2])},
        {"words": np.array([[b"a"], [b"b"]], object), "lengths": np.array([1, 1])},
    ]
    long, short = together("words", *requests)
    assert short["joined"].tolist() == [b"a|", b"b|"]
    assert short["words"].tolist() == [[b"a"], [b"b"]]
    assert long["words"].tolist() == [[b"un", b"deux"]]


def test_a_dimension_of_fixed_size_is_not_cut(together):
    def request(steps):
        x = np.random.default_rng(steps).normal(size=(1, steps, 4)).astype("float32")
        return {"x": x, "lengths": np.array([steps], "int32")}

    requests = [request(2), request(4)]
    for answer, asked in zip(together("fixed", *requests), requests, strict=True):
        (x,) = asked["x"]
        np.testing.assert_allclose(answer["sum"], [x.sum(0)], atol=1e-5)
        np.testing.assert_allclose(answer["pairs"], [x @ x.T], atol=1e-5)


def test_sizes_that_could_be_either_are_not_cut(together):
    def request(a, b):
        arrays = {key: np.ones((1, n), "float32") for key, n in [("a", a), ("b", b)]}
        return arrays | {"lengths": np.array([1], "int32")}

    first, second = together("two", request(3, 1), request(2, 3))
    assert [first[key].shape[1] for key in "ab"] == [3, 3]  # both were padded to 3
    assert [second[key].shape[1] for key in "ab"] == [3, 3]
    first, second = together("two", request(4, 1), request(2, 3))
    assert [first[key].shape[1] for key in "ab"] == [4, 1]
    assert [second[key].shape[1] for key in "ab"] == [2, 3]


def test_lengths_must_be_a_vector_of_integers(together):
    requests = [
        {"x": np.ones((1, n), "float32"), "lengths": np.ones((1, 1), "float32")}
        for n in (2, 3)
    ]
    with pytest.raises(StatusError, match="padding is turned off"):
        together("floats", *requests)
