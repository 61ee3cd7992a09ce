"""Signatures that the user or the model offers, and what travels with them."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_attn.serving.export import export

MEASURES = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
MEASURES_SPEC = {"measures": tf.TensorSpec((None, 4), tf.float32)}
TEXT_SPEC = {"text": tf.TensorSpec((None,), tf.string)}


def ask(version, signature, **inputs):
    loaded = tf.saved_model.load(version)
    outputs = loaded.signatures[signature](
        **{name: tf.constant(value) for name, value in inputs.items()}
    )
    return {name: output.numpy() for name, output in outputs.items()}


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


class Twice(keras.Model):
    """Offers its own signatures, as bound methods."""

    def __init__(self):
        super().__init__()
        self.lookup = layers.StringLookup(vocabulary=["cat", "dog"])

    def build(self, measures_shape):
        pass

    def call(self, measures):
        return 2 * measures

    def answer(self, inputs):
        return {"twice": self(inputs["measures"])}

    def tokens(self, inputs):
        return {"ids": self.lookup(inputs["text"])}

    def serving_signatures(self):
        return {
            "serving_default": (self.answer, MEASURES_SPEC),
            "tokens": (self.tokens, TEXT_SPEC),
        }


class SubwordCounter(tf.Module):
    """Text in, in the graph, with a tokenizer that only this module holds."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def __call__(self, inputs):
        tokens = self.tokenizer.tokenize(inputs["text"])
        return {"tokens": tokens.to_tensor(), "lengths": tokens.row_lengths()}


class Steps(tf.Module):
    def __init__(self):
        super().__init__()
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["one", "two"], [1, 2]), -1
        )

    def lookup(self, inputs):
        return {"number": self.table.lookup(inputs["text"])}


def test_the_models_own_signatures_are_used(tmp_path):
    model = Twice()
    model(MEASURES)
    version = export(model, tmp_path / "twice")
    answer = ask(version, "serving_default", measures=MEASURES)
    np.testing.assert_array_equal(answer["twice"], 2 * MEASURES)
    assert ask(version, "tokens", text=["dog", "cow"])["ids"].tolist() == [2, 0]


def test_given_signatures_come_before_the_models_own(tmp_path):
    model = Twice()
    model(MEASURES)
    thrice = {"serving_default": (lambda x: {"y": 3 * x["measures"]}, MEASURES_SPEC)}
    version = export(model, tmp_path / "thrice", thrice)
    assert set(tf.saved_model.load(version).signatures) == {"serving_default"}
    answer = ask(version, "serving_default", measures=MEASURES)
    np.testing.assert_array_equal(answer["y"], 3 * MEASURES)


def test_signatures_share_one_copy_of_the_weights(tmp_path):
    model = keras.Sequential(
        [keras.Input((), dtype="int32"), layers.Embedding(999, 64)]
    )
    specs = {"ids": tf.TensorSpec((None,), tf.int32)}
    version = export(
        model,
        tmp_path / "shared",
        {
            "serving_default": (
                lambda x: {"sum": tf.reduce_sum(model(x["ids"]), 1)},
                specs,
            ),
            "embed": (lambda x: {"embedding": model(x["ids"])}, specs),
        },
    )
    stored = sum(path.stat().st_size for path in (version / "variables").iterdir())
    assert 999 * 64 * 4 <= stored < 1.1 * 999 * 64 * 4


def test_a_tokenizer_travels_with_the_module_that_holds_it(tmp_path, model):
    sentencepiece = pytest.importorskip("sentencepiece")
    tf_text = pytest.importorskip("tensorflow_text")
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["3 May 1997", "12 Juni 2004"]),
        model_writer=proto,
        vocab_size=24,
        model_type="char",
        minloglevel=2,
    )
    counter = SubwordCounter(tf_text.SentencepieceTokenizer(proto.getvalue()))
    live = counter({"text": tf.constant(["May 12", "4"])})
    version = export(
        model, tmp_path / "text", {"serving_default": (counter, TEXT_SPEC)}
    )
    answer = ask(version, "serving_default", text=["May 12", "4"])
    np.testing.assert_array_equal(answer["tokens"], live["tokens"])
    assert answer["lengths"].tolist() == [7, 2]


def test_a_table_travels_with_the_module_whose_method_uses_it(tmp_path, model):
    signatures = {"serving_default": (Steps().lookup, TEXT_SPEC)}
    version = export(model, tmp_path / "table", signatures)
    answer = ask(version, "serving_default", text=["two", "ten"])
    assert answer["number"].tolist() == [2, -1]


def test_a_table_that_nothing_holds_is_an_error(tmp_path, model):
    steps = Steps()
    signatures = {"serving_default": (lambda x: steps.lookup(x), TEXT_SPEC)}
    with pytest.raises(ValueError, match=r"Make the function a `tf\.Module`"):
        export(model, tmp_path / "table", signatures)
    assert list(tmp_path.iterdir()) == []


def test_a_compiled_signature_may_stand_beside_the_default(tmp_path, model):
    compiled = tf.function(model, jit_compile=True, autograph=False)
    version = export(
        model,
        tmp_path / "both",
        {
            "serving_default": (lambda x: {"y": model(x["measures"])}, MEASURES_SPEC),
            "compiled": (lambda x: {"y": compiled(x["measures"])}, MEASURES_SPEC),
        },
        allowed_batch_sizes=[1],
    )
    plain = ask(version, "serving_default", measures=MEASURES)
    fast = ask(version, "compiled", measures=MEASURES)
    np.testing.assert_allclose(fast["y"], plain["y"], atol=1e-5)


def test_a_compiled_default_is_an_error(tmp_path, model):
    compiled = tf.function(model, jit_compile=True, autograph=False)
    nested = tf.function(lambda x: {"y": tf.identity(compiled(x["measures"]))})
    with pytest.raises(ValueError, match="must not be compiled by XLA"):
        export(model, tmp_path / "m", {"serving_default": (nested, MEASURES_SPEC)})
    assert list(tmp_path.iterdir()) == []


def test_other_dtypes_go_where_the_signature_says_so(tmp_path, model):
    spec = tf.TensorSpec((None, None), tf.bool)

    def count(inputs):
        kept = tf.math.count_nonzero(inputs["mask"], axis=1)
        return {"kept": kept, "any": kept > 0, "half": tf.cast(kept, tf.float16)}

    version = export(
        model, tmp_path / "m", {"serving_default": (count, {"mask": spec})}
    )
    answer = ask(version, "serving_default", mask=[[True, True], [False, False]])
    assert answer["kept"].dtype == np.int64
    assert answer["any"].tolist() == [True, False]
    assert answer["half"].dtype == np.float32
