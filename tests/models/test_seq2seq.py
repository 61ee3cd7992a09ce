import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import Decoder, Seq2Seq
from tests.gradients import BACKEND, MODES, in_mode
from tests.models.uncached import write_one_by_one

CONTEXTS = ["attention", "repeated_state", "last_state"]
CHOICES = list(itertools.product(CONTEXTS, ["gru", "lstm"]))
START, END, LENGTH = 2, 3, 6


def make(context="attention", cell="gru", rng=None, **kwargs):
    """A small model, with large random weights where a generator is given."""
    sizes = {"units": 5, "embedding_dim": 4, "max_length": LENGTH}
    model = Seq2Seq(12, 9, context=context, cell=cell, **{**sizes, **kwargs})
    if rng is not None:
        for weight in model.trainable_weights:
            weight.assign(rng.normal(size=weight.shape))
    return model


def call(model, source, target):
    source, target = (ops.convert_to_tensor(x, "int32") for x in (source, target))
    return ops.convert_to_numpy(model({"source": source, "target": target}))


def numpy(answer):
    return {name: ops.convert_to_numpy(value) for name, value in answer.items()}


@pytest.fixture
def source(rng):
    """Sentences of different lengths, as ids with padding at the end."""
    tokens = rng.integers(4, 12, size=(6, 5)).astype("int32")
    return np.where(np.arange(5) < np.array([[5], [4], [3], [5], [1], [2]]), tokens, 0)


@pytest.fixture
def target(rng):
    tokens = rng.integers(4, 9, size=(6, 4)).astype("int32")
    tokens[:, 0] = START
    return np.where(np.arange(4) < np.array([[4], [2], [3], [1], [4], [4]]), tokens, 0)


@pytest.fixture(params=CHOICES, ids="-".join)
def model(request, rng):
    return make(*request.param, rng=rng)


def test_logits_for_every_step(model, source, target):
    assert model.output_shape == (None, None, 9)
    assert call(model, source, target).shape == (6, 4, 9)
    symbolic = {
        "source": keras.Input((None,), dtype="int32"),
        "target": keras.Input((None,), dtype="int32"),
    }
    np.testing.assert_array_equal(model(symbolic).shape, (None, None, 9))


def test_the_answer_carries_the_mask_of_the_target(source, target):
    tensors = [ops.convert_to_tensor(x) for x in (source, target)]
    logits = make()({"source": tensors[0], "target": tensors[1]})
    np.testing.assert_array_equal(logits._keras_mask, target != 0)


def test_more_padding_changes_nothing(model, source, target):
    expected = call(model, source, target)
    wide = np.pad(source, ((0, 0), (0, 3))), np.pad(target, ((0, 0), (0, 2)))
    kept = (target != 0)[..., None]
    for padded in ((wide[0], target), (source, wide[1]), wide):
        found = call(model, *padded)[:, :4]
        np.testing.assert_allclose(found * kept, expected * kept, atol=1e-5)
    plain, padded = numpy(model.decode(source)), numpy(model.decode(wide[0]))
    np.testing.assert_array_equal(padded["tokens"], plain["tokens"])
    np.testing.assert_allclose(padded["score"], plain["score"], rtol=1e-5)


def test_a_target_does_not_see_its_future(model, source, target):
    changed = target.copy()
    changed[:, 2:] = np.where(target[:, 2:] > 0, 4 + target[:, 2:] % 5, 0)
    assert (changed != target).any()
    found, expected = call(model, source, changed), call(model, source, target)
    np.testing.assert_allclose(found[:, :2], expected[:, :2], atol=1e-5)


def test_decode_is_a_loop_over_the_trained_model(model, source):
    """Each token is the best of the model's logits for all tokens before it."""
    start = np.full((6, 1), START, "int32")

    def logits_after(written):
        return call(model, source, np.column_stack([start, written]))[:, -1]

    expected = write_one_by_one(logits_after, 6, LENGTH, END)
    found = numpy(model.decode(source))
    np.testing.assert_array_equal(found["tokens"], expected["tokens"])
    np.testing.assert_array_equal(found["lengths"], expected["lengths"])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4, atol=1e-4)


def test_the_score_of_what_was_decoded_is_the_score_of_decoding(model, source):
    decoded = numpy(model.decode(source))
    scored = numpy(model.score(source, decoded["tokens"]))
    np.testing.assert_allclose(scored["score"], decoded["score"], rtol=1e-4)
    np.testing.assert_allclose(
        scored["token_scores"].sum(1), scored["score"], rtol=1e-5
    )
    padding = decoded["tokens"] == 0
    np.testing.assert_array_equal(scored["token_scores"][padding], 0.0)
    assert (scored["token_scores"][~padding] < 0).all()


def test_scores_are_those_of_the_logits(model, source, target):
    """What is scored is the target; what is read is the same, one step later."""
    answers = np.where(target == START, 5, target)
    read = np.column_stack([np.full(6, START), answers[:, :-1]])
    logits = call(model, source, np.where(answers != 0, read, 0)).astype("float64")
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = np.take_along_axis(scores, answers[..., None], axis=-1)[..., 0]
    expected = np.where(answers != 0, expected, 0.0)
    found = numpy(model.score(source, answers))
    np.testing.assert_allclose(found["token_scores"], expected, atol=1e-4)


def test_attention_scores_lie_on_the_source(rng, source):
    model = make(rng=rng)
    answer = numpy(model.decode(source))
    weights, lengths = answer["attention_scores"], answer["lengths"]
    assert weights.shape == (6, LENGTH, 5)
    written = np.arange(LENGTH) < lengths[:, None]
    np.testing.assert_allclose(weights.sum(-1), written, atol=1e-5)
    hidden = np.broadcast_to((source == 0)[:, None], weights.shape)
    np.testing.assert_array_equal(weights[hidden], 0.0)


@pytest.mark.parametrize("context", CONTEXTS[1:])
def test_without_attention_there_are_no_attention_scores(context, source):
    assert set(make(context).decode(source)) == {"tokens", "lengths", "score"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("context", CONTEXTS)
def test_decode_runs_in_every_mode(rng, source, context, mode):
    model = make(context, rng=rng)
    expected = numpy(model.decode(source, max_length=4))
    tensor = ops.convert_to_tensor(source)
    found = numpy(in_mode(lambda x: model.decode(x, max_length=4), mode)(tensor))
    assert found["tokens"].shape == (6, 4)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


def test_the_after_order_and_other_alignments_decode_too(rng, source):
    model = make(rng=rng, attend="after", alignment="scaled_dot")
    decoded = numpy(model.decode(source))
    scored = numpy(model.score(source, decoded["tokens"]))
    np.testing.assert_allclose(scored["score"], decoded["score"], rtol=1e-4)


@pytest.mark.parametrize("context", CONTEXTS)
def test_contexts_are_what_they_say(rng, source, context):
    """Only attention has weights for an alignment; repetition widens the cell."""
    model = make(context, rng=rng)
    names = {weight.path for weight in model.weights}
    assert any("attention" in name for name in names) == (context == "attention")
    widths = {"attention": 4 + 10, "repeated_state": 4 + 10, "last_state": 4}
    assert model.decoder.cell.kernel.shape[0] == widths[context]


def test_a_fresh_process_loads_the_file(rng, source, target, tmp_path):
    for context, cell in CHOICES:
        model = make(context, cell, rng=rng, dropout=0.1, name="translator")
        model.save(tmp_path / f"{context}-{cell}.keras")
        np.save(tmp_path / f"{context}-{cell}.npy", call(model, source, target))
    np.savez(tmp_path / "inputs.npz", source=source, target=target)
    code = """
import pathlib, sys
import keras_attn
import keras, numpy as np

folder = pathlib.Path(sys.argv[1])
inputs = dict(np.load(folder / "inputs.npz"))
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    assert type(model) is keras_attn.Seq2Seq
    assert (model.name, model.dropout) == ("translator", 0.1)
    logits = keras.ops.convert_to_numpy(model(inputs))
    np.testing.assert_allclose(logits, np.load(path.with_suffix(".npy")), atol=1e-5)
    model.decode(inputs["source"])
    print(path.stem)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {f"{a}-{b}" for a, b in CHOICES}


def test_the_config_makes_a_twin():
    given = {
        "source_vocabulary_size": 12,
        "target_vocabulary_size": 9,
        "units": 3,
        "embedding_dim": 2,
        "context": "attention",
        "cell": "lstm",
        "alignment": "bilinear",
        "attend": "after",
        "dropout": 0.25,
        "start_token_id": 4,
        "end_token_id": 5,
        "max_length": 7,
        "name": "translator",
    }
    model = Seq2Seq(**given, dtype="mixed_bfloat16")
    config = model.get_config()
    assert {name: config[name] for name in given} == given
    twin = Seq2Seq.from_config(config)
    assert twin.get_config() == config
    assert twin.decoder.cell.compute_dtype == "bfloat16"
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_learns_to_reverse_under_xla(rng):
    """Exact match of what is decoded, on sentences that were not trained on."""
    source = rng.integers(4, 9, size=(1088, 4)).astype("int32")
    labels = np.column_stack([source[:, ::-1], np.full(1088, END)]).astype("int32")
    target = np.column_stack([np.full(1088, START), labels[:, :-1]]).astype("int32")
    model = Seq2Seq(9, 9, units=32, embedding_dim=16, max_length=6)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    assert model.jit_compile
    unseen = ~(source[:, None] == source[None, :1024]).all(-1).any(1)
    inputs = {"source": source[:1024], "target": target[:1024]}
    model.fit(inputs, labels[:1024], batch_size=32, epochs=10, verbose=0)
    tokens = numpy(model.decode(source[unseen]))["tokens"]
    assert len(tokens) >= 5
    assert (tokens[:, :5] == labels[unseen]).all(axis=1).mean() >= 0.9


@pytest.mark.parametrize(
    "jit_compile", [False] if BACKEND == "torch" else [True, False]
)
def test_the_decoder_predicts_what_decode_writes(rng, source, jit_compile):
    model = make(rng=rng)
    decoder = Decoder(model)
    decoder.compile(jit_compile=jit_compile)
    assert decoder.jit_compile == jit_compile
    found = decoder.predict(source, batch_size=3, verbose=0)
    expected = numpy(model.decode(source))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


def test_a_decoder_is_saved_with_its_model(rng, source, tmp_path):
    decoder = Decoder(make(rng=rng))
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    assert type(loaded) is Decoder
    for name, value in numpy(decoder(source)).items():
        found = ops.convert_to_numpy(loaded(source)[name])
        np.testing.assert_allclose(found, value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": "none"}, r"`context` must be one of .* context='none'"),
        ({"cell": "rnn"}, r"`cell` must be one of .* cell='rnn'"),
        ({"attend": "during"}, r"`attend` must be one of .* attend='during'"),
        ({"alignment": "cosine"}, r"`alignment` must be one of .*'cosine'"),
        ({"start_token_id": 0}, r"`start_token_id` must lie .*start_token_id=0"),
        ({"end_token_id": 9}, r"`end_token_id` must lie .*end_token_id=9"),
    ],
)
def test_refuses_to_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_refuses_to_decode_no_steps(source):
    with pytest.raises(ValueError, match="max_length=0"):
        make().decode(source, max_length=0)
