"""What our models add to their loss, on two devices that TensorFlow simulates."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("a strategy of TensorFlow", allow_module_level=True)

PROGRAM = """
import json
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
both = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, both)
import keras, numpy as np
from keras_attn import ImageCaptioner, RecurrentAttentionModel

entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
rng = np.random.default_rng(0)
image = np.tile(rng.random((1, 6, 6, 3)).astype("float32"), (8, 1, 1, 1))
target = np.tile(rng.integers(4, 9, (1, 3)), (8, 1)).astype("int32")


def glimpses():
    sizes = dict(num_glimpses=2, glimpse_size=3, units=4, what_units=4, where_units=4)
    # What a draw teaches depends on the draw, and each device has draws of its own.
    options = dict(std=1e-6, reinforce_weight=0.0, seed=1)
    model = RecurrentAttentionModel((6, 6, 3), 3, **sizes, **options)
    return model, image, np.ones(8, "int32")


def captions():
    sizes = dict(units=4, embedding_dim=4, max_length=3, seed=1)
    options = dict(soft_rate=1.0, entropy_weight=3.0)
    model = ImageCaptioner(9, (6, 6, 3), (4,), "hard", **sizes, **options)
    return model, {"image": image, "target": target}, target


answer = {}
for make in (glimpses, captions):
    for devices in (1, 2):
        keras.utils.set_random_seed(0)
        names = [f"CPU:{index}" for index in range(devices)]
        sums = tf.distribute.ReductionToOneDevice()
        with tf.distribute.MirroredStrategy(names, sums).scope():
            model, inputs, labels = make()
            model.compile(keras.optimizers.SGD(0.1), entropy)
        history = model.fit(inputs, labels, batch_size=8, epochs=3, verbose=0)
        weights = [np.asarray(weight).tolist() for weight in model.trainable_weights]
        answer[f"{make.__name__} {devices}"] = (history.history["loss"], weights)
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def found():
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert program.returncode == 0, program.stderr[-2000:]
    return json.loads(program.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["glimpses", "captions"])
def test_what_is_added_to_the_loss_counts_once(found, kind):
    (one_loss, one), (two_loss, two) = (found[f"{kind} {count}"] for count in (1, 2))
    np.testing.assert_allclose(two_loss, one_loss, rtol=1e-3)
    for weight, other in zip(one, two, strict=True):
        np.testing.assert_allclose(other, weight, rtol=1e-3, atol=1e-4)
