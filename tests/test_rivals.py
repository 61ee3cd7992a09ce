"""Defects of other libraries' attention, absent here.

Every test runs on a layer of ours, which passes, and on the layer of Keras or
keras-hub that has the defect, which is expected to fail. One that no longer does is
reported: then its defect has been mended, and the row goes.
"""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_attn
from tests.compiled import multiplications
from tests.gradients import BACKEND

OURS = pytest.param("ours", id="keras_attn")


def rival(name, raises=AssertionError):
    """The row of another library, whose failure must be this one."""
    marks = [
        pytest.mark.xfail(strict=True, raises=raises, reason="its known defect"),
        pytest.mark.skipif(BACKEND != "tensorflow", reason="shown on TensorFlow"),
    ]
    return pytest.param(name, id=name, marks=marks)


KERAS, HUB = rival("keras"), rival("keras_hub")


def cross_attention(library, **options):
    kinds = {
        "ours": keras_attn.MultiHeadAttention,
        "keras": keras.layers.MultiHeadAttention,
    }
    return kinds[library](num_heads=2, key_dim=3, **options)


def encoder(library, num_heads=2):
    if library == "ours":
        return keras_attn.TransformerBlock(num_heads, 8)
    hub = pytest.importorskip("keras_hub")
    return hub.layers.TransformerEncoder(8, num_heads)


def draw(rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


def padded_memory():
    """The last two slots of its rows are padding, as its Keras mask says."""
    embed = keras.layers.Embedding(9, 6, mask_zero=True)
    return embed(ops.convert_to_tensor(np.int32([[3, 4, 0, 0], [5, 6, 0, 0]])))


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_three_readers_of_a_memory_see_no_padding(library, rng):
    query, memory = draw(rng, 2, 3, 6), padded_memory()
    for _ in range(3):
        reader = cross_attention(library)
        _, scores = reader(query, memory, return_attention_scores=True)
        np.testing.assert_array_equal(ops.convert_to_numpy(scores)[..., 2:], 0.0)


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_three_readers_of_a_memory_in_a_functional_model(library, rng):
    query, tokens = keras.Input((3, 6)), keras.Input((4,), dtype="int32")
    memory = keras.layers.Embedding(9, 6, mask_zero=True)(tokens)
    answers = [
        cross_attention(library)(query, memory, return_attention_scores=True)[1]
        for _ in range(3)
    ]
    model = keras.Model([query, tokens], answers)
    ids = ops.convert_to_tensor(np.int32([[3, 4, 0, 0], [5, 6, 0, 0]]))
    for scores in model([draw(rng, 2, 3, 6), ids]):
        np.testing.assert_array_equal(ops.convert_to_numpy(scores)[..., 2:], 0.0)


@pytest.mark.parametrize("library", [OURS, HUB])
def test_a_block_leaves_the_mask_of_its_inputs(library):
    memory = padded_memory()
    encoder(library)(memory)
    assert memory._keras_mask is not None


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_asking_for_scores_changes_no_output(library, rng):
    query, value = draw(rng, 2, 3, 6), draw(rng, 2, 4, 6)
    mask = np.ones((2, 3, 4), "bool")
    mask[1, 2] = False
    mask = ops.convert_to_tensor(mask)
    layer = cross_attention(library)
    alone = layer(query, value, attention_mask=mask)
    output, _ = layer(query, value, attention_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(alone), ops.convert_to_numpy(output), atol=1e-5
    )


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_a_fully_masked_row_reads_nothing(library, rng):
    query, value = draw(rng, 1, 3, 6), draw(rng, 1, 4, 6)
    mask = ops.convert_to_tensor(np.array([[[True] * 4, [True] * 4, [False] * 4]]))
    layer = cross_attention(library)
    found, again = (
        ops.convert_to_numpy(layer(query, x, attention_mask=mask))[0, 2]
        for x in (value, 2.0 * value)
    )
    np.testing.assert_allclose(found, again, atol=1e-6)
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_symbolic_scores_of_cross_attention_have_their_shape(library):
    query, value = keras.Input((5, 6)), keras.Input((7, 6))
    _, scores = cross_attention(library)(query, value, return_attention_scores=True)
    assert scores.shape == (None, 2, 5, 7)


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_a_mask_given_by_hand_is_honoured(library, rng):
    query, value = draw(rng, 2, 4, 6), draw(rng, 2, 4, 6)
    layer = cross_attention(library)
    mask = ops.convert_to_tensor(np.arange(4) < np.array([[4], [2]]))
    free = ops.convert_to_numpy(layer(query, value))
    bound = ops.convert_to_numpy(layer(query, value, query_mask=mask))
    assert np.abs(free - bound).max() > 1e-4


@pytest.mark.parametrize("library", [OURS, KERAS])
def test_every_constructor_argument_is_in_the_config(library):
    layer = cross_attention(library)
    parameters = set(inspect.signature(type(layer).__init__).parameters)
    assert parameters - {"self", "kwargs"} <= set(layer.get_config())


@pytest.mark.parametrize(
    "library", [OURS, rival("keras_hub", raises=pytest.fail.Exception)]
)
def test_a_width_that_heads_do_not_divide_is_refused(library, rng):
    with pytest.raises(ValueError, match="num_heads"):
        encoder(library, num_heads=4)(draw(rng, 2, 3, 10))


@pytest.mark.skipif(BACKEND == "torch", reason="it has no compiler to ask")
@pytest.mark.parametrize("library", [OURS, KERAS])
def test_a_window_saves_work(library, rng):
    inputs = draw(rng, 1, 512, 6)
    name = {"ours": "window", "keras": "sliding_window"}[library]

    def cost(**options):
        layer = cross_attention(library, **options)
        layer(inputs, inputs)
        return multiplications(lambda x: layer(x, x), inputs)

    assert cost(**{name: 16}) < 0.5 * cost()


@pytest.mark.parametrize("library", [OURS, rival("keras_hub", raises=TypeError)])
def test_a_decoder_block_returns_its_scores(library, rng):
    if library == "ours":
        layer = keras_attn.TransformerDecoderBlock(2, 8)
    else:
        layer = pytest.importorskip("keras_hub").layers.TransformerDecoder(8, 2)
    inputs, memory = draw(rng, 2, 3, 6), draw(rng, 2, 4, 6)
    _, own, read = layer(inputs, memory, return_attention_scores=True)
    assert tuple(own.shape) == (2, 2, 3, 3)
    assert tuple(read.shape) == (2, 2, 3, 4)
