import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import BahdanauAttention
from tests.gradients import MODES, gradients, in_mode, weighted_sum

ALIGNMENTS = ["additive", "bilinear", "dot", "scaled_dot"]
# Every alignment, with and without projections where it allows both.
CHOICES = [
    (alignment, units)
    for alignment, units in itertools.product(ALIGNMENTS, [4, None])
    if (alignment, units) != ("additive", None)
]
FILLERS = [1e30, np.inf, np.nan]


def weights_by_name(layer):
    return {
        weight.path.partition("/")[2]: keras.ops.convert_to_numpy(weight).astype(
            "float64"
        )
        for weight in layer.weights
    }


def reference(layer, query, value, key=None, keep=None):
    """The docstring's formulas in float64, one query and one slot at a time."""
    weights = weights_by_name(layer)
    key = value if key is None else key
    slots = value.shape[1:-1]
    keep = np.ones(value.shape[:-1], "bool") if keep is None else keep
    contexts = np.zeros((*query.shape[:2], value.shape[-1]))
    alignment = np.zeros((*query.shape[:2], *slots))
    for row, step in np.ndindex(query.shape[:2]):
        u = query[row, step].astype("float64")
        scores = {}
        for slot in map(tuple, np.argwhere(keep[row])):
            v = key[(row, *slot)].astype("float64")
            if layer.units is not None:
                asked = u @ weights["query/kernel"] + weights.get("query/bias", 0.0)
                v = v @ weights["key/kernel"]
            else:
                asked = u
            if layer.alignment == "additive":
                scores[slot] = weights["scale"] @ np.tanh(asked + v)
            elif layer.alignment == "bilinear":
                scores[slot] = asked @ weights["bilinear/kernel"].T @ v
            elif layer.alignment == "dot":
                scores[slot] = asked @ v
            else:
                scores[slot] = asked @ v / np.sqrt(len(v))
        total = sum(np.exp(score) for score in scores.values())
        for slot, score in scores.items():
            alignment[(row, step, *slot)] = np.exp(score) / total
            contexts[row, step] += np.exp(score) / total * value[(row, *slot)]
    return contexts, alignment


def randomize(layer, rng):
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


@pytest.fixture
def batch(rng):
    """Query, value and masks; the last row keeps nothing of its memory."""
    query_mask = np.array([[True, True, True], [True, False, True], [True] * 3])
    value_mask = np.arange(5) < np.array([[5], [2], [0]])
    return normal(rng, 3, 3, 4), normal(rng, 3, 5, 4), query_mask, value_mask


@pytest.mark.parametrize(("alignment", "units"), CHOICES)
@pytest.mark.parametrize("use_bias", [True, False])
def test_matches_numpy(batch, rng, alignment, units, use_bias):
    query, value, _, keep = batch
    layer = BahdanauAttention(units, alignment, use_bias=use_bias)
    layer.build(query.shape, value.shape)
    randomize(layer, rng)
    found = layer(query, value, value_mask=keep, return_attention_scores=True)
    for ours, theirs in zip(
        found, reference(layer, query, value, keep=keep), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("alignment", "units"), [c for c in CHOICES if c[1]])
def test_widths_may_differ_and_keys_be_other_than_values(rng, alignment, units):
    query, value, key = normal(rng, 2, 3, 6), normal(rng, 2, 5, 2), normal(rng, 2, 5, 7)
    layer = BahdanauAttention(units, alignment)
    layer.build(query.shape, value.shape, key.shape)
    randomize(layer, rng)
    found = layer(query, value, key, return_attention_scores=True)
    for ours, theirs in zip(found, reference(layer, query, value, key), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_bilinear_without_units_takes_widths_as_they_are(rng):
    query, value = normal(rng, 2, 3, 6), normal(rng, 2, 5, 2)
    layer = BahdanauAttention(alignment="bilinear")
    found = layer(query, value, return_attention_scores=True)
    for ours, theirs in zip(found, reference(layer, query, value), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_one_step_is_a_row_of_many(batch, alignment):
    query, value, _, keep = batch
    layer = BahdanauAttention(4, alignment)
    all_contexts, all_weights = layer(
        query, value, value_mask=keep, return_attention_scores=True
    )
    for step in range(3):
        context, weights = layer(
            query[:, step], value, value_mask=keep, return_attention_scores=True
        )
        np.testing.assert_allclose(context, all_contexts[:, step], atol=1e-6)
        np.testing.assert_allclose(weights, all_weights[:, step], atol=1e-6)


@pytest.mark.parametrize("steps", [(), (3,)])
@pytest.mark.parametrize("grid", [(2, 3), (2, 3, 2)])
def test_a_grid_is_attended_like_its_slots_in_a_row(rng, steps, grid):
    query, value = normal(rng, 2, *steps, 4), normal(rng, 2, *grid, 5)
    keep = rng.random((2, *grid)) > 0.4
    layer = BahdanauAttention(4)
    context, weights = layer(
        query, value, value_mask=keep, return_attention_scores=True
    )
    flat_context, flat_weights = layer(
        query,
        value.reshape(2, -1, 5),
        value_mask=keep.reshape(2, -1),
        return_attention_scores=True,
    )
    assert tuple(weights.shape) == (2, *steps, *grid)
    np.testing.assert_allclose(context, flat_context, atol=1e-6)
    np.testing.assert_allclose(
        ops.reshape(weights, flat_weights.shape), flat_weights, atol=1e-6
    )


@pytest.mark.parametrize(("alignment", "units"), CHOICES)
def test_a_projected_key_is_as_good_as_the_key(batch, alignment, units):
    query, value, _, keep = batch
    layer = BahdanauAttention(units, alignment)
    expected = layer(query, value, value_mask=keep)
    key = layer.project_key(value, keep)
    found = layer(query, value, value_mask=keep, projected_key=key)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_projected_key_replaces_the_key(batch):
    query, value, _, _ = batch
    layer = BahdanauAttention(4)
    expected = layer(query, value, key=-value)
    found = layer(query, value, projected_key=layer.project_key(-value))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_row_without_memory_gives_zeros(batch, alignment):
    query, value, _, keep = batch
    layer = BahdanauAttention(4, alignment)
    context, weights = layer(
        query, value, value_mask=keep, return_attention_scores=True
    )
    np.testing.assert_array_equal(context[2], np.zeros((3, 4)))
    np.testing.assert_array_equal(weights[2], np.zeros((3, 5)))
    query_gradient, value_gradient, *others = gradients(
        lambda query, value: weighted_sum(layer(query, value, value_mask=keep)),
        [query, value],
        layer.trainable_variables,
    )
    np.testing.assert_array_equal(query_gradient[2], np.zeros((3, 4)))
    np.testing.assert_array_equal(value_gradient[2], np.zeros((5, 4)))
    assert all(np.isfinite(gradient).all() for gradient in others)


def test_a_masked_query_gives_zeros(batch):
    query, value, query_mask, keep = batch
    layer = BahdanauAttention(4)
    context, weights = layer(
        query,
        value,
        query_mask=query_mask,
        value_mask=keep,
        return_attention_scores=True,
    )
    np.testing.assert_array_equal(context[1, 1], np.zeros(4))
    np.testing.assert_array_equal(weights[1, 1], np.zeros(5))
    plain = layer(query, value, value_mask=keep)
    np.testing.assert_allclose(context[0], plain[0], atol=1e-6)


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize(("alignment", "units"), CHOICES)
def test_padding_never_matters(batch, alignment, units, filler):
    query, value, query_mask, value_mask = batch
    noisy = (
        np.where(query_mask[..., None], query, filler).astype("float32"),
        np.where(value_mask[..., None], value, filler).astype("float32"),
    )
    layer = BahdanauAttention(units, alignment)
    layer.build(query.shape, value.shape)

    def call(query, value, key):
        return layer(
            query,
            value,
            key,
            query_mask=ops.convert_to_tensor(query_mask),
            value_mask=ops.convert_to_tensor(value_mask),
            return_attention_scores=True,
        )

    def answer(query, value):
        tensors = [query, value, value]
        values = [np.array(x) for x in call(*map(ops.convert_to_tensor, tensors))]
        slopes = gradients(
            lambda *x: weighted_sum(call(*x)), tensors, layer.trainable_variables
        )
        return values + slopes

    for clean, found in zip(answer(query, value), answer(*noisy), strict=True):
        np.testing.assert_allclose(found, clean, atol=1e-5)


def test_masks_of_keras_are_the_masks_given(rng):
    source = np.array([[5, 2, 7, 0, 0], [3, 0, 0, 0, 0]])
    target = np.array([[1, 2, 0], [4, 0, 0]])
    embed = keras.layers.Embedding(8, 4, mask_zero=True)
    query, value = embed(target), embed(source)
    layer = BahdanauAttention(4)
    expected = layer(
        np.array(query), np.array(value), query_mask=target != 0, value_mask=source != 0
    )
    found = layer(query, value)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found._keras_mask, target != 0)
    # The caller's own masks are what they were.
    np.testing.assert_array_equal(query._keras_mask, target != 0)
    np.testing.assert_array_equal(value._keras_mask, source != 0)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_one_answer(batch, mode):
    query, value, query_mask, value_mask = map(ops.convert_to_tensor, batch)
    layer = BahdanauAttention(4)

    def call(query, value):
        return layer(query, value, query_mask=query_mask, value_mask=value_mask)

    expected = call(query, value)
    np.testing.assert_allclose(in_mode(call, mode)(query, value), expected, atol=1e-6)


def test_dropout_acts_in_training_only(batch):
    query, value, *_ = batch
    layer = BahdanauAttention(4, dropout=0.5, seed=1)
    plain, weights = layer(query, value, return_attention_scores=True)
    np.testing.assert_array_equal(layer(query, value, training=False), plain)
    context, reported = layer(query, value, return_attention_scores=True, training=True)
    np.testing.assert_allclose(reported, weights, atol=1e-6)  # before dropout
    assert np.abs(np.array(context) - np.array(plain)).max() > 1e-2


def test_dropout_keeps_the_mean_and_drops_its_share(rng):
    query, value = normal(rng, 1, 400, 3), np.eye(5, dtype="float32")[None]
    layer = BahdanauAttention(3, dropout=0.25, seed=1)
    _, weights = layer(query, value, return_attention_scores=True)
    dropped = np.array(layer(query, value, training=True))  # value is the identity
    assert abs((dropped == 0).mean() - 0.25) < 0.04
    np.testing.assert_allclose(
        dropped[dropped > 0], (weights / 0.75)[dropped > 0], 1e-5
    )


def test_dropout_is_seeded(batch):
    query, value, *_ = batch
    kernel = keras.initializers.GlorotUniform(3)
    first, again, other = (
        BahdanauAttention(4, dropout=0.5, seed=seed, kernel_initializer=kernel)
        for seed in (1, 1, 2)
    )
    answer = np.array(first(query, value, training=True))
    np.testing.assert_array_equal(again(query, value, training=True), answer)
    assert np.abs(np.array(other(query, value, training=True)) - answer).max() > 1e-2
    assert np.abs(np.array(first(query, value, training=True)) - answer).max() > 1e-2


def test_kernels_of_one_seedless_initializer_differ():
    layer = BahdanauAttention(4, kernel_initializer=keras.initializers.RandomNormal())
    layer.build((None, 3, 4), (None, 5, 4))
    first, second = layer.query_projection.kernel, layer.key_projection.kernel
    assert np.abs(np.array(first) - np.array(second)).max() > 1e-3


def test_initializers_regularizers_and_constraints_reach_their_weights():
    layer = BahdanauAttention(
        4,
        kernel_initializer="ones",
        bias_initializer=keras.initializers.Constant(2.0),
        kernel_regularizer=keras.regularizers.L1(0.5),
        bias_regularizer=keras.regularizers.L1(0.25),
        kernel_constraint="non_neg",
        bias_constraint="unit_norm",
    )
    layer.build((None, 3, 4), (None, 5, 6))
    weights = weights_by_name(layer)
    assert {name: value.shape for name, value in weights.items()} == {
        "query/kernel": (4, 4),
        "query/bias": (4,),
        "key/kernel": (6, 4),
        "scale": (4,),
    }
    np.testing.assert_array_equal(weights["query/bias"], np.full(4, 2.0))
    np.testing.assert_array_equal(weights["key/kernel"], np.ones((6, 4)))
    np.testing.assert_allclose(sum(layer.losses), 0.5 * (16 + 24 + 4) + 0.25 * 8)
    constraints = {
        weight.path.partition("/")[2]: type(weight.constraint).__name__
        for weight in layer.weights
        if weight.trainable
    }
    assert constraints == {
        "query/kernel": "NonNeg",
        "query/bias": "UnitNorm",
        "key/kernel": "NonNeg",
        "scale": "NonNeg",
    }


def test_the_config_makes_a_twin():
    layer = BahdanauAttention(
        4,
        "scaled_dot",
        use_bias=False,
        dropout=0.25,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
        seed=7,
        name="reader",
        dtype="mixed_bfloat16",
    )
    config = layer.get_config()
    twin = BahdanauAttention.from_config(config)
    assert twin.get_config() == config
    named = ["units", "alignment", "use_bias", "dropout", "seed", "name"]
    assert [config[name] for name in named] == [
        4,
        "scaled_dot",
        False,
        0.25,
        7,
        "reader",
    ]
    assert type(twin.kernel_initializer) is keras.initializers.HeNormal
    assert type(twin.bias_regularizer) is keras.regularizers.L1


def test_an_empty_batch_gives_an_empty_answer():
    layer = BahdanauAttention(4)
    context, weights = layer(
        np.zeros((0, 3, 4)), np.zeros((0, 5, 6)), return_attention_scores=True
    )
    assert (tuple(context.shape), tuple(weights.shape)) == ((0, 3, 6), (0, 3, 5))


def test_symbolic_shapes_with_free_axes():
    query, value = keras.Input((None, 4)), keras.Input((None, 7, 6))
    context, weights = BahdanauAttention(4)(query, value, return_attention_scores=True)
    assert (context.shape, weights.shape[:2]) == ((None, None, 6), (None, None))
    assert len(weights.shape) == 4


# Keras says so of every layer that is not itself quantized, its Input included.
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_model_quantizes_and_still_answers(batch, alignment):
    query, value, *_ = batch
    inputs = keras.Input(query.shape[1:]), keras.Input(value.shape[1:])
    model = keras.Model(inputs, BahdanauAttention(4, alignment)(*inputs))
    expected = np.array(model([query, value]))
    model.quantize("int8")
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert {w.dtype for w in kernels} == {"int8"}
    np.testing.assert_allclose(model([query, value]), expected, atol=0.1)


def test_lora_starts_as_the_layer_was_and_learns(batch):
    query, value, *_ = batch
    layer = BahdanauAttention(4)
    expected = layer(query, value)
    for projection in (layer.query_projection, layer.key_projection):
        projection.enable_lora(2)
    np.testing.assert_allclose(layer(query, value), expected, atol=1e-6)
    names = {weight.path.rpartition("/")[2] for weight in layer.trainable_weights}
    assert {"lora_kernel_a", "lora_kernel_b"} <= names
    assert not layer.query_projection._kernel.trainable


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
def test_low_precision(batch, alignment, policy):
    query, value, _, keep = batch
    layer = BahdanauAttention(4, alignment, dtype=policy)
    context, weights = layer(
        query, value, value_mask=keep, return_attention_scores=True
    )
    dtype = layer.compute_dtype
    assert {ops.dtype(context), ops.dtype(weights)} == {dtype}
    assert {weight.dtype for weight in layer.trainable_weights} == {
        layer.variable_dtype
    }
    full = reference(layer, query, value, keep=keep)[0]
    np.testing.assert_allclose(ops.cast(context, "float32"), full, atol=0.05)


QUERY, VALUE = np.zeros((2, 3, 4), "float32"), np.zeros((2, 5, 6), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, r"`units` must be at least 1\. Received: units=0"),
        ({"units": 2.5}, r"`units` must be at least 1\. Received: units=2\.5"),
        ({}, r"`units` must be given with alignment=\"additive\""),
        ({"units": 4, "alignment": "cosine"}, r"`alignment` .* alignment='cosine'"),
        ({"units": 4, "dropout": 1.0}, r"`dropout` .* Received: dropout=1\.0"),
        ({"units": 4, "dropout": -0.1}, r"`dropout` .* Received: dropout=-0\.1"),
    ],
)
def test_refuses_to_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        BahdanauAttention(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": np.zeros((2, 3, 4, 4))}, r"`query` must have shape.*\(2, 3, 4, 4\)"),
        ({"value": np.zeros((2, 6))}, r"`value` must have shape.*\(2, 6\)"),
        ({"value": np.zeros((3, 5, 6))}, r"same batch.*\(2, 3, 4\).*\(3, 5, 6\)"),
        ({"query": np.zeros((2, 3, 5))}, r"`query` must have width 4.*\(2, 3, 5\)"),
        ({"value": np.zeros((2, 5, 7))}, r"`value` must have width 6.*\(2, 5, 7\)"),
        ({"key": np.zeros((2, 5, 7))}, r"`key` must have width 6.*\(2, 5, 7\)"),
        ({"key": np.zeros((2, 4, 6))}, r"`key` and `value`.*same memory.*\(2, 4, 6\)"),
        (
            {"projected_key": np.zeros((2, 5, 3))},
            r"`projected_key` must have width 4.*\(2, 5, 3\)",
        ),
        ({"value_mask": np.ones((2, 4), "bool")}, r"`value_mask`.*\(2, 5\).*\(2, 4\)"),
        ({"value_mask": np.ones((2, 5))}, r"`value_mask` must be boolean.*float32"),
        ({"value_mask": [[True] * 5] * 2}, r"`value_mask` must be a boolean tensor"),
        ({"query_mask": np.ones((2, 5), "bool")}, r"`query_mask`.*\(2, 3\).*\(2, 5\)"),
        (
            {"query": np.zeros((2, 4)), "query_mask": np.ones((2,), "bool")},
            r"`query_mask` needs a query of shape",
        ),
    ],
)
def test_refuses_a_call(arguments, message):
    layer = BahdanauAttention(4)
    layer.build(QUERY.shape, VALUE.shape)
    with pytest.raises(ValueError, match=message):
        layer(**{"query": QUERY, "value": VALUE, **arguments})


def test_refuses_products_of_different_widths():
    with pytest.raises(ValueError, match=r'"dot" without `units`.*\(2, 3, 4\).*5, 6'):
        BahdanauAttention(alignment="dot")(QUERY, VALUE)


def test_refuses_to_project_a_key_before_it_is_built():
    with pytest.raises(ValueError, match=r"must be built before it projects keys"):
        BahdanauAttention(4).project_key(VALUE)
