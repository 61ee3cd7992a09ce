"""Models of every kind, answered by the written SavedModel as by the live model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_attn.serving.export import export

MEASURES = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
TOKENS = np.array([[1, 2, 3], [4, 0, 0]], "int32")


def served(version, inputs, signature="serving_default"):
    """Runs a signature in a session of its own, as a server does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        load = tf.compat.v1.saved_model.loader.load
        definition = load(session, ["serve"], str(version)).signature_def[signature]
        assert set(definition.inputs) == set(inputs)
        return session.run(
            {name: info.name for name, info in definition.outputs.items()},
            {definition.inputs[name].name: value for name, value in inputs.items()},
        )


def dtypes(version):
    loaded = tf.saved_model.load(version)
    signature = loaded.signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    return (
        {name: spec.dtype.name for name, spec in inputs.items()},
        {name: spec.dtype.name for name, spec in signature.structured_outputs.items()},
    )


class Tagger(keras.Model):
    """Subclassed: nothing but a call says what goes in."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(5, 4)
        self.dropout = layers.Dropout(0.5)
        self.score = layers.Dense(2)

    def call(self, tokens, training=None):
        hidden = self.dropout(self.embedding(tokens), training=training)
        return self.score(hidden), keras.ops.argmax(hidden, axis=-1)


class Comparer(keras.Model):
    def __init__(self):
        super().__init__()
        self.project = layers.Dense(2)

    def call(self, pair):
        return self.project(pair["left"]) - self.project(pair["right"])


class TwoArguments(Comparer):
    def call(self, left, right):
        return super().call({"left": left, "right": right})


def test_functional_model_keeps_the_names_it_was_given(tmp_path):
    measures = keras.Input((4,), name="measures")
    model = keras.Model(measures, layers.Dense(2, name="species")(measures))
    version = export(model, tmp_path / "iris")
    assert version == tmp_path / "iris" / "1"
    answer = served(version, {"measures": MEASURES})
    np.testing.assert_allclose(answer["species"], model(MEASURES), atol=1e-5)


@pytest.mark.parametrize("times", [1, 2])
def test_unnamed_sequential_gets_fixed_names(tmp_path, times):
    for _ in range(times):  # Keras' own names would count on
        model = keras.Sequential([layers.Dense(2)])
    model.build((None, 4))
    answer = served(export(model, tmp_path / "plain"), {"inputs": MEASURES})
    np.testing.assert_allclose(answer["outputs"], model(MEASURES), atol=1e-5)


def test_dict_inputs_and_dict_outputs_keep_their_keys(tmp_path):
    one, two = keras.Input((None,), name="one"), keras.Input((None,), name="two")
    model = keras.Model(
        {"two": two, "one": one}, {"sum": one + two, "difference": one - two}
    )
    version = export(model, tmp_path / "arithmetic")
    answer = served(version, {"one": MEASURES, "two": 2 * MEASURES})
    np.testing.assert_array_equal(answer["sum"], 3 * MEASURES)
    np.testing.assert_array_equal(answer["difference"], -MEASURES)


def test_lists_go_by_their_order_and_layer_names(tmp_path):
    right, left = keras.Input((4,), name="right"), keras.Input((4,))
    named = layers.Subtract(name="gap")([left, right])
    model = keras.Model([right, left], [layers.Dense(1)(left), named])
    version = export(model, tmp_path / "several")
    answer = served(version, {"right": MEASURES, "inputs_1": 3 * MEASURES})
    assert set(answer) == {"outputs_0", "gap"}
    np.testing.assert_allclose(answer["gap"], 2 * MEASURES, rtol=1e-6)


def test_one_layer_with_two_outputs_gives_two_names(tmp_path):
    sequence = keras.Input((3, 4), name="sequence")
    recurrent = layers.GRU(2, return_sequences=True, return_state=True, name="reader")
    model = keras.Model(sequence, recurrent(sequence))
    answer = served(export(model, tmp_path / "r"), {"sequence": np.ones((2, 3, 4))})
    assert answer["outputs_0"].shape == (2, 3, 2)
    assert answer["outputs_1"].shape == (2, 2)


def test_integers_and_free_dimensions_stay_as_the_input_says(tmp_path):
    short = keras.Input((None,), dtype="int32", name="short")
    long = keras.Input((None,), dtype="int64", name="long")
    embedding = layers.Embedding(5, 3)
    model = keras.Model([short, long], embedding(short) + embedding(long))
    version = export(model, tmp_path / "tokens")
    assert dtypes(version)[0] == {"short": "int32", "long": "int64"}
    answer = served(version, {"short": TOKENS, "long": TOKENS})
    np.testing.assert_allclose(answer["outputs"], model([TOKENS, TOKENS]), atol=1e-6)


def test_a_batch_size_fixed_in_training_is_freed(tmp_path):
    measures = keras.Input(batch_shape=(8, 4), name="measures")
    model = keras.Model(measures, layers.Dense(2)(measures))
    answer = served(export(model, tmp_path / "fixed"), {"measures": MEASURES})
    assert answer["outputs"].shape == (3, 2)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_mixed_precision_is_served_in_float32(tmp_path, policy):
    compute = keras.DTypePolicy(policy).compute_dtype
    measures = keras.Input((4,), dtype=compute, name="measures")
    model = keras.Model(measures, layers.Dense(2, dtype=policy)(measures))
    assert model.output.dtype == compute
    version = export(model, tmp_path / "half")
    assert dtypes(version) == ({"measures": "float32"}, {"outputs": "float32"})
    answer = served(version, {"measures": MEASURES})
    live = keras.ops.cast(model(keras.ops.cast(MEASURES, compute)), "float32")
    np.testing.assert_allclose(answer["outputs"], live, atol=2e-2)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_subclassed_model_is_told_by_its_call(tmp_path, policy):
    model = Tagger(dtype=policy)
    model(TOKENS)
    version = export(model, tmp_path / "tagger")
    assert dtypes(version)[0] == {"tokens": "int32"}
    scores, best = model(TOKENS, training=False)
    answer = served(version, {"tokens": TOKENS})
    np.testing.assert_array_equal(answer["outputs_1"], best)
    scores = keras.ops.cast(scores, "float32")
    np.testing.assert_allclose(answer["outputs_0"], scores, atol=1e-2)


def test_subclassed_model_of_a_dict(tmp_path):
    model = Comparer()
    pair = {"left": MEASURES, "right": -MEASURES}
    live = model(pair)
    answer = served(export(model, tmp_path / "pairs"), pair)
    np.testing.assert_allclose(answer["outputs"], live, atol=1e-5)


def test_subclassed_model_of_two_arguments_asks_for_signatures(tmp_path):
    model = TwoArguments()
    model(MEASURES, MEASURES)
    with pytest.raises(ValueError, match=r"Pass `signatures=.*call\(left, right\)"):
        export(model, tmp_path / "pairs")


def test_training_behaviour_is_off(tmp_path):
    measures = keras.Input((4,), name="measures")
    model = keras.Model(measures, layers.Dropout(0.9)(measures))
    answer = served(export(model, tmp_path / "dropout"), {"measures": MEASURES})
    np.testing.assert_array_equal(answer["outputs"], MEASURES)


def test_a_model_trained_under_xla_is_served_without(tmp_path):
    measures = keras.Input((4,), name="measures")
    model = keras.Model(measures, layers.Dense(2)(measures))
    model.compile("sgd", "mse", jit_compile=True)
    model.fit(MEASURES, MEASURES[:, :2], verbose=0)
    model.predict(MEASURES, verbose=0)
    version = export(model, tmp_path / "trained")
    assert b"_XlaMustCompile" not in (version / "saved_model.pb").read_bytes()
    answer = served(version, {"measures": MEASURES})
    np.testing.assert_allclose(answer["outputs"], model(MEASURES), atol=1e-5)
