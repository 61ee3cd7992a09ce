"""Bucketed batches: shapes, order, weights, and a training that is resumed."""

from collections import Counter

import keras
import numpy as np
import pytest

from keras_attn.data import BucketedPairs

PAIRS, END, START = 203, 3, 2


@pytest.fixture
def pairs():
    """Pairs whose first source id is their number, so that rows can be told apart."""
    rng = np.random.default_rng(0)
    source, target = np.zeros((PAIRS, 20), "int32"), np.zeros((PAIRS, 16), "int32")
    for i in range(PAIRS):
        source[i, : rng.integers(1, 20)] = 5
        source[i, 0] = 10 + i
        length = rng.integers(0, 14)
        target[i, :length] = rng.integers(4, 9, length)
        target[i, length] = END
    return source, target


def make(pairs, **options):
    options = {"batch_size": 8, "boundaries": (6, 12, 20), "seed": 7, **options}
    return BucketedPairs(*pairs, **options)


def numbers(batches):
    """The pairs that count in each batch, in order."""
    return [
        (inputs["source"][weight[:, 0] > 0, 0] - 10).tolist()
        for inputs, _, weight in batches
    ]


def test_every_pair_counts_exactly_once_in_every_epoch(pairs):
    batches = make(pairs)
    for _ in range(3):
        seen = [number for batch in numbers(batches) for number in batch]
        assert Counter(seen) == Counter(range(PAIRS))
        batches.on_epoch_end()


def test_shapes_are_few_and_no_wider_than_needed(pairs):
    source, target = pairs
    shapes = set()
    for inputs, labels, weight in make(pairs):
        (shape,) = {array.shape for array in (*inputs.values(), labels, weight)}
        shapes.add(shape)
        rows = inputs["source"][:, 0] - 10
        longest = max(
            (source[rows] != 0).sum(1).max(), (target[rows] != 0).sum(1).max()
        )
        assert shape[1] == next(width for width in (6, 12, 20) if width >= longest)
        np.testing.assert_array_equal(labels[:, :16], target[rows, : shape[1]])
        assert {array.dtype for array in (*inputs.values(), labels)} == {
            np.dtype("int32")
        }
    assert shapes == {(8, 6), (8, 12), (8, 20)}


def test_targets_are_labels_one_step_later(pairs):
    for inputs, labels, weight in make(pairs):
        np.testing.assert_array_equal(inputs["target"][:, 0], START)
        np.testing.assert_array_equal(inputs["target"][:, 1:], labels[:, :-1])
        counts = weight[:, 0] > 0
        np.testing.assert_array_equal(weight[counts], labels[counts] != 0)
        assert not weight[~counts].any() and weight.dtype == np.float32


def test_filled_rows_are_real_rows_of_no_weight(pairs):
    filled = [
        inputs["source"][weight[:, 0] == 0, 0] for inputs, _, weight in make(pairs)
    ]
    assert 0 < sum(map(len, filled)) == 8 * len(make(pairs)) - PAIRS
    assert all((rows >= 10).all() for rows in filled)


def test_length_counts_the_batches_of_all_buckets(pairs):
    lengths = np.maximum(*((side != 0).sum(1) for side in pairs))
    sizes = [
        np.sum((lengths > low) & (lengths <= high))
        for low, high in ((0, 6), (6, 12), (12, 20))
    ]
    assert len(make(pairs)) == sum(-(-size // 8) for size in sizes)
    assert len(list(make(pairs))) == len(make(pairs))


def test_order_depends_on_seed_and_epoch_alone(pairs):
    first, second = make(pairs), make(pairs)
    epochs = []
    for _ in range(3):
        epochs.append(numbers(first))
        first.on_epoch_end()
    assert epochs[0] != epochs[1] != epochs[2]
    second.set_epoch(2)
    assert numbers(second) == epochs[2]
    assert numbers(make(pairs, seed=8)) != epochs[0]


def test_unshuffled_batches_keep_the_order(pairs):
    batches = make(pairs, shuffle=False)
    before = numbers(batches)
    batches.on_epoch_end()
    assert numbers(batches) == before
    assert all(batch == sorted(batch) for batch in before)


@pytest.mark.parametrize("shuffle", [True, False])
def test_first_two_batches_differ_in_width(pairs, shuffle):
    batches = make(pairs, shuffle=shuffle)
    for epoch in range(20):
        batches.set_epoch(epoch)
        assert batches[0][1].shape != batches[1][1].shape


class Recorder(keras.layers.Layer):
    """Keeps the rows it is trained on; its model runs eagerly."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs, training=False):
        if training:
            rows = keras.ops.convert_to_numpy(inputs["source"])[:, 0] - 10
            self.seen.append(rows.tolist())
        return keras.ops.one_hot(inputs["target"], 10)


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.recorder = Recorder()
        self.scale = keras.layers.Dense(10)

    def call(self, inputs, training=False):
        return self.scale(self.recorder(inputs, training=training))


def train(pairs, **options):
    model = Model()
    model.compile("sgd", _loss(), run_eagerly=True)
    batches = make(pairs)
    callbacks = [batches.epoch_callback()]
    model(batches[0][0])
    model.fit(batches, callbacks=callbacks, shuffle=False, verbose=0, **options)
    return model.recorder.seen


def _loss():
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX traces; its rows are not seen"
)
def test_a_resumed_training_sees_the_batches_it_would_have_seen(pairs):
    whole = train(pairs, epochs=3)
    per_epoch = len(make(pairs))
    assert len(whole) == 3 * per_epoch
    assert whole[per_epoch : 2 * per_epoch] != whole[:per_epoch]
    assert train(pairs, epochs=3, initial_epoch=2) == whole[2 * per_epoch :]
    third = make(pairs)
    third.set_epoch(2)
    assert whole[2 * per_epoch][0] == third[0][0]["source"][0, 0] - 10


def test_fits_compiled_with_weights_that_leave_padding_out(pairs):
    source, target = (
        keras.Input((None,), dtype="int32", name=n) for n in ("source", "target")
    )
    embedded = keras.layers.Embedding(300, 4)(target) + keras.ops.mean(
        keras.layers.Embedding(300, 4)(source), axis=1, keepdims=True
    )
    model = keras.Model(
        {"source": source, "target": target}, keras.layers.Dense(10)(embedded)
    )
    model.compile("adam", _loss(), jit_compile=keras.backend.backend() != "torch")
    batches = make(pairs, batch_size=64)
    history = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]
    inputs, labels, weight = make(pairs, batch_size=64, shuffle=False)[0]
    logits = model.predict(inputs, verbose=0)
    steps = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    expected = np.average(keras.ops.convert_to_numpy(steps), weights=weight)
    reported = model.evaluate(
        inputs, labels, sample_weight=weight, batch_size=64, verbose=0
    )
    np.testing.assert_allclose(reported, expected, rtol=1e-5)


def rows(*texts):
    return np.array(texts, "int32")


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (rows([5]), rows([5], [6]), {}, "equally many rows.*1 and 2"),
        (np.zeros((0, 3), int), np.zeros((0, 3), int), {}, "at least one"),
        (rows([5, 0, 5]), rows([5]), {}, "`source_ids`.*ends.*row 0 is"),
        (rows([5]), rows([0, 5]), {}, "`target_ids`.*ends.*row 0 is"),
        (rows([5]) * 1.0, rows([5]), {}, "`source_ids`.*dtype=float64"),
        (rows(5), rows([5]), {}, r"`source_ids`.*shape=\(1,\)"),
        (rows([5] * 9), rows([5]), {}, "Pair 0 is 9 tokens long"),
        (rows([5]), rows([5]), {"batch_size": 0}, "Received: batch_size=0"),
        (rows([5]), rows([5]), {"boundaries": ()}, "`boundaries`"),
        (rows([5]), rows([5]), {"boundaries": (0, 4)}, "`boundaries`"),
    ],
)
def test_bad_input_is_named(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        BucketedPairs(
            source, target, **{"batch_size": 2, "boundaries": (4,), **options}
        )
