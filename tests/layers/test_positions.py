"""Positions, added to a sequence or at work where queries meet keys."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import (
    AlibiBias,
    LearnedPositions,
    MultiHeadSelfAttention,
    RelativePositionBias,
    RotaryEmbedding,
    SinusoidalPositions,
    TransformerBlock,
)
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, gradients


def paper(position, dim, max_wavelength=10_000):
    """The encoding of one position, one coordinate at a time."""
    encoding = []
    for i in range(dim):
        angle = position / max_wavelength ** (2 * (i // 2) / dim)
        encoding.append(math.cos(angle) if i % 2 else math.sin(angle))
    return encoding


@pytest.mark.parametrize("dim", [1, 6, 7])
def test_sines_and_cosines_of_the_paper(dim):
    found = SinusoidalPositions()(np.zeros((2, 5, dim), "float32"))
    expected = [[paper(position, dim) for position in range(5)]] * 2
    assert_same(found, np.array(expected))


def test_sines_at_positions_of_ones_own():
    inputs = np.ones((2, 2, 4), "float32")
    positions = ops.convert_to_tensor(np.int32([[3, 1], [0, 700]]))
    found = SinusoidalPositions(max_wavelength=100)(inputs, positions=positions)
    expected = [[paper(p, 4, 100) for p in row] for row in ([3, 1], [0, 700])]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), 1 + np.array(expected), atol=1e-4
    )


def test_a_learned_vector_a_position(rng):
    layer = LearnedPositions(4)
    inputs = rng.normal(size=(2, 3, 5)).astype("float32")
    found = layer(inputs)
    table = ops.convert_to_numpy(layer.embeddings)
    assert table.shape == (4, 5)
    assert_same(found, inputs + table[:3])
    positions = ops.convert_to_tensor(np.int32([[3, 0, 4], [1, -1, 9]]))
    found = ops.convert_to_numpy(layer(inputs, positions=positions)) - inputs
    nothing = np.zeros(5)
    expected = [[table[3], table[0], nothing], [table[1], nothing, nothing]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def added_by(layer):
    """A functional model that adds positions to sequences of any length."""
    inputs = keras.Input((None, 5))
    return keras.Model(inputs, layer(inputs))


def test_learned_positions_of_a_length_that_is_not_known_yet(rng):
    layer = LearnedPositions(4)
    model = added_by(layer)
    assert model.output_shape == (None, None, 5)
    inputs = rng.normal(size=(2, 3, 5)).astype("float32")
    assert_same(model(inputs), inputs + ops.convert_to_numpy(layer.embeddings)[:3])
    with pytest.raises(ValueError, match=r"at most max_length=4 steps.*\(2, 5, 5\)"):
        model(np.zeros((2, 5, 5), "float32"))
    with pytest.raises(ValueError, match=r"at most max_length=4 steps.*\(None, 6, 5\)"):
        layer(keras.Input((6, 5)))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other graphs know their lengths")
@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_graph_fails_past_the_last_learned_position(mode, rng):
    """It learns the length when it runs; XLA would clamp a gather without a word."""
    import tensorflow as tf

    model = added_by(LearnedPositions(4))
    call = tf.function(
        model, [tf.TensorSpec((None, None, 5))], jit_compile=mode == "xla"
    )
    inputs = tf.constant(rng.normal(size=(2, 4, 5)), "float32")
    assert_same(call(inputs), model(inputs))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 4\], but got 5"):
        call(tf.zeros((2, 5, 5)))


@pytest.mark.parametrize("mode", MODES)
def test_each_learned_position_has_the_gradient_of_its_steps(mode, rng):
    layer = LearnedPositions(4)
    inputs = rng.normal(size=(2, 3, 5)).astype("float32")
    layer.build(inputs.shape)

    def loss(inputs):
        return ops.sum(ops.square(layer(inputs)))

    *_, found = gradients(loss, [inputs], [layer.embeddings], mode)
    expected = np.zeros((4, 5))
    expected[:3] = 2 * (inputs + ops.convert_to_numpy(layer.embeddings)[:3]).sum(axis=0)
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LearnedPositions(0), r"`max_length`.*max_length=0"),
        (lambda: LearnedPositions(2.5), r"`max_length` must be an int.*2\.5"),
        (lambda: LearnedPositions(2)(np.zeros((1, 3, 4))), r"at most max_length=2"),
        (lambda: LearnedPositions(2)(np.zeros((1, 3))), r"`inputs` must have shape"),
        (lambda: SinusoidalPositions(0), r"`max_wavelength`.*max_wavelength=0"),
        (lambda: SinusoidalPositions()(np.zeros((1, 3))), r"`inputs` must have shape"),
        (lambda: RotaryEmbedding(-1.0), r"`max_wavelength`.*-1\.0"),
        (lambda: RelativePositionBias(2, num_buckets=7), r"`num_buckets`.*7"),
        (lambda: RelativePositionBias(2, num_buckets=2), r"`num_buckets`.*2"),
        (
            lambda: RelativePositionBias(2, 32, max_distance=8),
            r"`max_distance` must be above 8 with num_buckets=32.*max_distance=8",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("num_heads", "exponents"),
    [
        (1, [8]),
        (2, [4, 8]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (3, [4, 8, 2]),
        (6, [2, 4, 6, 8, 1, 3]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_slopes_of_alibi(num_heads, exponents):
    """Those of the paper's authors, for numbers of heads that are no power of two."""
    slopes = ops.convert_to_numpy(AlibiBias().slopes(num_heads))
    np.testing.assert_allclose(slopes, 2.0 ** -np.array(exponents), rtol=1e-6)


def bucket(distance, bidirectional, buckets=32, farthest=128):
    """T5's, of one distance."""
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(farthest / exact)
    return first + min(buckets - 1, exact + int(share * (buckets - exact) + 1e-9))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_buckets_of_t5(bidirectional):
    layer = RelativePositionBias(2, bidirectional=bidirectional)
    distances = np.arange(-300, 301, dtype="int32")
    found = layer.bucket(ops.convert_to_tensor(distances))
    expected = [bucket(int(d), bidirectional) for d in distances]
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)
    assert set(expected) == set(range(32)) - ({16} if bidirectional else set())


def test_a_bias_a_bucket_and_head():
    layer = RelativePositionBias(3, num_buckets=8, max_distance=6)
    layer.build()
    where = ops.convert_to_tensor(np.int32([[0, 1], [4, 9]]))
    found = layer.bias(where, ops.arange(5, dtype="int32"))
    table = ops.convert_to_numpy(layer.embeddings)
    expected = np.empty((2, 3, 2, 5))
    for row, head, i, j in np.ndindex(*expected.shape):
        distance = j - [[0, 1], [4, 9]][row][i]
        expected[row, head, i, j] = table[bucket(distance, True, 8, 6), head]
    assert_same(found, expected)


def test_layers_may_share_a_table(rng):
    """As T5 does: the model has one, and it learns from both."""
    table = RelativePositionBias(2, 8, 6)
    inputs = keras.Input((5, 4))
    x = MultiHeadSelfAttention(2, 2, positions=table)(inputs)
    model = keras.Model(inputs, MultiHeadSelfAttention(2, 2, positions=table)(x))
    tables = [w for w in model.trainable_weights if w.path.endswith("embeddings")]
    assert [id(w) for w in tables] == [id(table.embeddings)]
    before = model(batch := rng.normal(size=(2, 5, 4)).astype("float32"))
    table.embeddings.assign(rng.normal(size=(8, 2)))
    assert np.abs(ops.convert_to_numpy(model(batch) - before)).max() > 1e-3


SHARING = {
    "layers": lambda table: MultiHeadSelfAttention(2, 2, positions=table),
    "blocks": lambda table: TransformerBlock(2, 5, positions=table),
}


@pytest.mark.parametrize("kind", SHARING)
def test_a_shared_table_is_one_again_after_loading(kind, rng, tmp_path):
    """Beside one that is not shared, though all have one name."""
    inputs = x = keras.Input((5, 4))
    shared, own = (RelativePositionBias(2, 8, 6, name="table") for _ in range(2))
    for table in (shared, own, shared):
        x = SHARING[kind](table)(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "mse")
    batch = rng.normal(size=(4, 5, 4)).astype("float32")
    model.fit(batch, batch, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")

    loaded = keras.saving.load_model(tmp_path / "model.keras")
    first, second, third = (layer.positions for layer in loaded.layers[1:])
    assert first is third and first is not second
    assert_same(loaded(batch), model(batch))
    for each in (model, loaded):
        each.fit(batch, batch, shuffle=False, verbose=0)
    assert_same(loaded(batch), model(batch))
    loaded.load_weights(tmp_path / "model.weights.h5")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(loaded(batch), again(batch))
