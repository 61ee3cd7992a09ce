import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_attn.layers._dropout import Dropout
from keras_attn.ops.stateless_dropout import dropout_factors, dropout_keep

SIZE = 1 << 18


def _keep(first=1, second=1, index=0, shape=(SIZE,), rate=0.5):
    seed = ops.convert_to_tensor(np.array([first, second], "uint32"))
    return ops.convert_to_numpy(dropout_keep(seed, index, shape, rate))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_share_of_what_falls_is_the_rate(rate):
    kept = _keep(rate=rate).sum()
    assert stats.binomtest(int(kept), SIZE, 1 - rate).pvalue > 1e-4


def test_words_of_eight_neighbours_are_uniform():
    bits = _keep().reshape(-1, 8)
    counts = np.bincount(bits @ (1 << np.arange(8)), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("stride", [1, 2, 3, 64, 128, 1024, 4096, 65536])
def test_elements_of_any_distance_are_independent(stride):
    bits = _keep()
    same = (bits[stride:] == bits[:-stride]).sum()
    assert stats.binomtest(int(same), SIZE - stride, 0.5).pvalue > 1e-4


@pytest.mark.parametrize(
    "other",
    [{"first": 2}, {"second": 2}, {"index": 1}, {"first": 2, "second": 2}],
    ids=str,
)
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_other_seeds_and_indices_are_independent(other, shift):
    same = (np.roll(_keep(), shift) == _keep(**other)).sum()
    assert stats.binomtest(int(same), SIZE, 0.5).pvalue > 1e-4


def test_consecutive_draws_of_one_element_are_uniform():
    draws = np.array([_keep(second=step, shape=(4,)) for step in range(2000)])
    assert np.all(np.abs(draws.mean(0) - 0.5) < 0.05)
    assert np.all(np.abs((draws[1:] == draws[:-1]).mean(0) - 0.5) < 0.05)


def test_same_arguments_give_the_same_elements():
    assert np.array_equal(_keep(shape=(64, 5)), _keep(shape=(64, 5)))


def test_factors_keep_the_mean():
    seed = ops.convert_to_tensor(np.array([3, 4], "uint32"))
    factors = ops.convert_to_numpy(dropout_factors(seed, 0, (SIZE,), 0.25))
    assert set(np.unique(factors)) == {np.float32(0), np.float32(1 / 0.75)}


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.function is TensorFlow's"
)
def test_every_mode_drops_the_same_elements():
    import tensorflow as tf

    seed = tf.constant([5, 6], "uint32")
    eager = dropout_keep(seed, 1, (32, 7), 0.3)
    for compiled in (False, True):
        function = tf.function(
            lambda seed: dropout_keep(seed, 1, (32, 7), 0.3), jit_compile=compiled
        )
        assert np.array_equal(function(seed), eager)


def test_layer_drops_scales_and_never_leaks_what_fell():
    layer = Dropout(0.5, seed=1)
    outputs = ops.convert_to_numpy(layer(ops.ones((200, 50)), training=True))
    assert set(np.unique(outputs)) == {0.0, 2.0}
    again = ops.convert_to_numpy(layer(ops.ones((200, 50)), training=True))
    assert not np.array_equal(outputs, again)
    infinite = layer(ops.full((200, 50), np.inf), training=True)
    assert not np.isnan(ops.convert_to_numpy(infinite)).any()
    assert np.all(ops.convert_to_numpy(layer(ops.ones((2, 3)))) == 1)


def test_layer_drops_whole_rows_by_noise_shape():
    layer = Dropout(0.5, noise_shape=(None, 1, 1), seed=1)
    outputs = ops.convert_to_numpy(layer(ops.ones((100, 3, 4)), training=True))
    assert set(np.unique(outputs.min((1, 2)))) == {0.0, 2.0}
    assert np.array_equal(outputs.min((1, 2)), outputs.max((1, 2)))
