import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import Seq2Seq, Transformer
from tests.gradients import BACKEND
from tests.models.transformers import SIZES, ragged, with_random_weights

START = 2


def make(kind=Seq2Seq, **options):
    sizes = {"units": 6, "embedding_dim": 5} if kind is Seq2Seq else SIZES
    keras.utils.set_random_seed(0)
    return with_random_weights(kind(12, 9, **{**sizes, **options}))


@pytest.fixture
def inputs(rng):
    target = ragged(rng, [6, 4, 1], 6, largest=8)
    target[:, 0] = START
    given = {"source": ragged(rng, [5, 4, 2], 5, largest=11), "target": target}
    return {name: ops.convert_to_tensor(value) for name, value in given.items()}


def call(model, inputs, **options):
    return ops.convert_to_numpy(model(inputs, **options))


@pytest.mark.parametrize("kind", [Seq2Seq, Transformer])
def test_all_of_it_reads_what_the_model_writes(kind, inputs):
    model = make(kind, scheduled_sampling=1.0)
    plain = make(kind)
    given = ops.convert_to_numpy(inputs["target"])
    own = 1 + call(plain, inputs)[..., 1:].argmax(axis=-1)
    replaced = np.column_stack([given[:, :1], own[:, :-1]])
    target = np.where(given != 0, replaced, 0).astype("int32")
    assert (target != given).any()
    expected = call(plain, {**inputs, "target": ops.convert_to_tensor(target)})
    kept = (given != 0)[..., None]
    found = call(model, inputs, training=True)
    np.testing.assert_allclose(found * kept, expected * kept, atol=1e-5)


@pytest.mark.parametrize("kind", [Seq2Seq, Transformer])
def test_only_training_samples(kind, inputs):
    model = make(kind, scheduled_sampling=0.9)
    np.testing.assert_allclose(call(model, inputs), call(make(kind), inputs), atol=1e-6)


def replaced_share(model, calls):
    target = ops.convert_to_tensor(np.full((50, 40), 5, "int32"))
    logits = ops.one_hot(ops.full((50, 40), 7, "int32"), 9)
    return [
        (ops.convert_to_numpy(model.sampling(target, logits))[:, 1:] == 7).mean()
        for _ in range(calls)
    ]


def test_the_share_is_the_rate():
    model = make(scheduled_sampling=0.3)
    first, second = replaced_share(model, 2)
    assert abs(first - 0.3) < 0.04 and abs(second - 0.3) < 0.04


def test_draws_differ_from_step_to_step():
    model = make(scheduled_sampling=0.5)
    target = ops.convert_to_tensor(np.full((5, 40), 5, "int32"))
    logits = ops.one_hot(ops.full((5, 40), 7, "int32"), 9)
    one, other = (ops.convert_to_numpy(model.sampling(target, logits)) for _ in "ab")
    assert (one != other).any()


def ramp():
    return keras.optimizers.schedules.PolynomialDecay(0.0, 4, 0.8)


def test_a_schedule_raises_the_rate():
    found = replaced_share(make(scheduled_sampling=ramp()), 6)
    expected = [0.0, 0.2, 0.4, 0.6, 0.8, 0.8]
    np.testing.assert_allclose(found, expected, atol=0.04)


@pytest.mark.parametrize("rate", [0.25, ramp()])
def test_it_is_saved(inputs, tmp_path, rate):
    model = make(scheduled_sampling=rate)
    replaced_share(model, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert type(loaded.scheduled_sampling) is type(rate)
    assert int(loaded.sampling.steps) == int(model.sampling.steps)
    np.testing.assert_allclose(
        replaced_share(loaded, 1), replaced_share(model, 1), atol=0.06
    )


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_trains_under_xla(inputs):
    """Several steps an execution; the schedule counts all of them."""
    model = make(scheduled_sampling=ramp())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=True, steps_per_execution=2)
    assert model.jit_compile
    many = {n: np.tile(ops.convert_to_numpy(x), (2, 1)) for n, x in inputs.items()}
    history = model.fit(many, many["target"], batch_size=3, epochs=3, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0]
    assert int(model.sampling.steps) == 6


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_refuses(rate):
    with pytest.raises(ValueError, match=f"`scheduled_sampling` must be .*={rate}"):
        make(scheduled_sampling=rate)
