"""Models that read sound, images and questions, and write."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import (
    AskAttendAnswer,
    Decoder,
    ImageCaptioner,
    ImageToMarkup,
    ListenAttendSpell,
)
from keras_attn.data import Vocabulary
from keras_attn.serving import InvalidArgumentError
from tests.gradients import BACKEND, MODES, QUICKEST, in_mode
from tests.models.transformers import (
    assert_same_answers,
    numpy,
    ragged,
    with_random_weights,
)

START, END, LENGTH = 2, 3, 5
SIZES = {"units": 6, "embedding_dim": 5, "max_length": LENGTH}
MAKERS = {
    "audio": lambda **kw: ListenAttendSpell(9, 4, 2, 5, 800, **{**SIZES, **kw}),
    "image": lambda **kw: ImageCaptioner(9, (8, 12, 3), (3, 4), **{**SIZES, **kw}),
    "hard": lambda **kw: ImageCaptioner(
        9, (8, 12, 3), (3, 4), "hard", **{**SIZES, **kw}
    ),
    "markup": lambda **kw: ImageToMarkup(9, (8, 12, 1), (3, 4), 4, **{**SIZES, **kw}),
    "question": lambda **kw: AskAttendAnswer(
        9, 7, (8, 8, 3), (3, 4), 5, 2, **{**SIZES, **kw}
    ),
}
SLOTS = {
    "audio": (7,),
    "image": (2, 3),
    "hard": (2, 3),
    "markup": (2, 3),
    "question": (4 + 4,),
}


@pytest.fixture(scope="module", params=MAKERS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    return with_random_weights(MAKERS[kind]())


@pytest.fixture
def source(kind, rng):
    shapes = {"markup": (8, 12, 1), "question": (8, 8, 3)}
    if kind == "audio":
        audio = rng.normal(size=(3, 220)).astype("float32")
        return {"audio": audio, "lengths": np.int32([220, 90, 5])}
    images = rng.random((3, *shapes.get(kind, (8, 12, 3)))).astype("float32")
    if kind == "question":
        return {"image": images, "question": ragged(rng, [4, 2, 1], 4, largest=6)}
    return {"image": images}


def decode(model, source, mode=QUICKEST, **options):
    names = list(source)

    def function(*tensors):
        return model.decode(dict(zip(names, tensors, strict=True)), **options)

    tensors = [ops.convert_to_tensor(value) for value in source.values()]
    return numpy(in_mode(function, mode)(*tensors))


def test_what_is_written_scores_what_the_model_gives_it(kind, model, source):
    for options in ({}, {"beam_width": 3}):
        found = decode(model, source, **options)
        scored = numpy(model.score(source, found["tokens"]))
        np.testing.assert_allclose(scored["score"], found["score"], rtol=1e-3)
        weights = found["attention_scores"]
        assert weights.shape == (3, LENGTH, *SLOTS[kind])
        written = np.arange(LENGTH) < found["lengths"][:, None]
        sums = weights.reshape(3, LENGTH, -1).sum(-1)
        np.testing.assert_allclose(sums, written, atol=1e-5)


@pytest.mark.parametrize("mode", MODES[1:])
def test_every_mode_writes_the_same(model, source, mode):
    options = {"beam_width": 3, "n_best": 2, "coverage_penalty": 0.1}
    assert_same_answers(
        decode(model, source, mode, **options), decode(model, source, **options)
    )


def test_a_source_of_one_tensor_needs_no_name(kind, model, source):
    if len(source) > 1:
        with pytest.raises(ValueError, match=r"`source` must hold .*Received: \['x'\]"):
            model.decode({"x": next(iter(source.values()))})
        return
    (image,) = source.values()
    assert_same_answers(numpy(model.decode(image)), decode(model, source))


def test_what_lies_after_the_sound_is_not_heard(rng):
    model = with_random_weights(MAKERS["audio"]())
    audio, lengths = rng.normal(size=(2, 64)).astype("float32"), np.int32([64, 37])
    expected = decode(model, {"audio": audio, "lengths": lengths})
    audio[1, 37:] = np.nan
    longer = np.pad(audio, ((0, 0), (0, 64)), constant_values=np.inf)
    found = decode(model, {"audio": longer, "lengths": lengths})
    slots = expected["attention_scores"].shape[-1]
    assert not found["attention_scores"][..., slots:].any()
    found["attention_scores"] = found["attention_scores"][..., :slots]
    assert_same_answers(found, expected)


def test_what_pads_a_question_is_not_read(rng):
    model = with_random_weights(MAKERS["question"]())
    question = ragged(rng, [4, 2, 1], 4, largest=6)
    source = {"image": rng.random((3, 8, 8, 3)).astype("float32"), "question": question}
    wide = {**source, "question": np.pad(question, ((0, 0), (0, 3)))}
    target = np.int32([[4, 5, END]] * 3)
    np.testing.assert_allclose(
        model.score(wide, target)["token_scores"],
        model.score(source, target)["token_scores"],
        atol=1e-5,
    )
    found, expected = (decode(model, each) for each in (wide, source))
    words, places = np.split(found["attention_scores"], [7], axis=2)
    assert not words[:, :, 4:].any()
    kept = np.concatenate([words[:, :, :4], places], axis=2)
    assert_same_answers({**found, "attention_scores": kept}, expected)


def test_each_row_of_a_formula_begins_in_its_own_way():
    model = with_random_weights(MAKERS["markup"]())
    image = np.ones((1, 8, 12, 1), "float32")
    before = ops.convert_to_numpy(model.read(ops.convert_to_tensor(image))[0])
    starts = model.read.starts.embeddings
    second = np.arange(2)[:, None] * np.ones(starts.shape)
    starts.assign(ops.convert_to_numpy(starts) + second)
    after = ops.convert_to_numpy(model.read(ops.convert_to_tensor(image))[0])
    moved = np.abs(after - before).max(axis=(0, 2, 3))
    assert moved[0] == 0 and moved[1] > 1e-3


def test_what_follows_the_last_ink_is_not_read(rng):
    """Of a formula, and nothing is looked at where there is none."""
    model = with_random_weights(MAKERS["markup"]())
    image = np.zeros((3, 8, 12, 1), "float32")
    image[0], image[1, 2:5, 3:5] = rng.random((8, 12, 1)), 1.0
    found = decode(model, {"image": image})
    seen = (found["attention_scores"] > 0).any(axis=(1, 2))
    np.testing.assert_array_equal(seen, [[True] * 3, [True, True, False], [False] * 3])
    assert np.isfinite(found["score"]).all()
    memory = ops.convert_to_numpy(model.read(ops.convert_to_tensor(image))[0])
    assert not memory[1, :, 2].any() and not memory[2].any() and memory[1, :, 1].any()


def test_only_three_levels_narrow_a_formula():
    model = ImageToMarkup(9, (16, 32, 1), (3, 3, 3, 3), 4, **SIZES)
    found = decode(model, {"image": np.zeros((1, 16, 32, 1), "float32")})
    assert found["attention_scores"].shape == (1, LENGTH, 1, 4)


@pytest.mark.parametrize("coverage", [0.0, 2.0])
def test_coverage_is_added_to_the_loss(kind, source, coverage):
    model = with_random_weights(MAKERS[kind](coverage=coverage))
    target = np.int32([[START, 4, 5]] * 3)
    inputs = {k: ops.convert_to_tensor(v) for k, v in source.items()}
    model({**inputs, "target": ops.convert_to_tensor(target)}, training=True)
    assert [float(loss) > 0 for loss in model.losses] == [True] * bool(coverage)


@pytest.mark.skipif(BACKEND == "torch", reason="torch has no compiled mode here")
def test_sound_is_heard_in_full_precision_whatever_the_policy(rng):
    """A quiet hiss behind loud tones, which 16 bits do not hold."""
    time = np.arange(2000) / 8000
    tones = np.sin(2 * np.pi * np.float64([[300], [700]]) * time)
    audio = (0.5 * tones + 1e-3 * rng.normal(size=(2, 2000))).astype("float32")
    source = {"audio": audio, "lengths": np.int32([2000, 1500])}
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = with_random_weights(ListenAttendSpell(9, 8, 2, 20, 8000, **SIZES))
        decoder = Decoder(model)
    finally:
        keras.config.set_dtype_policy(before)
    found = decoder.predict(source, verbose=0)
    expected = numpy(model.decode(source))
    np.testing.assert_array_equal(found["tokens"], expected["tokens"])
    np.testing.assert_allclose(found["score"], expected["score"], atol=0.1)


def test_bytes_are_not_taken_for_numbers_up_to_one():
    model, pixels = MAKERS["image"](), np.zeros((1, 8, 12, 3), "uint8")
    target = np.int32([[4, END]])
    for ask in (model.decode, lambda source: model.score(source, target)):
        with pytest.raises(ValueError, match=r"`image` must be floats.*dtype=uint8"):
            ask(pixels)
    with pytest.raises(ValueError, match=r"`target` must have shape \(batch, "):
        model.score(pixels / np.float32(255), target[0])


@pytest.mark.skipif(BACKEND == "tensorflow", reason="whose convolutions want rows")
def test_no_images_have_no_captions():
    found = decode(MAKERS["image"](), {"image": np.zeros((0, 8, 12, 3), "float32")})
    assert found["tokens"].shape == (0, LENGTH)


@pytest.mark.parametrize(("samples", "length"), [(64, 0), (64, 64), (0, 0)])
def test_silence_is_answered_with_numbers(samples, length):
    model = MAKERS["audio"]()
    audio = np.zeros((1, samples), "float32")
    found = decode(model, {"audio": audio, "lengths": np.int32([length])})
    assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize("steps", [4, 0])
def test_an_empty_question_is_answered_with_numbers(rng, steps):
    model = MAKERS["question"]()
    images = rng.random((1, 8, 8, 3)).astype("float32")
    empty = np.zeros((1, steps), "int32")
    found = decode(model, {"image": images, "question": empty})
    assert all(np.isfinite(value).all() for value in found.values())
    assert not found["attention_scores"][..., : max(steps, 1)].any()


@pytest.mark.parametrize(
    ("kind", "name", "shape"),
    [
        ("image", "image", (1, 8, 16, 3)),
        ("image", "image", (8, 12, 3)),
        ("markup", "image", (1, 8, 12)),
        ("question", "image", (2, 8, 8, 3)),
        ("question", "question", (4,)),
        ("audio", "audio", (1, 4, 1)),
        ("audio", "lengths", (2,)),
    ],
)
def test_refuses_a_source_of_another_shape(kind, name, shape):
    model = MAKERS[kind]()
    right = {
        n: np.zeros((1, *(x or 4 for x in tensor.shape[1:])), model.reads[n])
        for n, tensor in model.input.items()
        if n != "target"
    }
    wrong = {**right, name: np.zeros(shape, model.reads[name])}
    target = np.int32([[4, END]])
    model.score(right, target)
    for ask in (model.decode, lambda source: model.score(source, target)):
        with pytest.raises(ValueError, match=r"`\w+` must have the shape \("):
            ask(wrong)


@pytest.fixture
def ask(kind, model, source, tmp_path):
    """Asks a signature; of the first model in a server, of the others as a graph."""
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow is what is exported")
    import tensorflow as tf

    from keras_attn.serving import Client, Server, export

    vocabulary = Vocabulary("abcde", " " if kind == "image" else "")
    signatures = model.serving_signatures(vocabulary, beam_width=3, n_best=2)
    if kind != "image":

        def traced(name, inputs):
            function, specs = signatures[name]
            answer = tf.function(function, [specs], autograph=False)(inputs)
            return {name: value.numpy() for name, value in answer.items()}

        yield vocabulary, traced
        return
    rows = {"serving_default": source}
    version = export(
        model, tmp_path / "writer", signatures, examples=rows, allowed_batch_sizes=[1]
    )
    with Server(version.parent) as server, Client(server.address, "writer") as client:
        yield (
            vocabulary,
            lambda name, inputs: client.predict(inputs, signature_name=name),
        )


def test_it_is_asked_for_text(kind, model, source, ask):
    vocabulary, ask = ask
    several = decode(model, source, beam_width=3, n_best=2)
    if kind == "question":
        source = {**source, "question_lengths": np.int32([4, 2, 1])}
    tokens = several["tokens"]
    words = [vocabulary.detokenize(rows) for rows in tokens]
    target = np.where(tokens[:, 0] == 0, 7, tokens[:, 0])
    scored = {**source, "target": target, "target_lengths": several["lengths"][:, 0]}

    def text(answer):
        return np.char.decode(answer["text"].astype("S")).tolist()

    assert text(ask("serving_default", source)) == [row[0] for row in words]
    answer = ask("n_best", source)
    assert text(answer) == words
    np.testing.assert_allclose(answer["score"], several["score"], rtol=1e-4)
    score = ask("score", scored)["score"]
    np.testing.assert_allclose(score, several["score"][:, 0], rtol=1e-3)
    ids = ask("tokens", source)["tokens"]
    np.testing.assert_array_equal(ids, tokens[:, 0, : ids.shape[1]])
    if kind == "image":
        with pytest.raises(InvalidArgumentError, match=r"[Ss]hape|size"):
            ask("serving_default", {"image": source["image"][:, 1:]})
    if kind == "audio":
        from tensorflow.errors import InvalidArgumentError as RefusedByTheGraph

        message = "`lengths` must lie between 0 and the size of `audio`"
        with pytest.raises(RefusedByTheGraph, match=message):
            ask("serving_default", {**source, "lengths": -source["lengths"]})


WORDS = Vocabulary(["is", "it", "red"], " ")


def asked(model, name, request, **options):
    """The answer of a signature, with a graph for any numbers of rows and steps."""
    import tensorflow as tf

    function, specs = model.serving_signatures(**options)[name]
    return tf.function(function, [specs], autograph=False)(request)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="signatures are TensorFlow graphs")
@pytest.mark.parametrize("kind", ["audio", "question"])
def test_nothing_is_answered_when_served(kind, rng):
    model = with_random_weights(MAKERS[kind]())
    empty = {"audio": np.zeros((1, 0), "float32"), "lengths": np.int32([0])}
    request = empty
    if kind == "question":
        image = rng.random((1, 8, 8, 3)).astype("float32")
        empty = {"image": image, "question": np.zeros((1, 0), "int32")}
        request = {**empty, "question_lengths": np.int32([0])}
    found = asked(model, "tokens", request)
    expected = numpy(model.decode(empty))
    steps = found["tokens"].shape[1]
    np.testing.assert_array_equal(found["tokens"], expected["tokens"][:, :steps])
    target = {"target": np.zeros((1, 0), "int32"), "target_lengths": np.int32([0])}
    assert asked(model, "score", {**request, **target})["score"] == [0.0]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="signatures are TensorFlow graphs")
def test_a_question_may_be_text(rng):
    """Words that are not known count as such, and no words are no question."""
    model = with_random_weights(MAKERS["question"]())
    images = rng.random((4, 8, 8, 3)).astype("float32")
    texts = ["is it red", " it  blue", "", "<pad> </s> red"]
    ids = np.int32([[4, 5, 6], [5, 1, 0], [0, 0, 0], [1, 1, 6]])
    request = {"image": images, "question": np.array(texts, object)}
    found = asked(model, "serving_default", request, question_vocabulary=WORDS)
    expected = numpy(model.decode({"image": images, "question": ids}))
    steps = found["tokens"].shape[1]
    np.testing.assert_array_equal(found["tokens"], expected["tokens"][:, :steps])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4)
    with pytest.raises(ValueError, match=r"`question_vocabulary` must have at most 7"):
        model.serving_signatures(question_vocabulary=Vocabulary("abcd"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="signatures are TensorFlow graphs")
@pytest.mark.parametrize("short", ["image", "question", "target", "target_lengths"])
def test_a_request_of_differently_many_rows_is_refused(rng, short):
    from tensorflow.errors import InvalidArgumentError as RefusedByTheGraph

    model = MAKERS["question"]()
    request = {
        "image": rng.random((3, 8, 8, 3)).astype("float32"),
        "question": np.int32([[4, 5]] * 3),
        "question_lengths": np.int32([2, 2, 2]),
        "target": np.int32([[4, 5]] * 3),
        "target_lengths": np.int32([2, 2, 2]),
    }
    request[short] = request[short][:1]
    with pytest.raises(RefusedByTheGraph, match=r"`\w+` must have as many rows as `"):
        asked(model, "score", request)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="signatures are TensorFlow graphs")
@pytest.mark.parametrize("name", ["tokens", "serving_default"])
def test_lengths_of_one_row_are_not_taken_for_all(rng, name):
    from tensorflow.errors import InvalidArgumentError as RefusedByTheGraph

    audio = rng.normal(size=(3, 64)).astype("float32")
    request = {"audio": audio, "lengths": np.int32([64])}
    with pytest.raises(RefusedByTheGraph, match="must have as many rows as"):
        asked(MAKERS["audio"](), name, request)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="signatures are TensorFlow graphs")
def test_what_a_batching_server_pads_a_question_with_is_not_read(rng):
    model = with_random_weights(MAKERS["question"]())
    images = rng.random((2, 8, 8, 3)).astype("float32")
    request = {"image": images, "question_lengths": np.int32([3, 1])}
    ids = np.int32([[4, 5, 6], [6, 0, 0]])
    clean = asked(model, "tokens", {**request, "question": ids})
    noisy = asked(model, "tokens", {**request, "question": np.where(ids == 0, 9, ids)})
    assert_same_answers(numpy(noisy), numpy(clean))


def test_a_file_holds_it(model, source, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert_same_answers(decode(loaded, source), decode(model, source))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("image", {"image_shape": (8, 8)}, r"`image_shape` must be three ints.*\(8, 8"),
        ("image", {"image_shape": 64}, r"`image_shape` must be three ints.*=64"),
        ("image", {"image_shape": (4, 64, 3)}, r"at least \(8, 8\) .* 3 levels.*\(4, "),
        ("image", {"widths": 8}, r"`widths` must hold .*widths=8"),
        ("image", {"widths": ()}, r"`widths` must hold .*widths=\(\)"),
        ("image", {"widths": (8, 0)}, r"`widths` must be an int .*widths=0"),
        ("image", {"foo": 1}, r"ImageCaptioner has no arguments of .* foo"),
        ("audio", {"scheduled_samplng": 0.5}, r"has no arguments.*scheduled_samplng"),
        ("image", {"coverage": float("nan")}, r"`coverage` must be .*coverage=nan"),
        ("markup", {"image_shape": (8, 64, 1)}, r"at least \(16, 8\).*\(8, 64\)"),
        ("image", {"units": 0}, r"`units` must be an int .*units=0"),
        ("audio", {"num_pyramids": 0}, r"`num_pyramids` must be .*num_pyramids=0"),
        ("markup", {"row_units": 0}, r"`row_units` must be .*row_units=0"),
        ("question", {"num_hops": 0}, r"`num_hops` must be .*num_hops=0"),
        ("question", {"end_token_id": 9}, r"`end_token_id` must .*end_token_id=9"),
    ],
)
def test_refuses_to_be_made(kind, arguments, message):
    classes = {
        "image": ImageCaptioner,
        "audio": ListenAttendSpell,
        "markup": ImageToMarkup,
    }
    with pytest.raises(ValueError, match=message):
        if kind == "question":
            AskAttendAnswer(9, 7, **arguments)
        else:
            classes[kind](9, **arguments)


def test_refuses_a_vocabulary_that_is_too_small(model):
    if BACKEND != "tensorflow":
        pytest.skip("signatures are TensorFlow graphs")
    with pytest.raises(ValueError, match=r"`vocabulary` must have at least 9 ids.*=8"):
        model.serving_signatures(Vocabulary("abcd"))
