"""What every layer and model promises, on every backend."""

import inspect
import itertools

import keras
import numpy as np
import pytest
from keras import ops

from tests.comparison import assert_same, to_numpy
from tests.conformance.cases import CASES, SCORES
from tests.conformance.subject import Subject
from tests.gradients import (
    BACKEND,
    MODES,
    QUICKEST,
    in_mode,
    weighted_sum,
    with_gradients,
)

needs_masks = [name for name, case in CASES.items() if case.masks]
attends = [name for name in needs_masks if SCORES in CASES[name].flags]


@pytest.fixture(params=CASES)
def subject(request, rng):
    return Subject(CASES[request.param], rng)


@pytest.fixture(params=needs_masks)
def masked(request, rng):
    return Subject(CASES[request.param], rng)


@pytest.fixture(params=attends)
def attending(request, rng):
    return Subject(CASES[request.param], rng)


def test_the_config_makes_a_twin(subject):
    layer = subject.make(name="a", dtype="mixed_bfloat16")
    config = layer.get_config()
    twin = type(layer).from_config(config)
    assert twin.get_config() == config
    parameters = set(inspect.signature(type(layer).__init__).parameters)
    parameters -= {"self", "kwargs"}
    assert parameters | {"name", "trainable", "dtype"} <= set(config)
    if not subject.is_model:
        subject.build(twin)
    shapes = [(w.shape, w.dtype) for w in layer.weights]
    assert [(w.shape, w.dtype) for w in twin.weights] == shapes


def test_every_argument_is_in_the_config(subject):
    """A non-default value of each scalar argument survives the round trip."""
    layer = subject.case.make()
    config = layer.get_config()
    for name, value in config.items():
        if name in ("name", "dtype", "start_token_id", "end_token_id"):
            continue
        if name == "num_heads" and config.get("positions"):
            continue  # which may be for so many heads
        if name == "dropout" and config.get("hard"):
            continue  # which takes one slot, of which there is nothing to drop
        if name == "soft_rate" and config.get("hard") is False:
            continue  # where all is soft
        if name == "coverage" and config.get("context", "attention") != "attention":
            continue  # which has no attention to cover anything
        if name == "num_glimpses" and getattr(layer, "location_policy", None):
            if layer.location_policy.num_steps:
                continue  # which has a step for each
        if isinstance(value, bool):
            changed = not value
        elif name in ("num_heads", "num_key_value_heads", "key_dim"):
            changed = value and 2 * value  # which still divides what it must
        elif isinstance(value, int):
            changed = value + 1
        elif isinstance(value, float):
            changed = value + 0.25
        else:
            continue
        twin = type(layer).from_config({**config, name: changed})
        assert getattr(twin, name) == changed
        assert twin.get_config()[name] == changed


def test_a_keras_file_holds_it(subject, tmp_path):
    model = subject.model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(subject.call(loaded), subject.call(model))


def test_the_symbolic_shape_is_the_real_one(subject):
    """And building has made every weight: no call adds one."""
    flags = subject.case.flags
    layer = subject.make()
    built = [weight.path for weight in layer.weights]
    for values in itertools.product([False, True], repeat=len(flags)):
        chosen = dict(zip(flags, values, strict=True))
        symbols = {
            name: keras.Input(value.shape[1:], dtype=value.dtype.name)
            for name, value in subject.arguments.items()
        }
        if subject.is_model:
            symbolic = layer(subject.fed(symbols))
        else:
            symbolic = layer(**symbols, **chosen)
        real = subject.call(layer, mode="eager", **chosen)
        keras.tree.assert_same_structure(symbolic, real)
        symbolic, real = keras.tree.flatten(symbolic), keras.tree.flatten(real)
        assert len(real) >= 1 + sum(values)
        for symbol, tensor in zip(symbolic, real, strict=True):
            assert symbol.shape[0] is None
            if not subject.is_model:  # a model leaves its time axes open
                assert symbol.shape[1:] == tuple(tensor.shape)[1:]
            assert len(symbol.shape) == len(tensor.shape)
            assert symbol.dtype == ops.dtype(tensor)
    assert [weight.path for weight in layer.weights] == built


@pytest.mark.parametrize("mode", MODES[1:] or MODES)
def test_a_compiled_call_answers_alike(subject, mode):
    layer = subject.make()
    flags = dict.fromkeys(subject.case.flags, True)

    compiled = subject.call(layer, mode=mode, **flags)
    assert_same(compiled, subject.call(layer, mode="eager", **flags))


def test_a_step_moves_every_weight(subject):
    """Compiled by XLA, where the backend has it; to the place eager steps reach."""
    ends = []
    for compiled in (True, False) if BACKEND == "tensorflow" else (True,):
        keras.utils.set_random_seed(0)  # that of what a step draws
        model = subject.model()
        if not model.trainable_weights:
            pytest.skip("it has no weights")
        model.compile(
            keras.optimizers.SGD(0.5),
            "mse",
            jit_compile=compiled and BACKEND != "torch",
            run_eagerly=not compiled,
        )
        assert model.jit_compile == (compiled and BACKEND != "torch")
        inputs = subject.fed(subject.arguments)
        specs = keras.tree.map_structure(
            lambda x: keras.KerasTensor(x.shape, x.dtype.name), inputs
        )
        shape = model.compute_output_spec(specs).shape
        labels = np.cos(np.arange(np.prod(shape), dtype="float32")).reshape(shape)
        starts = [ops.convert_to_numpy(w).copy() for w in model.trainable_weights]
        assert np.isfinite(model.train_on_batch(inputs, labels)).all()
        ends.append([ops.convert_to_numpy(w) for w in model.trainable_weights])
        for weight, start in zip(model.trainable_weights, starts, strict=True):
            if weight.path.endswith("key/bias"):
                continue  # adds one number to all scores of a query: no weight moves
            moved = np.abs(ops.convert_to_numpy(weight) - start).max()
            assert moved > 0, weight.path
    assert_same(ends[0], ends[-1])  # elsewhere the tests of `ops` compare the two


def test_mixed_precision(subject):
    full = subject.make()
    flags = dict.fromkeys(subject.case.flags, True)
    expected = to_numpy(subject.call(full, **flags))
    for dtype in ("bfloat16", "float16"):
        layer = subject.make(dtype=f"mixed_{dtype}")
        layer.set_weights(full.get_weights())
        answer = keras.tree.flatten(subject.call(layer, **flags))
        own = "float32" if subject.case.full_precision else dtype
        assert {ops.dtype(tensor) for tensor in answer} - {"bool"} == {own}
        assert {weight.dtype for weight in layer.trainable_weights} <= {"float32"}
        for half, single in zip(to_numpy(answer), expected, strict=True):
            bound = 0.05 * max(1.0, np.abs(single).max())
            np.testing.assert_allclose(half, single, atol=bound, rtol=0, err_msg=dtype)


def test_padding_never_matters(masked):
    """In values and gradients, the last row's, which has no memory, included."""
    layer = masked.make()
    flags = dict.fromkeys(masked.case.flags, True)
    kept = [
        masked.masks.get(masked.case.mask_of(name), np.ones(value.shape[:-1], "bool"))
        for name, value in masked.inputs.items()
    ]

    def call(*tensors):
        inputs = dict(zip(masked.inputs, tensors, strict=True))
        return masked.call(layer, inputs, mode="eager", **flags)

    slopes = with_gradients(
        lambda *x: weighted_sum(call(*x)), layer.trainable_variables
    )
    both = in_mode(lambda *x: (call(*x), slopes(*x)[1]), QUICKEST)

    def answers(filler):
        tensors = [
            ops.convert_to_tensor(np.where(mask[..., None], value, np.float32(filler)))
            for mask, value in zip(kept, masked.inputs.values(), strict=True)
        ]
        return [to_numpy(part) for part in both(*tensors)]

    expected = answers(0.5)
    assert all(np.isfinite(value).all() for value in [*expected[0], *expected[1]])
    for filler in (1e30, np.inf, np.nan):
        found = answers(filler)
        assert_same(found, expected)
        for mask, slope in zip(kept, found[1], strict=False):
            np.testing.assert_array_equal(slope[~mask], 0.0)


def test_masked_slots_get_no_weight(attending):
    """The last row has no memory at all."""
    flags = {SCORES: True}
    scores = to_numpy(attending.call(attending.make(), **flags))[-1]
    kept = attending.masks[attending.case.mask_of(attending.case.masks[-1])]
    first = len(scores.shape) - len(kept.shape)  # the query's steps, if there are any
    hidden = np.broadcast_to(
        ~np.expand_dims(kept, tuple(range(1, 1 + first))), scores.shape
    )
    np.testing.assert_array_equal(scores[hidden], 0.0)
    assert (scores[0] > 0).all()
    np.testing.assert_array_equal(scores[-1], np.zeros(scores.shape[1:]))


def test_a_mask_makes_a_difference(masked):
    layer = masked.make()
    some = to_numpy(masked.call(layer))[0]
    for name, mask in masked.masks.items():
        everything = to_numpy(masked.call(layer, {name: np.ones_like(mask)}))[0]
        difference = np.abs(some - everything).max(initial=0)
        assert difference > 1e-4, name


def test_what_is_given_stays_as_it_is(masked):
    if masked.is_model:
        pytest.skip("its masks are inputs of their own")
    layer = masked.make()
    tensors = {n: ops.convert_to_tensor(x) for n, x in masked.arguments.items()}
    for name in masked.case.masks:
        tensors[name]._keras_mask = tensors[masked.case.mask_of(name)]
    given = {name: tensors[name] for name in [*masked.inputs, *masked.indices]}
    explicit = masked.call(layer)
    assert_same(layer(**given), explicit)
    for name, before in masked.arguments.items():
        np.testing.assert_array_equal(ops.convert_to_numpy(tensors[name]), before)
    for name in masked.case.masks:
        assert tensors[name]._keras_mask is tensors[masked.case.mask_of(name)]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow is what is exported")
def test_a_saved_model_answers_alike(subject, tmp_path):
    """In the artefact as it is loaded, and over gRPC from a server."""
    import tensorflow as tf

    from keras_attn.serving import Client, Server, export

    model = subject.model()
    expected = ops.convert_to_numpy(model(subject.fed(subject.arguments)))
    signatures = None
    if subject.is_model:  # the forward pass is not among a model's own signatures
        specs = {
            x.name: tf.TensorSpec(x.shape, x.dtype, x.name)
            for x in keras.tree.flatten(model.input)
        }

        def forward(inputs):
            return {"outputs": model(subject.fed(inputs))}

        signatures = {"serving_default": (forward, specs)}
    path = export(model, tmp_path / "subject", signatures, allowed_batch_sizes=[1])
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    tensors = {name: tf.constant(value) for name, value in subject.arguments.items()}
    (answer,) = function(**tensors).values()
    assert_same(answer, expected)
    with Server(path.parent) as server, Client(server.address, "subject") as client:
        (answer,) = client.predict(subject.arguments).values()
    assert_same(answer, expected)
