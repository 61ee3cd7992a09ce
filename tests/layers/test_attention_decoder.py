import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import AttentionDecoder, BahdanauAttention
from tests.comparison import assert_same
from tests.gradients import (
    BACKEND,
    MODES,
    gradients,
    in_mode,
    weighted_sum,
    with_gradients,
)

UNITS = 4
CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}
ALIGNMENTS = ["additive", "bilinear", "dot", "scaled_dot"]
CHOICES = list(itertools.product(["before", "after"], CELLS, ALIGNMENTS, [False]))
CHOICES += [
    ("before", "gru", "additive", True),
    ("before", "lstm", "dot", True),
    ("after", "gru", "additive", True),
]


class PlainGRUCell(keras.layers.GRUCell):
    """A cell that the layer knows nothing of: it takes the generic loop."""


class PlainLSTMCell(keras.layers.LSTMCell):
    """A cell that the layer knows nothing of: it takes the generic loop."""


PLAIN = {"gru": PlainGRUCell, "lstm": PlainLSTMCell}


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def make(
    cell="gru", attend="before", alignment="additive", units=3, gate=False, **kwargs
):
    attention = BahdanauAttention(units, alignment, **kwargs)
    return AttentionDecoder(CELLS[cell](UNITS), attention, attend, gate)


def generic_twin(layer):
    """The same layer and weights with a cell of unknown type."""
    name = "gru" if isinstance(layer.cell, keras.layers.GRUCell) else "lstm"
    twin = AttentionDecoder(
        PLAIN[name].from_config(layer.cell.get_config()),
        BahdanauAttention.from_config(layer.attention.get_config()),
        layer.attend,
        layer.gate,
    )
    twin.build((None, None, 3), (None, None, 5))
    twin.set_weights(layer.get_weights())
    return twin


def randomize(layer, rng):
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))


@pytest.fixture
def batch(rng):
    """Inputs and memory with masks; the last row has a memory without a slot."""
    inputs, memory = normal(rng, 3, 4, 3), normal(rng, 3, 5, 5)
    inputs_mask = np.array(
        [[True] * 4, [True, False, True, True], [True, True, False, False]]
    )
    memory_mask = np.arange(5) < np.array([[5], [2], [0]])
    return inputs, memory, inputs_mask, memory_mask


@pytest.fixture
def masks(batch):
    names = ("inputs_mask", "memory_mask")
    return {n: ops.convert_to_tensor(m) for n, m in zip(names, batch[2:], strict=True)}


EVERYTHING = {"return_attention_scores": True, "return_state": True}


@pytest.mark.parametrize(("attend", "cell", "alignment", "gate"), CHOICES)
def test_the_fused_loop_is_the_generic_one(
    batch, masks, rng, attend, cell, alignment, gate
):
    inputs, memory, *_ = batch
    layer = make(cell, attend, alignment, gate=gate)
    layer.build(inputs.shape, memory.shape)
    randomize(layer, rng)
    twin = generic_twin(layer)
    assert layer._has_fused_loop()
    assert not twin._has_fused_loop()
    states = [normal(rng, 3, UNITS) for _ in layer.state_size]
    tensors = [inputs, memory, *states]

    def answers(layer):
        def call(inputs, memory, *states):
            return layer(
                inputs, memory, initial_state=list(states), **masks, **EVERYTHING
            )

        values = call(*map(ops.convert_to_tensor, tensors))
        slopes = gradients(
            lambda *x: weighted_sum(call(*x)), tensors, layer.trainable_variables
        )
        return [*keras.tree.flatten(values), *slopes]

    assert_same(answers(layer), answers(twin))


@pytest.mark.parametrize(
    "change",
    [
        {"reset_after": False},
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
    ],
)
def test_other_cells_take_the_generic_loop(batch, change):
    inputs, memory, *_ = batch
    cell = keras.layers.GRUCell(UNITS, **change)
    layer = AttentionDecoder(cell, BahdanauAttention(3))
    outputs, states = layer(inputs, memory, return_state=True)
    assert not layer._has_fused_loop()
    state = ops.zeros((3, UNITS))
    for step in range(4):
        context = layer.attention(state, memory)
        joined = ops.concatenate([ops.convert_to_tensor(inputs[:, step]), context], -1)
        state, _ = cell(joined, [state])
        expected = ops.concatenate([state, context], axis=-1)
        np.testing.assert_allclose(outputs[:, step], expected, atol=1e-5)
    np.testing.assert_allclose(states[0], state, atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_cell_without_bias_or_projection_is_fused_too(batch, use_bias):
    inputs, memory, *_ = batch
    memory = memory[..., :UNITS]  # as wide as the state: nothing need be projected
    cell = keras.layers.GRUCell(UNITS, use_bias=use_bias)
    layer = AttentionDecoder(cell, BahdanauAttention(alignment="dot"))
    outputs = layer(inputs, memory)
    assert layer._has_fused_loop()
    plain = AttentionDecoder(
        PlainGRUCell(UNITS, use_bias=use_bias), BahdanauAttention(alignment="dot")
    )
    plain.build(inputs.shape, memory.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(outputs, plain(inputs, memory), atol=1e-5)


@pytest.mark.parametrize("gate", [False, True])
def test_matches_numpy(batch, rng, gate):
    """RNNsearch's equations for a GRU with additive alignment, in float64."""
    inputs, memory, inputs_mask, memory_mask = batch
    layer = make(gate=gate)
    layer.build(inputs.shape, memory.shape)
    randomize(layer, rng)
    attention, cell = layer.attention, layer.cell
    query_kernel, query_bias, key_kernel, scale, kernel, recurrent_kernel, bias = (
        ops.convert_to_numpy(weight).astype("float64")
        for weight in (
            attention.query_projection.kernel,
            attention.query_projection.bias,
            attention.key_projection.kernel,
            attention.scale,
            cell.kernel,
            cell.recurrent_kernel,
            cell.bias,
        )
    )

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def share(state):
        if not gate:
            return 1.0
        weights = layer.gate_projection.get_weights()
        return sigmoid(state @ weights[0][:, 0] + weights[1][0])

    outputs, alignment = np.zeros((3, 4, UNITS + 5)), np.zeros((3, 4, 5))
    last = np.zeros((3, UNITS))
    for row, state in enumerate(last):
        kept = memory[row, memory_mask[row]].astype("float64")
        for step in np.flatnonzero(inputs_mask[row]):
            query = state @ query_kernel + query_bias
            powers = np.exp(np.tanh(query + kept @ key_kernel) @ scale)
            context = share(state) * (powers @ kept) / max(powers.sum(), 1e-30)
            x = np.concatenate([inputs[row, step], context]) @ kernel + bias[0]
            h = state @ recurrent_kernel + bias[1]
            update = sigmoid(x[:UNITS] + h[:UNITS])
            reset = sigmoid(x[UNITS : 2 * UNITS] + h[UNITS : 2 * UNITS])
            candidate = np.tanh(x[2 * UNITS :] + reset * h[2 * UNITS :])
            state[:] = update * state + (1 - update) * candidate
            outputs[row, step] = np.concatenate([state, context])
            alignment[row, step, : len(kept)] = powers / max(powers.sum(), 1e-30)
    found = layer(
        inputs, memory, inputs_mask=inputs_mask, memory_mask=memory_mask, **EVERYTHING
    )
    np.testing.assert_allclose(found[0], outputs, atol=1e-5)
    np.testing.assert_allclose(found[1], alignment, atol=1e-5)
    np.testing.assert_allclose(found[2][0], last, atol=1e-5)


@pytest.mark.parametrize(("attend", "cell", "alignment", "gate"), CHOICES)
def test_steps_taken_one_at_a_time_are_the_call(
    batch, masks, attend, cell, alignment, gate
):
    inputs, memory, _, memory_mask = batch
    layer = make(cell, attend, alignment, gate=gate)
    outputs, weights, last = layer(
        inputs, memory, memory_mask=memory_mask, **EVERYTHING
    )
    memory = ops.convert_to_tensor(memory)
    key = layer.attention.project_key(memory, masks["memory_mask"])
    states = [ops.zeros((3, UNITS)) for _ in layer.state_size]
    for step in range(4):
        output, row, states = layer.step(
            ops.convert_to_tensor(inputs[:, step]),
            states,
            memory,
            key if step % 2 else None,
            masks["memory_mask"],
        )
        np.testing.assert_allclose(output, outputs[:, step], atol=1e-5)
        np.testing.assert_allclose(row, weights[:, step], atol=1e-5)
    for state, expected in zip(states, last, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


@pytest.mark.parametrize("attend", ["before", "after"])
def test_coverage_counts_what_was_not_read(batch, masks, attend):
    inputs, memory, _, memory_mask = batch
    layer = AttentionDecoder(
        CELLS["gru"](UNITS), BahdanauAttention(3), attend, coverage=0.7
    )
    _, weights = layer(inputs, memory, **masks, return_attention_scores=True)
    assert not layer.losses  # of an answer alone
    layer(inputs, memory, **masks, training=True)
    read = ops.convert_to_numpy(weights).astype("float64").sum(axis=1)
    missed = np.where(memory_mask, (1 - read) ** 2, 0.0).sum(axis=1)
    (found,) = layer.losses
    np.testing.assert_allclose(found, 0.7 * missed.mean(), rtol=1e-5)


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
def test_coverage_makes_it_read_everything(rng):
    """Under XLA, by that term alone."""
    inputs, memory = normal(rng, 8, 5, 3), 3 * normal(rng, 8, 5, 4)
    ends = {}
    for coverage in (0.0, 1.0):
        symbols = keras.Input((5, 3)), keras.Input((5, 4))
        decoder = AttentionDecoder(
            CELLS["gru"](UNITS), BahdanauAttention(8, seed=1), coverage=coverage
        )
        outputs, weights = decoder(*symbols, return_attention_scores=True)
        model = keras.Model(symbols, [outputs, weights])
        model.compile("adam", [lambda y, z: 0.0 * ops.sum(z), None], jit_compile=True)
        model.optimizer.learning_rate = 0.03
        assert model.jit_compile
        model.fit([inputs, memory], np.zeros((8, 5)), epochs=40, verbose=0)
        read = ops.convert_to_numpy(model([inputs, memory])[1]).sum(axis=1)
        ends[coverage] = ((1 - read) ** 2).sum(axis=1).mean()
    assert ends[1.0] < 0.5 * ends[0.0]


@pytest.mark.parametrize("attend", ["before", "after"])
@pytest.mark.parametrize("make_cell", [*CELLS.values(), *PLAIN.values()])
def test_a_masked_step_hands_the_state_on(batch, attend, make_cell):
    inputs, memory, *_ = batch
    layer = AttentionDecoder(make_cell(UNITS), BahdanauAttention(3), attend)
    mask = np.array([[True, False, True, False]] * 3)
    outputs, weights, last = layer(inputs, memory, inputs_mask=mask, **EVERYTHING)
    kept = layer(inputs[:, ::2], memory, **EVERYTHING)
    np.testing.assert_allclose(outputs[:, ::2], kept[0], atol=1e-5)
    np.testing.assert_allclose(weights[:, ::2], kept[1], atol=1e-5)
    np.testing.assert_array_equal(outputs[:, 1::2], np.zeros((3, 2, UNITS + 5)))
    np.testing.assert_array_equal(weights[:, 1::2], np.zeros((3, 2, 5)))
    for state, expected in zip(last, kept[2], strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


@pytest.mark.parametrize("attend", ["before", "after"])
def test_masks_of_keras_are_the_masks_given(attend):
    target, source = np.array([[4, 2, 0], [3, 0, 0]]), np.array([[1, 2, 3], [4, 5, 0]])
    embed = keras.layers.Embedding(8, 3, mask_zero=True)
    inputs, memory = embed(target), embed(source)
    layer = make(attend=attend)
    expected = layer(
        np.array(inputs),
        np.array(memory),
        inputs_mask=target != 0,
        memory_mask=source != 0,
    )
    found = layer(inputs, memory)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found._keras_mask, target != 0)
    np.testing.assert_array_equal(inputs._keras_mask, target != 0)
    np.testing.assert_array_equal(memory._keras_mask, source != 0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_may_be_read_in_two_parts(batch, cell):
    inputs, memory, *_ = batch
    layer = make(cell)
    outputs, last = layer(inputs, memory, return_state=True)
    first, states = layer(inputs[:, :2], memory, return_state=True)
    second, end = layer(inputs[:, 2:], memory, initial_state=states, return_state=True)
    np.testing.assert_allclose(ops.concatenate([first, second], 1), outputs, atol=1e-5)
    for state, expected in zip(end, last, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


def test_one_state_need_not_be_in_a_list(batch, rng):
    inputs, memory, *_ = batch
    layer, state = make(), normal(rng, 3, UNITS)
    expected = layer(inputs, memory, initial_state=[state])
    found = layer(inputs, memory, initial_state=state)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(np.array(found) - np.array(layer(inputs, memory))).max() > 1e-3


@pytest.mark.parametrize("attend", ["before", "after"])
def test_a_grid_is_read_like_its_slots_in_a_row(batch, rng, attend):
    inputs, *_ = batch
    grid, keep = normal(rng, 3, 2, 3, 5), rng.random((3, 2, 3)) > 0.4
    layer = make(attend=attend)
    found = layer(inputs, grid, memory_mask=keep, return_attention_scores=True)
    flat = layer(
        inputs,
        grid.reshape(3, 6, 5),
        memory_mask=keep.reshape(3, 6),
        return_attention_scores=True,
    )
    assert tuple(found[1].shape) == (3, 4, 2, 3)
    np.testing.assert_allclose(found[0], flat[0], atol=1e-6)
    np.testing.assert_allclose(ops.reshape(found[1], (3, 4, 6)), flat[1], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attend", ["before", "after"])
def test_dropout_repeats_with_its_seed(batch, attend, mode):
    inputs, memory = map(ops.convert_to_tensor, batch[:2])
    layer = make(attend=attend, dropout=0.5, seed=1)
    layer.build(inputs.shape, memory.shape)
    seed = layer.attention.seed_generator.state
    start = ops.convert_to_numpy(seed)

    def call(inputs, memory):
        # The seed goes in and out by hand: a compiled function must not write it.
        with keras.StatelessScope(state_mapping=[(seed, ops.convert_to_tensor(start))]):
            return layer(inputs, memory, return_attention_scores=True, training=True)

    first, weights = in_mode(call, mode)(inputs, memory)
    again, _ = in_mode(lambda *x: call(*x), mode)(inputs, memory)
    plain, plain_weights = layer(inputs, memory, return_attention_scores=True)
    np.testing.assert_allclose(first, again, atol=1e-5)
    assert np.abs(np.array(first) - np.array(plain)).max() > 1e-2
    if attend == "after":  # the states have seen no dropout, and the weights neither
        np.testing.assert_allclose(weights, plain_weights, atol=1e-5)
    np.testing.assert_allclose(ops.sum(weights, axis=-1), np.ones((3, 4)), atol=1e-5)


@pytest.mark.parametrize("make_cell", [keras.layers.GRUCell, PlainGRUCell])
def test_dropout_is_the_same_in_both_loops(batch, make_cell):
    inputs, memory, *_ = batch
    layer = AttentionDecoder(
        make_cell(UNITS), BahdanauAttention(3, dropout=0.5, seed=1)
    )
    layer.build(inputs.shape, memory.shape)
    twin = AttentionDecoder(
        keras.layers.GRUCell(UNITS), BahdanauAttention(3, dropout=0.5, seed=1)
    )
    twin.build(inputs.shape, memory.shape)
    twin.set_weights(layer.get_weights())
    found = layer(inputs, memory, training=True)
    np.testing.assert_allclose(found, twin(inputs, memory, training=True), atol=1e-5)


@pytest.mark.parametrize(("cell", "states"), [("gru", 1), ("lstm", 2)])
@pytest.mark.parametrize("attend", ["before", "after"])
def test_shapes_are_known_before_the_call(batch, cell, states, attend):
    inputs, memory, *_ = batch
    symbolic = keras.Input((None, 3)), keras.Input((None, 5))
    layer = make(cell, attend)
    outputs, weights, last = layer(*symbolic, **EVERYTHING)
    assert outputs.shape == (None, None, UNITS + 5)
    assert weights.shape == (None, None, None)
    assert [state.shape for state in last] == [(None, UNITS)] * states
    outputs, weights, last = layer(inputs, memory, **EVERYTHING)
    assert tuple(outputs.shape) == (3, 4, UNITS + 5)
    assert tuple(weights.shape) == (3, 4, 5)
    assert [tuple(state.shape) for state in last] == [(3, UNITS)] * states


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 0)])
@pytest.mark.parametrize("attend", ["before", "after"])
@pytest.mark.parametrize("make_cell", [keras.layers.GRUCell, PlainGRUCell])
def test_nothing_of_something_is_an_empty_answer(shape, attend, make_cell):
    size, steps, slots = shape
    layer = AttentionDecoder(make_cell(UNITS), BahdanauAttention(3), attend)
    layer.build((None, None, 3), (None, None, 5))
    outputs, weights = layer(
        np.zeros((size, steps, 3)),
        np.zeros((size, slots, 5)),
        return_attention_scores=True,
    )
    assert tuple(outputs.shape) == (size, steps, UNITS + 5)
    assert tuple(weights.shape) == (size, steps, slots)
    assert np.isfinite(np.array(outputs)).all()


@pytest.mark.skipif(BACKEND == "torch", reason="compiles with XLA")
@pytest.mark.parametrize("attend", ["before", "after"])
@pytest.mark.parametrize("cell", CELLS)
def test_learns_to_read_under_xla(rng, cell, attend):
    """What to write is in the memory, at the place that the input names."""
    memory = np.eye(4, dtype="float32")[
        np.array([rng.permutation(4) for _ in range(64)])
    ]
    place = rng.integers(0, 4, (64, 3))
    inputs = np.eye(4, dtype="float32")[place]
    labels = np.take_along_axis(memory.argmax(-1), place, axis=1)
    slots = np.broadcast_to(np.eye(4, dtype="float32"), memory.shape)
    memory = np.concatenate([memory, slots], axis=-1)
    layer = AttentionDecoder(CELLS[cell](16), BahdanauAttention(16), attend)
    symbolic = keras.Input((3, 4)), keras.Input((4, 8))
    model = keras.Model(symbolic, keras.layers.Dense(4)(layer(*symbolic)))
    model.compile(
        keras.optimizers.Adam(0.03),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    assert model.jit_compile
    history = model.fit([inputs, memory], labels, epochs=20, batch_size=32, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX knows all sizes")
@pytest.mark.parametrize(
    ("alignment", "hard"), [("additive", False), ("bilinear", True)]
)
def test_xla_compiles_the_generic_loop_of_a_batch_of_unknown_size(
    batch, masks, alignment, hard
):
    import tensorflow as tf

    cell = keras.layers.SimpleRNNCell(UNITS)
    layer = AttentionDecoder(cell, BahdanauAttention(3, alignment, hard=hard))
    tensors = [ops.convert_to_tensor(x) for x in batch[:2]]
    layer(*tensors)

    def loss(inputs, memory):
        shapes = {"inputs_mask": (None, None), "memory_mask": (None, 5)}
        given = {n: tf.ensure_shape(mask, shapes[n]) for n, mask in masks.items()}
        options = {"return_choice": True} if hard else EVERYTHING
        answer = layer(inputs, memory, **given, **options)
        return sum(ops.sum(ops.sin(3.0 * x)) for x in keras.tree.flatten(answer))

    function = with_gradients(loss, layer.trainable_weights)
    compiled = tf.function(
        function,
        [tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, 5, 5))],
        autograph=False,
        jit_compile=True,
    )
    assert_same(compiled(*tensors), function(*tensors))


def test_the_config_makes_a_twin():
    layer = AttentionDecoder(
        keras.layers.LSTMCell(UNITS, use_bias=False, dtype="mixed_bfloat16"),
        BahdanauAttention(3, "bilinear", dropout=0.25, dtype="mixed_bfloat16"),
        "after",
        name="reader",
        dtype="mixed_bfloat16",
    )
    config = layer.get_config()
    twin = AttentionDecoder.from_config(config)
    assert twin.get_config() == config
    assert (twin.attend, twin.name, twin.cell.use_bias) == ("after", "reader", False)
    assert (twin.attention.alignment, twin.attention.dropout) == ("bilinear", 0.25)


def test_one_attention_may_serve_two_decoders(batch):
    inputs, memory, *_ = batch
    attention = BahdanauAttention(3)
    first, second = (
        AttentionDecoder(keras.layers.GRUCell(UNITS), attention) for _ in range(2)
    )
    first(inputs, memory)
    second(inputs, memory)
    shared = {id(weight) for weight in attention.weights}
    assert shared <= {id(weight) for weight in first.weights}
    assert shared <= {id(weight) for weight in second.weights}


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")
def test_a_quantized_model_still_answers(batch):
    inputs, memory, *_ = batch
    symbolic = keras.Input((4, 3)), keras.Input((5, 5))
    model = keras.Model(symbolic, make()(*symbolic))
    expected = np.array(model([inputs, memory]))
    model.quantize("int8")
    np.testing.assert_allclose(model([inputs, memory]), expected, atol=0.1)


GRU = keras.layers.GRUCell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: (256, BahdanauAttention(3)), r"`cell` must be a Keras RNN cell.*256"),
        (
            lambda: (GRU(4, dropout=0.5), BahdanauAttention(3)),
            r"`cell` must have no dropout.*cell\.dropout=0\.5",
        ),
        (
            lambda: (GRU(4, recurrent_dropout=0.5), BahdanauAttention(3)),
            r"cell\.recurrent_dropout=0\.5",
        ),
        (lambda: (GRU(4), "additive"), r"`attention` must be.*attention='additive'"),
        (lambda: (GRU(4), BahdanauAttention(3), "during"), r"`attend`.*'during'"),
        (
            lambda: (GRU(4), BahdanauAttention(3), "after", False, -1.0),
            r"`coverage` must be a finite number .*coverage=-1\.0",
        ),
    ],
)
def test_refuses_to_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionDecoder(*arguments())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": np.zeros((2, 3))}, r"`inputs` must have shape.*\(2, 3\)"),
        ({"memory": np.zeros((2, 5))}, r"`memory` must have shape.*\(2, 5\)"),
        ({"memory": np.zeros((1, 5, 5))}, r"same batch.*\(2, 4, 3\).*\(1, 5, 5\)"),
        ({"inputs": np.zeros((2, 4, 2))}, r"`inputs` must have width 3.*\(2, 4, 2\)"),
        ({"memory": np.zeros((2, 5, 6))}, r"`memory` must have width 5.*\(2, 5, 6\)"),
        (
            {"inputs_mask": np.ones((2, 5), "bool")},
            r"`inputs_mask`.*\(2, 4\).*\(2, 5\)",
        ),
        ({"memory_mask": np.ones((2, 5))}, r"`memory_mask` must be boolean"),
        ({"initial_state": np.zeros((2, 5))}, r"`initial_state`.*\[4\].*\(2, 5\)"),
        ({"initial_state": np.zeros((3, 4))}, r"`inputs` and `initial_state`.*batch"),
        ({"initial_state": [np.zeros((2, 4))] * 2}, r"`initial_state`.*\[4\]"),
    ],
)
def test_refuses_a_call(arguments, message):
    layer = make()
    layer.build((2, 4, 3), (2, 5, 5))
    with pytest.raises(ValueError, match=message):
        layer(
            **{
                "inputs": np.zeros((2, 4, 3)),
                "memory": np.zeros((2, 5, 5)),
                **arguments,
            }
        )
