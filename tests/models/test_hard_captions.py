"""The captioner whose attention takes one place for each word."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import ImageCaptioner
from keras_attn.models._hard_reader import MovingAverage
from tests.gradients import BACKEND, gradients
from tests.models.transformers import ragged, with_random_weights

COLORS, PLACES, START = 5, 4, 2
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make(**options):
    sizes = {"units": 32, "embedding_dim": 8, "max_length": PLACES + 1, "seed": 1}
    sizes |= {"soft_rate": 0.0}
    options = {"attention": "hard", **sizes, **options}
    keras.utils.set_random_seed(0)
    return ImageCaptioner(4 + COLORS, (4, 4, COLORS), (16,), **options)


def colors_in_order(count, seed):
    """Images of two by two places, and the words for their colours, row by row.

    The colours are in the corners, where no other place of the grid sees them.
    """
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, COLORS, (count, 2, 2))
    image = np.zeros((count, 4, 4, COLORS), "float32")
    image[:, ::3, ::3] = np.eye(COLORS)[colors]
    labels = np.pad(4 + colors.reshape(count, -1), ((0, 0), (0, 1)), constant_values=3)
    target = np.pad(labels[:, :-1], ((0, 0), (1, 0)), constant_values=START)
    return {"image": image, "target": target.astype("int32")}, labels.astype("int32")


@pytest.fixture
def batch(rng):
    labels = ragged(rng, [4, 3, 1], 4, largest=8)
    target = np.pad(labels[:, :-1], ((0, 0), (1, 0)), constant_values=START)
    target = np.where(labels != 0, target, 0).astype("int32")
    image = rng.random((3, 4, 4, COLORS)).astype("float32")
    return {"image": image, "target": target}, labels


def test_it_learns_which_place_a_word_is_about(tmp_path):
    """Several steps in one execution, all of which count for what is saved.

    The decoder begins with nothing: the mean of the memory would tell it the colours of
    the corners, as the edge of the image makes each corner look another way.
    """
    inputs, labels = colors_in_order(1024, seed=0)
    model = make(entropy_weight=0.02, coverage=0.001)
    for layer in model.bridge.layers:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
        layer.trainable = False
    xla = BACKEND != "torch"
    model.compile(
        keras.optimizers.Adam(0.01),
        CROSSENTROPY,
        metrics=["accuracy"],
        jit_compile=xla,
        steps_per_execution=2 if xla else 1,
    )
    assert model.jit_compile == xla
    history = model.fit(inputs, labels, batch_size=64, epochs=15, verbose=0).history
    assert set(history) == {"accuracy", "loss"} and history["accuracy"][-1] > 0.8
    assert int(model.baseline.steps) == 15 * 16
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert loaded.get_config() == model.get_config()
    for name in ("average", "steps"):
        saved = float(getattr(loaded.baseline, name))
        assert saved == float(getattr(model.baseline, name)) != 0

    inputs, labels = colors_in_order(100, seed=1)
    found = loaded.decode(inputs["image"])
    assert (ops.convert_to_numpy(found["tokens"]) == labels).mean() > 0.95
    weights = ops.convert_to_numpy(found["attention_scores"]).reshape(100, -1, PLACES)
    looked = weights[:, :PLACES].argmax(axis=-1)
    assert (looked == np.arange(PLACES)).mean() > 0.95


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_the_words_and_of_the_choices(batch, one_hot, weighted):
    inputs, labels = batch
    model = make(entropy_weight=0.3)
    given = np.float32([[1.0, 2.0, 0.5, 1.0], [1.0, 1.0, 1.0, 7.0], [3.0] * 4])
    weight = given if weighted else np.ones_like(given)
    sample_weight = given if weighted else None
    loss = CROSSENTROPY
    y = labels
    if one_hot:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        y = np.eye(4 + COLORS, dtype="float32")[labels]
    model.compile("sgd", loss)
    tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    outputs = model(tensors, training=True)
    logits, log_prob, entropy = (
        ops.convert_to_numpy(outputs[name]).astype("float64")
        for name in ("logits", "log_prob", "entropy")
    )
    y = ops.convert_to_tensor(y)
    words = model.compute_loss(tensors, y, outputs["logits"], sample_weight)
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    reward = np.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
    weight = weight * (inputs["target"] != 0)
    mean = (weight * reward).sum() / weight.sum()
    for average in (mean, -1.0):  # the first batch has no other one than its own
        surrogate = -(reward - average) * log_prob - 0.3 * entropy
        expected = (
            ops.convert_to_numpy(words) + (weight * surrogate).sum() / weight.sum()
        )
        found = model.compute_loss(tensors, y, outputs, sample_weight)
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4)
        model.baseline.average.assign(-1.0)


def test_the_average_is_of_what_came_before():
    average, values = MovingAverage(), [4.0, 2.0, -1.0]
    found = [
        float(average(*ops.convert_to_tensor([2.0 * value, 2.0]))) for value in values
    ]
    np.testing.assert_allclose(found, [4.0, 4.0, 3.8], rtol=1e-6)
    np.testing.assert_allclose(average.average, 0.9 * 3.8 - 0.1, rtol=1e-6)


@pytest.mark.parametrize("batch", [(0.0, 0.0), (np.nan, 2.0), (-np.inf, 2.0)])
def test_a_batch_that_says_nothing_leaves_the_average(batch):
    average = MovingAverage()
    nothing = ops.convert_to_tensor(np.float32(batch))
    average(*nothing)
    assert float(average(*ops.convert_to_tensor([6.0, 2.0]))) == 3.0
    assert float(average(*nothing)) == pytest.approx(3.0)
    assert float(average.average) == pytest.approx(3.0)
    assert int(average.steps) == 1


def test_half_of_the_images_are_read_softly():
    for rate in (0.5, 0.25):
        options = {} if rate == 0.5 else {"soft_rate": rate}
        model = ImageCaptioner(9, (4, 4, 3), (4,), "hard", **options)
        assert model.writer.decoder.attention.soft_rate == rate


def test_the_choices_train_the_attention_and_the_words_do_not(batch):
    inputs, labels = batch
    model = with_random_weights(make())
    model.compile("sgd", CROSSENTROPY)
    labels = ops.convert_to_tensor(labels)
    target = ops.convert_to_tensor(inputs["target"])
    variables = model.writer.decoder.attention.trainable_weights
    assert len(variables) == 4

    def loss(choices):
        def function(image):
            x = {"image": image, "target": target}
            outputs = model(x, training=True)
            return model.compute_loss(
                x, labels, outputs if choices else outputs["logits"]
            )

        return gradients(function, [inputs["image"]], variables)[1:]

    for with_choices, without in zip(loss(True), loss(False), strict=True):
        assert np.abs(with_choices).max() > 1e-4
        np.testing.assert_array_equal(without, 0.0)


def test_it_reads_its_own_words_where_that_is_asked_for(batch):
    inputs, _ = batch
    own = with_random_weights(make(scheduled_sampling=1.0))
    plain = with_random_weights(make())
    words = 1 + ops.convert_to_numpy(plain(inputs))[..., 1:].argmax(axis=-1)
    replaced = np.column_stack([inputs["target"][:, :1], words[:, :-1]])
    target = np.where(inputs["target"] != 0, replaced, 0).astype("int32")
    assert (target != inputs["target"]).any()
    found = own(inputs, training=True)
    expected = plain({**inputs, "target": target}, training=True)
    kept = target != 0
    for name, value in expected.items():
        value = ops.convert_to_numpy(value)[kept]
        np.testing.assert_allclose(
            ops.convert_to_numpy(found[name])[kept], value, atol=1e-5
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {"attention": "stochastic"},
        {"entropy_weight": -0.1},
        {"soft_rate": 1.5},
        {"soft_rate": "a"},
    ],
)
def test_refuses(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}` must be .*={value!r}"):
        make(**arguments)


def test_refuses_a_share_that_soft_attention_would_not_read():
    with pytest.raises(ValueError, match=r"`soft_rate` must be in .*soft_rate=7"):
        make(attention="soft", soft_rate=7)
