import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import RecurrentAttentionModel
from tests.comparison import assert_same
from tests.gradients import BACKEND, gradients

BASELINES = ("learned", "leave_one_out", "self_critical", None)


# Loads a model by another backend, and says what it answers.
PROGRAM = """
import pathlib, sys
import keras, keras_attn, numpy as np

folder = pathlib.Path(sys.argv[1])
model = keras.saving.load_model(folder / "model.keras")
answer = model.explain(np.load(folder / "images.npy"))
found = {name: keras.ops.convert_to_numpy(value) for name, value in answer.items()}
np.savez(folder / f"{keras.backend.backend()}.npz", **found)
"""


@keras.saving.register_keras_serializable("tests")
def confidence(labels, logits):
    """A reward that is more than right or wrong."""
    scores = ops.softmax(logits, axis=-1)
    return ops.take_along_axis(scores, ops.reshape(labels, (-1, 1)), axis=-1)[:, 0]


def make(**arguments):
    sizes = {"num_glimpses": 3, "glimpse_size": 3, "units": 8, "what_units": 6}
    sizes |= {"where_units": 5, "num_samples": 2, "std": 0.3, "seed": 1}
    return RecurrentAttentionModel((6, 6, 1), 3, **{**sizes, **arguments})


def compiled(model, **arguments):
    sound = {"jit_compile": BACKEND != "torch", **arguments}
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **sound,
    )
    assert model.jit_compile == sound["jit_compile"]
    return model


@pytest.fixture
def data(rng):
    images = rng.random((20, 6, 6, 1)).astype("float32")
    return images, rng.integers(0, 3, 20).astype("int32")


def cues(count, seed):
    """A spot in the middle says on which side the class is shown, as stripes.

    The other side has stripes of its own that say nothing.
    """
    rng = np.random.default_rng(seed)
    labels, others, sides = rng.integers(0, 2, (3, count))
    images = np.zeros((count, 12, 12, 1), "float32")
    stripes = np.zeros((2, 4, 4, 1), "float32")
    stripes[0, ::2], stripes[1, :, ::2] = 1.0, 1.0
    images[:, 4:8, :4] = stripes[np.where(sides, others, labels)]
    images[:, 4:8, 8:] = stripes[np.where(sides, labels, others)]
    images[sides == 0, 5:7, 4:6] = 1.0
    images[sides == 1, 5:7, 6:8] = 1.0
    return images, labels.astype("int32")


@pytest.mark.parametrize("baseline", BASELINES)
def test_it_learns_where_to_look(baseline):
    """Who always looks to one side has three of four right."""
    model = RecurrentAttentionModel(
        (12, 12, 1),
        2,
        num_glimpses=2,
        glimpse_size=4,
        units=32,
        what_units=16,
        where_units=16,
        std=0.5,
        num_samples=4,
        baseline=baseline,
        seed=1,
    )
    compiled(model, **({} if BACKEND == "torch" else {"steps_per_execution": 8}))
    model.fit(*cues(2048, seed=0), batch_size=64, epochs=6, verbose=0)
    found = model.evaluate(
        *cues(512, seed=1), batch_size=64, return_dict=True, verbose=0
    )
    assert found["accuracy"] > 0.93
    assert 0.6 < found["sampled_accuracy"] <= found["accuracy"] + 0.02
    images, _ = cues(512, seed=1)
    columns = ops.convert_to_numpy(model.explain(images)["locations"])[:, 1, 1]
    right = images[:, 5, 7, 0] > 0
    assert columns[right].mean() > 0.3 and columns[~right].mean() < -0.3


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_loss_is_the_sum_of_its_parts(data, baseline):
    """Against NumPy, from the passes of one call."""
    images, labels = data
    model = compiled(
        make(baseline=baseline, reinforce_weight=0.5),
        run_eagerly=True,
        jit_compile=False,
    )
    weights = np.linspace(0, 2, 20).astype("float32")
    passes = model(images, training=True)
    loss = model.compute_loss(images, labels, passes, weights, training=True)
    found = {k: ops.convert_to_numpy(v).astype("float64") for k, v in passes.items()}
    logits = found["logits"]
    first = 1 if baseline == "self_critical" else 0
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    entropy = -scores[np.arange(20), first:, labels]
    right = (logits.argmax(axis=-1) == labels[:, None]).astype("float64")
    reward = right[:, first:]
    held, apart = 0.0, 0.0
    if baseline == "learned":
        held = found["values"]
        apart = np.square(held - reward[..., None]).mean(axis=-1)
    elif baseline == "leave_one_out":
        held = reward[:, ::-1, None]
    elif baseline == "self_critical":
        held = right[:, :1, None]
    surrogate = -(reward[..., None] - held) * found["log_prob"][:, first:]
    each = entropy + apart + 0.5 * surrogate.sum(axis=-1)
    expected = (weights[:, None] * each).mean()
    np.testing.assert_allclose(ops.convert_to_numpy(loss), expected, rtol=1e-4)


@pytest.mark.parametrize("baseline", ["learned", "self_critical"])
def test_each_loss_trains_what_the_paper_has_it_train(data, baseline):
    images, labels = data
    model = compiled(make(baseline=baseline))
    attention = model.attention
    policy = {weight.path for weight in attention.location_policy.trainable_weights}
    assert (attention.baseline is not None) == (baseline == "learned")

    def slopes(weight, labels):
        model.reinforce_weight = weight

        def loss(x):
            passes = model(x, training=True)
            return model.compute_loss(x, labels, passes, training=True)

        found = gradients(loss, [images], model.trainable_weights)[1:]
        paths = [weight.path for weight in model.trainable_weights]
        return dict(zip(paths, found, strict=True))

    without = slopes(0.0, ops.convert_to_tensor(labels))
    for path, slope in without.items():
        assert (np.abs(slope).max() > 0) == (path not in policy), path
    seed = attention.location_policy.seed_generator
    seed.state.assign(keras.random.SeedGenerator(1).state)
    first = slopes(1.0, ops.convert_to_tensor(labels))
    seed.state.assign(keras.random.SeedGenerator(1).state)
    second = slopes(2.0, ops.convert_to_tensor(labels))
    for path in first:
        same = np.allclose(first[path], second[path], atol=1e-7)
        assert same == (path not in policy), path


def test_fit_compiles_evaluates_and_reports_both_policies(data):
    model = compiled(
        make(), **({} if BACKEND == "torch" else {"steps_per_execution": 2})
    )
    images, labels = data
    history = model.fit(
        images, labels, batch_size=5, validation_data=data, epochs=2, verbose=0
    ).history
    names = {"loss", "accuracy", "sampled_accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert history["accuracy"] == pytest.approx(history["sampled_accuracy"], abs=1e-6)
    predicted = model.predict(images, batch_size=5, verbose=0)
    assert predicted.shape == (20, 3)
    found = model.evaluate(images, labels, batch_size=5, return_dict=True, verbose=0)
    by_means = (predicted.argmax(axis=-1) == labels).mean()
    assert found["accuracy"] == pytest.approx(by_means, abs=1e-6)
    again = model.evaluate(images, labels, batch_size=5, return_dict=True, verbose=0)
    assert again["accuracy"] == found["accuracy"]


@pytest.mark.parametrize("baseline", BASELINES)
def test_in_training_both_accuracies_are_those_of_the_passes_drawn(data, baseline):
    model = compiled(make(std=1.0, baseline=baseline))
    history = model.fit(*data, batch_size=5, epochs=2, verbose=0).history
    assert history["accuracy"] == pytest.approx(history["sampled_accuracy"], abs=1e-6)


def test_sample_weights_leave_both_accuracies_alone(data):
    model = compiled(make(std=1e-6))
    weights = np.eye(1, 20, dtype="float32")[0]
    found = model.evaluate(*data, sample_weight=weights, return_dict=True, verbose=0)
    assert found["accuracy"] == pytest.approx(found["sampled_accuracy"], abs=1e-6)
    assert 0 < found["accuracy"] < 1


def test_what_it_is_made_of_is_made_of_its_arguments():
    model = make(
        scan=True, policy_units=4, dropout=0.5, num_scales=2, what_units=6, std=0.2
    )
    policy, network = model.attention.location_policy, model.attention.glimpse_network
    assert (policy.num_steps, policy.hidden_units, policy.std) == (2, 4, 0.2)
    assert (network.sensor.num_scales, network.sensor.size) == (2, 3)
    assert (network.what.units, network.where.units) == (6, 5)
    assert model.attention.dropout == 0.5
    np.testing.assert_array_equal(model.attention.cell.recurrent_kernel, np.eye(8))


def test_its_seed_is_that_of_its_draws(data):
    drawn = []
    for everywhere, seed in ((3, 1), (4, 1), (4, 2)):
        keras.utils.set_random_seed(everywhere)
        model = make(seed=seed)
        for weight in model.trainable_weights:
            weight.assign(ops.full(weight.shape, 0.1))
        drawn.append(ops.convert_to_numpy(model(data[0], training=True)["locations"]))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[1], drawn[2])


def test_the_sampled_accuracy_is_that_of_single_passes(data):
    """With a wide policy the passes of an image disagree, and so do evaluations."""
    model = compiled(make(std=1.0), jit_compile=False, run_eagerly=True)
    images, labels = data
    found = [
        model.evaluate(images, labels, batch_size=20, return_dict=True, verbose=0)
        for _ in range(8)
    ]
    sampled = np.array([each["sampled_accuracy"] for each in found]) * 20
    np.testing.assert_allclose(sampled, sampled.round(), atol=1e-4)  # of 20 passes
    assert sampled.std() > 0


def test_a_callback_narrows_the_looks_of_a_compiled_training(data):
    """Narrowed to nothing from the second epoch on, each pass is that by the means."""

    class Narrow(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            deviation = self.model.attention.location_policy.deviation
            deviation.assign(1.0 if epoch == 0 else 1e-6)

        def on_epoch_end(self, epoch, logs=None):
            passes = [self.model(data[0], training=True)["locations"] for _ in "ab"]
            apart.append(float(ops.max(ops.abs(passes[0] - passes[1]))))

    apart = []
    model = compiled(make(std=0.3, reinforce_weight=0.0))
    model.fit(*data, batch_size=5, epochs=2, callbacks=[Narrow()], verbose=0)
    assert apart[0] > 0.5 and apart[1] < 1e-4
    found = model.evaluate(*data, return_dict=True, verbose=0)
    assert found["sampled_accuracy"] == pytest.approx(found["accuracy"], abs=1e-6)


def test_labels_may_be_one_hot_or_a_column(data):
    images, labels = data
    hot = np.eye(3, dtype="float32")[labels]
    for y, loss in ((hot, "categorical"), (labels[:, None], "sparse_categorical")):
        model = make()
        loss = keras.losses.get(f"{loss}_crossentropy")
        model.compile("adam", lambda t, p, loss=loss: loss(t, p, from_logits=True))
        model.fit(images, y, batch_size=10, verbose=0)
        expected = model.predict(images, verbose=0).argmax(axis=-1) == labels
        model.compute_loss(images, y, model(images), training=False)
        reward = model._reward(ops.convert_to_tensor(y), model(images)[:, None])
        np.testing.assert_array_equal(reward[:, 0], expected)


def test_one_logit_is_rewarded_for_its_side(data):
    images, _ = data
    model = RecurrentAttentionModel((6, 6, 1), 1, 2, 3, units=4, seed=1)
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    said = ops.convert_to_numpy(model(images))[:, 0] > 0
    answer = {k: ops.convert_to_numpy(v) for k, v in model.explain(images).items()}
    np.testing.assert_array_equal(answer["label"], said)
    np.testing.assert_array_equal(answer["probabilities"][:, 0] > 0.5, said)
    logits = ops.convert_to_tensor([[[2.0]], [[-2.0]], [[2.0]], [[-2.0]]])
    reward = model._reward(np.array([[1], [1], [0], [0]]), logits)
    np.testing.assert_array_equal(reward, [[1], [0], [0], [1]])


def test_images_may_come_by_their_name(data):
    images, labels = data
    model = compiled(make())
    assert_same(model({"image": images}), model(images))
    with pytest.raises(ValueError, match=r"must be named `image`\. .*\['img'\]"):
        model.explain({"img": images})
    assert_same(model.explain(images.tolist()), model.explain(images))
    np.testing.assert_allclose(
        model.predict({"image": images}, verbose=0),
        model.predict(images, verbose=0),
        atol=1e-6,
    )
    model.fit({"image": images}, labels, verbose=0)


def test_no_labels_and_rewards_of_another_shape_are_named(data):
    images, labels = data
    with pytest.raises(ValueError, match=r"`y` must be labels.*Received: y=None"):
        compiled(make()).evaluate(images, verbose=0)
    with pytest.raises(ValueError, match=r"`y` must be classes.*shape \(\d+, 2\)"):
        make()._reward(np.zeros((20, 2)), make()(images)[:, None])
    model = compiled(make(reward=lambda y, logits: logits[:-1, 0]))
    with pytest.raises(ValueError, match="`reward` and `logits` must have the same"):
        model._reward(labels, model(images)[:, None])
    model = compiled(make(reward=lambda y, logits: logits))
    message = r"`reward` must return one number for each row.*shape \(\d*.*, 3\)"
    with pytest.raises(ValueError, match=message):
        model.evaluate(images, labels, verbose=0)


def test_a_reward_of_ones_own_is_reported_saved_and_trained_by(data, tmp_path):
    images, labels = data
    model = compiled(make(reward=confidence))
    found = model.evaluate(images, labels, return_dict=True, verbose=0)
    assert 0 < found["sampled_reward"] < 1 and "sampled_accuracy" not in found
    model.fit(images, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.reward is confidence
    assert_same(loaded(images), model(images))
    loaded.fit(images, labels, verbose=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a trained model and images, and what it answers."""
    folder, rng = tmp_path_factory.mktemp("saved"), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    images = rng.random((20, 6, 6, 1)).astype("float32")
    labels = rng.integers(0, 3, 20).astype("int32")
    model = compiled(make(cell="lstm", policy_units=4))
    model.fit(images, labels, verbose=0)
    model.save(folder / "model.keras")
    np.save(folder / "images.npy", images)
    return folder, model.explain(images)


@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {BACKEND}))
def test_weights_carry_over_to_other_backends(saved, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, expected = saved
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    with np.load(folder / f"{backend}.npz") as found:
        for name, value in expected.items():
            assert_same(found[name], value)


def test_images_may_be_bytes_and_one_channel_left_out(data):
    images, labels = data
    pixels = (images * 255).astype("uint8")
    model = compiled(make())
    expected = model.predict((pixels / 255).astype("float32"), verbose=0)
    assert_same(model.predict(pixels, verbose=0), expected)
    flat = compiled(make())
    flat.set_weights(model.get_weights())
    assert_same(flat.predict(pixels[..., 0], verbose=0), expected)
    flat.fit(pixels[..., 0], labels, verbose=0)


def test_three_channels_several_scales_and_a_batch_of_one(rng):
    model = compiled(
        RecurrentAttentionModel((5, 7, 3), 2, 2, 4, 2, units=4, cell="lstm")
    )
    image, label = rng.random((1, 5, 7, 3)).astype("float32"), np.int32([1])
    model.fit(image, label, verbose=0)
    answer = model.explain(image)
    assert answer["locations"].shape == (1, 2, 2)
    assert answer["label"].shape == (1,)
    probabilities = ops.convert_to_numpy(answer["probabilities"])
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-5)


def test_one_glimpse_trains_without_a_policy(data):
    model = compiled(make(num_glimpses=1, baseline="leave_one_out"))
    assert np.isfinite(model.fit(*data, verbose=0).history["loss"]).all()


def test_a_seed_makes_a_training_come_out_the_same(data):
    ends = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = compiled(make())
        model.fit(*data, batch_size=10, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    assert_same(ends[0], ends[1])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow is what is exported")
def test_served_it_answers_as_in_process(data, tmp_path):
    from keras_attn.serving import Client, Server, export

    images, _ = data
    model = make()
    rows = {"serving_default": {"image": images[:4]}}
    path = export(
        model, tmp_path / "glimpses", examples=rows, allowed_batch_sizes=(1, 4)
    )
    with Server(path.parent) as server, Client(server.address, "glimpses") as client:
        found = client.predict({"image": images})
        again = client.predict({"image": images})
    expected = {k: ops.convert_to_numpy(v) for k, v in model.explain(images).items()}
    assert set(found) == set(expected) == {"label", "probabilities", "locations"}
    for name, value in expected.items():
        assert_same(found[name], value)
        np.testing.assert_array_equal(found[name], again[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "gru"}, "`cell` must be one of.*'gru'"),
        ({"baseline": "mean"}, "`baseline` must be one of.*'mean'"),
        ({"num_samples": 0}, "`num_samples` must be an int of at least 1.*=0"),
        (
            {"baseline": "leave_one_out", "num_samples": 1},
            "`num_samples` must be an int of at least 2 with.*leave_one_out.*=1",
        ),
        ({"reward": 1}, "`reward` must be a function.*reward=1"),
        ({"num_glimpses": 0}, "`num_glimpses` must be an int of at least 1.*=0"),
        ({"std": -1.0}, "`std` must be a finite number"),
        ({"std": float("inf")}, "`std` must be a finite number.*=inf"),
        ({"std": None}, "`std` must be a finite number.*=None"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\).*=1.0"),
        ({"reinforce_weight": float("nan")}, "`reinforce_weight` must be .*=nan"),
        ({"num_samples": True}, "`num_samples` must be an int.*=True"),
        ({"droput": 0.1}, "RecurrentAttentionModel has no .* Received: droput"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("shape", [28, (28, 28), (0, 28, 1), (None, 28, 1)])
def test_a_bad_image_shape_is_named(shape):
    with pytest.raises(ValueError, match="`image_shape` must be"):
        RecurrentAttentionModel(shape, 3)


def test_images_of_another_shape_are_named(data):
    with pytest.raises(ValueError, match=r"expected shape=\(None, 6, 6, 1\)"):
        make()(np.zeros((2, 7, 6, 1), "float32"))
