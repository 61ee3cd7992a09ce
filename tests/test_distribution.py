"""Training on several devices, simulated by JAX, against training on one."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_attn import MultiHeadAttention, Transformer
from keras_attn.distribution import layout_map

PROGRAM = """
import contextlib, json
import keras, numpy as np
import keras_attn
from keras_attn.distribution import layout_map

rng = np.random.default_rng(0)
tokens = rng.integers(1, 8, size=(8, 6)).astype("int32")
tokens[::3, 4:] = 0
sizes = dict(num_layers=1, model_dim=8, num_heads=2, intermediate_dim=16)
entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier():
    encoder = keras_attn.TransformerEncoder(8, **sizes)
    pooled = keras.layers.GlobalAveragePooling1D()(encoder.output)
    model = keras.Model(encoder.input, keras.layers.Dense(3)(pooled))
    return model, tokens, tokens[:, 0] % 3


def translator():
    model = keras_attn.Transformer(8, 8, positions="rotary", gated=True, **sizes)
    return model, {"source": tokens, "target": tokens}, np.roll(tokens, -1, axis=1)


def divided(**options):
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"])
    layouts = layout_map(mesh, **options)
    return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")


distributions = {
    "one": contextlib.nullcontext,
    "data": lambda: keras.distribution.DataParallel().scope(),
    "model": lambda: divided().scope(),
    "vocabulary": lambda: divided(divide_vocabulary=True).scope(),
}
answer = {}
models = [classifier, translator]
for name, scope in distributions.items():
    for make in models:
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        with scope():
            model, inputs, labels = make()
            model.compile(keras.optimizers.Adam(0.01), entropy)
            history = model.fit(
                inputs, labels, batch_size=8, epochs=4, shuffle=False, verbose=0
            )
        shards = {
            weight.path: weight.value.addressable_shards[0].data.shape
            for weight in [*model.weights, *model.optimizer.variables]
        }
        answer[f"{name} {make.__name__}"] = (history.history["loss"], shards)
print(json.dumps(answer))
"""


BLOCK = {
    "self_attention/projection/kernel": (None, "model"),
    "self_attention/projection/bias": ("model",),
    "self_attention/output/kernel": ("model", None),
    "feed_forward/widen/kernel": (None, "model"),
    "feed_forward/widen/bias": ("model",),
    "feed_forward/narrow/kernel": ("model", None),
    "cross_attention/query/kernel": (None, "model"),
    "cross_attention/query/bias": ("model",),
    "cross_attention/key/kernel": (None, "model"),
    "cross_attention/key/bias": ("model",),
    "cross_attention/value/kernel": (None, "model"),
    "cross_attention/value/bias": ("model",),
    "cross_attention/output/kernel": ("model", None),
}
BY_WIDTH = {"embedding/embeddings": (None, "model"), "logits/kernel": ("model", None)}
BY_VOCABULARY = {
    "embedding/embeddings": ("model", None),
    "logits/kernel": (None, "model"),
    "logits/bias": ("model",),
}


def expected_axes(path, divided):
    """Of a weight with the rest of its path in the table, else none."""
    return next((axes for end, axes in divided.items() if path.endswith(end)), None)


@pytest.fixture
def mesh():
    devices = np.array(["cpu:0"])
    return keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices)


@pytest.mark.parametrize(
    ("options", "divided"),
    [({}, BY_WIDTH), ({"divide_vocabulary": True}, BY_VOCABULARY)],
)
def test_each_weight_has_its_layout(mesh, options, divided):
    layouts = layout_map(mesh, **options)
    divided = BLOCK | divided
    model = Transformer(9, 9, 1, 4, 2, 8, positions="learned")
    for weight in model.weights:
        layout = layouts[weight.path]
        found = layout and layout.axes
        assert found == expected_axes(weight.path, divided), weight.path


def test_layers_by_names_of_the_users_have_layouts_too(mesh):
    layouts = layout_map(mesh)
    layer = MultiHeadAttention(2, 4, name="reader")
    layer.build((None, None, 4), (None, None, 4))
    assert layouts[layer.query_projection.kernel.path].axes == (None, "model")
    embedding = keras.layers.Embedding(5, 4, name="embedding_1")
    embedding.build()
    assert layouts[embedding.embeddings.path].axes == (None, "model")
    dense = keras.layers.Dense(3, name="bridge_output")
    dense.build((None, 4))
    assert layouts[dense.kernel.path] is None


def test_refuses_an_axis_that_the_mesh_has_not(mesh):
    with pytest.raises(ValueError, match=r"`axis` must be.*'batch', 'model'.*'heads'"):
        layout_map(mesh, axis="heads")


@pytest.fixture(scope="module")
def trained():
    """Losses, and the shapes of what the first device holds, of every training."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    pytest.importorskip("jax")
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["classifier", "translator"])
@pytest.mark.parametrize("distribution", ["data", "model", "vocabulary"])
def test_several_devices_have_the_losses_of_one(trained, distribution, model):
    expected, _ = trained[f"one {model}"]
    losses, _ = trained[f"{distribution} {model}"]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distribution", "divided"),
    [("data", {}), ("model", BLOCK | BY_WIDTH), ("vocabulary", BLOCK | BY_VOCABULARY)],
)
def test_a_device_holds_its_part_of_weights_and_optimizer(
    trained, distribution, divided
):
    _, whole = trained["one translator"]
    _, parts = trained[f"{distribution} translator"]
    divided |= {
        f"{path.replace('/', '_')}_{moment}": axes
        for path, axes in divided.items()
        for moment in ("momentum", "velocity")
    }
    assert whole.keys() == parts.keys()
    for path, shape in whole.items():
        axes = expected_axes(path, divided) or [None] * len(shape)
        part = [
            size // (2 if axis else 1) for size, axis in zip(shape, axes, strict=True)
        ]
        assert parts[path] == part, path
