"""What layers that return a smaller graph promise in a model, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import GraphPooling, MinCutPooling, TopKPooling
from tests.comparison import assert_same, to_numpy
from tests.gradients import BACKEND
from tests.layers.padded_graphs import SLOTS, WIDTH, PaddedGraphs

LAYERS = {
    "TopKPooling": lambda **kwargs: TopKPooling(0.4, **kwargs),
    "MinCutPooling": lambda **kwargs: MinCutPooling(3, loss_weight=0.5, **kwargs),
}


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


@pytest.fixture
def inputs(rng):
    graphs = PaddedGraphs(rng)
    return {
        "nodes": graphs.nodes,
        "adjacency": graphs.adjacency,
        "nodes_mask": graphs.mask,
    }


def modelled(make, slots=SLOTS, **kwargs):
    """A model of what is left of the nodes and of the edges."""
    inputs = {
        "nodes": keras.Input((slots, WIDTH), name="nodes"),
        "adjacency": keras.Input((slots, slots), name="adjacency"),
        "nodes_mask": keras.Input((slots,), dtype="bool", name="nodes_mask"),
    }
    layer = make(**kwargs)
    nodes, adjacency, *_ = layer(**inputs)
    rows = [
        GraphPooling("sum", dtype=layer.dtype_policy)(x) for x in (nodes, adjacency)
    ]
    model = keras.Model(inputs, ops.concatenate(rows, axis=-1))
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def test_the_config_makes_a_twin(make):
    layer = make(name="a", dtype="mixed_bfloat16")
    assert (
        type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    )
    for name, value in {"ratio": 0.7, "clusters": 5, "loss_weight": 0.1}.items():
        if name in layer.get_config():
            twin = type(layer).from_config({**layer.get_config(), name: value})
            assert getattr(twin, name) == twin.get_config()[name] == value


def test_a_keras_file_holds_it(make, inputs, tmp_path):
    model = modelled(make)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(loaded(inputs), model(inputs))
    assert_same(loaded.losses, model.losses)


def test_sizes_may_be_open(make, inputs):
    nodes, adjacency, *_ = make()(keras.Input((None, WIDTH)), keras.Input((None, None)))
    kept = 3 if make is LAYERS["MinCutPooling"] else None
    assert nodes.shape == (None, kept, WIDTH)
    assert adjacency.shape == (None, kept, kept)
    if make is LAYERS["MinCutPooling"]:
        fixed, opened = modelled(make), modelled(make, slots=None)
        opened.set_weights(fixed.get_weights())
        assert_same(opened(inputs), fixed(inputs))


def test_a_step_moves_every_weight_alike_compiled_or_not(make, inputs):
    ends = []
    for compiled in (True, False) if BACKEND == "tensorflow" else (True,):
        model = modelled(make)
        model.compile(
            keras.optimizers.SGD(0.5),
            "mse",
            jit_compile=compiled and BACKEND != "torch",
            run_eagerly=not compiled,
        )
        starts = model.get_weights()
        shape = tuple(model(inputs).shape)
        labels = np.cos(np.arange(np.prod(shape), dtype="float32")).reshape(shape)
        model.fit(inputs, labels, batch_size=len(labels), verbose=0)
        ends.append(model.get_weights())
        for start, end in zip(starts, ends[-1], strict=True):
            assert np.abs(end - start).max() > 0
    assert_same(ends[0], ends[-1])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(make, inputs, policy):
    model, full = modelled(make, dtype=policy), modelled(make)
    full.set_weights(model.get_weights())
    found = model(inputs)
    assert ops.dtype(found) == keras.dtype_policies.get(policy).compute_dtype
    expected = to_numpy(full(inputs))[0]
    bound = 0.05 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(to_numpy(found)[0], expected, atol=bound)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow is what is exported")
def test_a_saved_model_answers_alike(make, inputs, tmp_path):
    import tensorflow as tf

    from keras_attn.serving import export

    model = modelled(make)
    path = export(model, tmp_path / "coarse", allowed_batch_sizes=[1])
    loaded = tf.saved_model.load(str(path))
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    (answer,) = loaded.signatures["serving_default"](**tensors).values()
    assert_same(answer, model(inputs))
