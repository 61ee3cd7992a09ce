import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import Decoder, Transformer
from tests.comparison import assert_same
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

START, END, LENGTH = 2, 3, 6


def make(**options):
    return Transformer(12, 9, **{**SIZES, "max_length": LENGTH, **options})


def call(model, source, target):
    source, target = (ops.convert_to_tensor(x, "int32") for x in (source, target))
    return ops.convert_to_numpy(model({"source": source, "target": target}))


def decode(model, source, mode=QUICKEST, **options):
    """`model.decode`, on JAX not eagerly, where it would be compiled at each call."""
    function = in_mode(lambda tokens: model.decode(tokens, **options), mode)
    return numpy(function(ops.convert_to_tensor(source, "int32")))


@pytest.fixture
def source(rng):
    return ragged(rng, [5, 4, 3, 5, 1, 2], 5, largest=11)


@pytest.fixture
def target(rng):
    tokens = ragged(rng, [4, 2, 3, 1, 4, 4], 4, largest=8)
    tokens[:, 0] = START
    return tokens


@pytest.fixture(scope="module", params=CHOICES, ids=name_of)
def model(request):
    return with_random_weights(make(**request.param))


@pytest.fixture(scope="module")
def written():
    """What each model writes, decoded once without a cache."""
    return {}


def uncached(model, source):
    start = np.full((len(source), 1), START, "int32")

    def logits_after(tokens):
        return call(model, source, np.column_stack([start, tokens]))[:, -1]

    return write_one_by_one(logits_after, len(source), LENGTH, END)


@pytest.mark.parametrize("mode", MODES)
def test_cached_decoding_is_uncached_decoding(model, written, source, mode):
    if model not in written:
        written[model] = uncached(model, source)
    found = decode(model, source, mode)
    np.testing.assert_array_equal(found["tokens"], written[model]["tokens"])
    assert_same_answers(found, written[model])


def test_logits_for_every_step_carry_the_mask_of_the_target(model, source, target):
    assert model.output_shape == (None, None, 9)
    tensors = [ops.convert_to_tensor(x) for x in (source, target)]
    logits = model({"source": tensors[0], "target": tensors[1]})
    assert logits.shape == (6, 4, 9)
    np.testing.assert_array_equal(logits._keras_mask, target != 0)


def test_more_padding_changes_nothing(model, source, target):
    expected = call(model, source, target)
    wide = np.pad(source, ((0, 0), (0, 1))), np.pad(target, ((0, 0), (0, 2)))
    kept = (target != 0)[..., None]
    for padded in ((wide[0], target), (source, wide[1]), wide):
        found = call(model, *padded)[:, :4]
        assert_same(found * kept, expected * kept)
    plain, padded = decode(model, source), decode(model, wide[0])
    np.testing.assert_array_equal(padded["tokens"], plain["tokens"])
    np.testing.assert_allclose(padded["score"], plain["score"], rtol=1e-5)


def test_a_target_does_not_see_its_future(source, target):
    model = with_random_weights(make())
    changed = target.copy()
    changed[:, 2:] = np.where(target[:, 2:] > 0, 4 + target[:, 2:] % 5, 0)
    assert (changed != target).any()
    found, expected = call(model, source, changed), call(model, source, target)
    np.testing.assert_allclose(found[:, :2], expected[:, :2], atol=1e-5)


def test_the_order_of_the_source_matters(model, source, target):
    """Through the positions: attention alone would not see it."""
    swapped = source.copy()
    swapped[0, :2] = source[0, 1::-1]
    assert (swapped != source).any()
    found, expected = call(model, swapped, target), call(model, source, target)
    assert np.abs(found[0] - expected[0]).max() > 1e-3


def test_the_score_of_what_was_decoded_is_the_score_of_decoding(source):
    model = with_random_weights(make())
    decoded = decode(model, source)
    scored = numpy(model.score(source, decoded["tokens"]))
    np.testing.assert_allclose(scored["score"], decoded["score"], rtol=1e-4)
    padding = decoded["tokens"] == 0
    np.testing.assert_array_equal(scored["token_scores"][padding], 0.0)


def test_attention_scores_lie_on_the_source(source):
    model = with_random_weights(make())
    answer = decode(model, source)
    weights, lengths = answer["attention_scores"], answer["lengths"]
    assert weights.shape == (6, LENGTH, 5)
    steps = np.arange(LENGTH) < lengths[:, None]
    np.testing.assert_allclose(weights.sum(-1), steps, atol=1e-5)
    hidden = np.broadcast_to((source == 0)[:, None], weights.shape)
    np.testing.assert_array_equal(weights[hidden], 0.0)


def test_a_source_of_padding_alone_is_answered(source):
    """And its neighbours as without it."""
    model = with_random_weights(make())
    expected = decode(model, source)
    found = decode(model, np.where(np.arange(6)[:, None] == 2, 0, source))
    others = np.arange(6) != 2
    for name, value in expected.items():
        assert np.isfinite(found[name]).all(), name
        np.testing.assert_allclose(found[name][others], value[others], atol=1e-5)
    np.testing.assert_array_equal(found["attention_scores"][2], 0.0)


def test_a_source_of_no_steps_is_one_of_padding(source):
    model = with_random_weights(make())
    found = decode(model, source[:, :0])
    expected = decode(model, np.zeros_like(source))
    np.testing.assert_array_equal(found["tokens"], expected["tokens"])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)


def test_fewer_steps_are_the_first_ones(source):
    model = with_random_weights(make())
    whole, short = decode(model, source), decode(model, source, max_length=2)
    np.testing.assert_array_equal(short["tokens"], whole["tokens"][:, :2])


def test_the_config_makes_a_twin():
    given = {
        "source_vocabulary_size": 12,
        "target_vocabulary_size": 9,
        "num_layers": 1,
        "model_dim": 6,
        "num_heads": 3,
        "intermediate_dim": 5,
        "dropout": 0.25,
        "positions": "learned",
        "activation": "gelu",
        "gated": True,
        "normalize_first": False,
        "normalization": "rms",
        "start_token_id": 4,
        "end_token_id": 5,
        "max_length": 7,
        "name": "translator",
    }
    model = Transformer(**given, dtype="mixed_bfloat16")
    config = model.get_config()
    assert {name: config[name] for name in given} == given
    twin = Transformer.from_config(config)
    assert twin.get_config() == config
    assert twin.decoder.blocks[0].cross_attention.compute_dtype == "bfloat16"
    assert [w.path for w in twin.weights] == [w.path for w in model.weights]
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_the_loss_under_xla_is_the_mean_over_what_is_no_padding(source, target):
    model = with_random_weights(make(positions="rotary"))
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    assert model.jit_compile
    labels = np.where(target == START, 5, target)
    shifted = np.column_stack([np.full(6, START), labels[:, :-1]]).astype("int32")
    inputs = {"source": source, "target": np.where(labels != 0, shifted, 0)}
    scores = numpy(model.score(source, labels))["token_scores"]
    history = model.fit(inputs, labels, batch_size=6, epochs=10, verbose=0)
    losses = history.history["loss"]
    np.testing.assert_allclose(losses[0], -scores[labels != 0].mean(), rtol=1e-5)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_learns_to_reverse_under_xla(rng):
    """Exact match of what is decoded, on sentences that were not trained on."""
    source = rng.integers(4, 9, size=(1088, 4)).astype("int32")
    labels = np.column_stack([source[:, ::-1], np.full(1088, END)]).astype("int32")
    target = np.column_stack([np.full(1088, START), labels[:, :-1]]).astype("int32")
    model = Transformer(
        9, 9, num_layers=1, model_dim=32, num_heads=4, intermediate_dim=64, max_length=6
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    unseen = ~(source[:, None] == source[None, :1024]).all(-1).any(1)
    inputs = {"source": source[:1024], "target": target[:1024]}
    model.fit(inputs, labels[:1024], batch_size=32, epochs=10, verbose=0)
    tokens = decode(model, source[unseen])["tokens"]
    assert len(tokens) >= 5
    assert (tokens[:, :5] == labels[unseen]).all(axis=1).mean() >= 0.9


@pytest.mark.parametrize(
    "jit_compile", [False] if BACKEND == "torch" else [True, False]
)
def test_the_decoder_predicts_what_decode_writes(source, jit_compile):
    model = with_random_weights(make())
    decoder = Decoder(model)
    decoder.compile(jit_compile=jit_compile)
    assert decoder.jit_compile == jit_compile
    found = decoder.predict(source, batch_size=3, verbose=0)
    assert_same_answers(found, decode(model, source))


def test_a_decoder_is_saved_with_its_model(source, tmp_path):
    decoder = Decoder(with_random_weights(make()))
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    assert type(loaded.model) is Transformer
    expected = decode(decoder.model, source)
    assert_same_answers(decode(loaded.model, source), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": "relative"}, r"`positions` must be one of .*'relative'"),
        ({"num_layers": 0}, r"`num_layers` must be an int .*num_layers=0"),
        ({"model_dim": 8.0}, r"`model_dim` must be an int .*model_dim=8.0"),
        ({"num_heads": 3}, r"`num_heads` must divide .*num_heads=3, width 8"),
        ({"num_heads": 0}, r"`num_heads` must be an int .*num_heads=0"),
        ({"intermediate_dim": 0}, r"`intermediate_dim` must be .*intermediate_dim=0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\).*dropout=1.0"),
        ({"normalization": "batch"}, r"`normalization` must be one of .*'batch'"),
        ({"start_token_id": 0}, r"`start_token_id` must lie .*start_token_id=0"),
        ({"end_token_id": 9}, r"`end_token_id` must lie .*end_token_id=9"),
        ({"max_length": 0}, r"`max_length` must be an int .*max_length=0"),
    ],
)
def test_refuses_to_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("steps", [0, -1, 2.0])
def test_refuses_to_decode_no_steps(source, steps):
    with pytest.raises(ValueError, match=f"`max_length` must be .*max_length={steps}"):
        make().decode(source, max_length=steps)


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_learned_positions_come_to_an_end(source, positions):
    model = make(positions=positions)
    if positions != "learned":
        assert decode(model, source, max_length=8)["tokens"].shape == (6, 8)
        return
    with pytest.raises(ValueError, match=r"for max_length=6 tokens.*8 tokens"):
        model.decode(source, max_length=8)
    with pytest.raises(ValueError, match="at most max_length=6 steps"):
        model.decode(np.ones((2, 7), "int32"))
