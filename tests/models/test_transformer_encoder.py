import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import TransformerDecoder, TransformerEncoder
from tests.comparison import assert_same
from tests.gradients import BACKEND
from tests.models.transformers import (
    CHOICES,
    SIZES,
    name_of,
    ragged,
    with_random_weights,
)


def make(**options):
    return TransformerEncoder(9, **{**SIZES, "max_length": 8, **options})


def call(model, tokens):
    return ops.convert_to_numpy(model(ops.convert_to_tensor(tokens, "int32")))


@pytest.fixture
def tokens(rng):
    return ragged(rng, [5, 1, 3, 2], 5, largest=8)


@pytest.fixture(scope="module", params=CHOICES, ids=name_of)
def model(request):
    return with_random_weights(make(**request.param))


def test_a_vector_for_each_token_and_the_mask(model, tokens):
    assert model.output_shape == (None, None, 8)
    vectors = model(ops.convert_to_tensor(tokens))
    assert vectors.shape == (4, 5, 8)
    np.testing.assert_array_equal(vectors._keras_mask, tokens != 0)


def test_more_padding_changes_nothing(model, tokens):
    expected, kept = call(model, tokens), (tokens != 0)[..., None]
    found = call(model, np.pad(tokens, ((0, 0), (0, 3))))[:, :5]
    assert_same(found * kept, expected * kept)


def test_a_token_sees_the_others_on_both_sides(model, tokens):
    changed = tokens.copy()
    changed[0, 2] = 4 + (tokens[0, 2] - 3) % 5
    difference = np.abs(call(model, changed) - call(model, tokens)).max(axis=-1)
    assert (difference[0] > 1e-4).all()
    np.testing.assert_array_equal(difference[1:], 0.0)


def test_the_order_matters(model, tokens):
    """Through the positions: attention alone would not see it."""
    swapped = tokens.copy()
    swapped[0, :2] = tokens[0, 1::-1]
    difference = np.abs(call(model, swapped) - call(model, tokens))[0]
    assert difference[2:].max() > 1e-3


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_a_classifier_over_it_learns_under_xla(rng):
    """Which token stands first; the loss and the pooling leave out the padding."""
    tokens = ragged(rng, rng.integers(1, 6, size=64), 5, largest=8)
    encoder = make(num_layers=1)
    pooled = keras.layers.GlobalAveragePooling1D()(encoder.output)
    model = keras.Model(encoder.input, keras.layers.Dense(9)(pooled))
    padded = np.pad(tokens, ((0, 0), (0, 2)))
    np.testing.assert_allclose(call(model, padded), call(model, tokens), atol=1e-5)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=True,
    )
    history = model.fit(tokens, tokens[:, 0], batch_size=32, epochs=30, verbose=0)
    assert history.history["accuracy"][-1] > 0.9


@pytest.mark.parametrize("kind", [TransformerEncoder, TransformerDecoder])
def test_the_config_makes_a_twin(kind):
    given = {
        "vocabulary_size": 9,
        "num_layers": 1,
        "model_dim": 6,
        "num_heads": 3,
        "intermediate_dim": 5,
        "dropout": 0.25,
        "positions": "alibi",
        "activation": "gelu",
        "gated": True,
        "normalize_first": False,
        "normalization": "rms",
        "max_length": 7,
        "name": "reader",
    }
    model = kind(**given, dtype="mixed_bfloat16")
    config = model.get_config()
    assert {name: config[name] for name in given} == given
    twin = kind.from_config(config)
    assert twin.get_config() == config
    assert twin.stack.blocks[0].self_attention.compute_dtype == "bfloat16"
    assert [w.path for w in twin.weights] == [w.path for w in model.weights]
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("kind", [TransformerEncoder, TransformerDecoder])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, r"`vocabulary_size` must be .*vocabulary_size=0"),
        ({"positions": None}, r"`positions` must be one of .*positions=None"),
        ({"num_layers": 0}, r"`num_layers` must be an int .*num_layers=0"),
        ({"num_heads": 3}, r"`num_heads` must divide .*num_heads=3, width 8"),
        ({"max_length": 0}, r"`max_length` must be an int .*max_length=0"),
    ],
)
def test_refuses_to_be_made(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"vocabulary_size": 9, **SIZES, **arguments})


def test_refuses_more_tokens_than_learned_positions():
    with pytest.raises(ValueError, match="at most max_length=8 steps"):
        call(make(positions="learned"), np.ones((1, 9)))
