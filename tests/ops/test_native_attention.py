"""The backends' kernels, against the plain form."""

import keras
import pytest
from keras import ops

from keras_attn.ops.dot_product_attention import dot_product_attention
from keras_attn.ops.native_attention import has_native_kernel, is_for_jax
from keras_attn.ops.score_terms import ScoreTerms
from tests.comparison import assert_same
from tests.gradients import BACKEND, QUICKEST, in_mode, weighted_sum, with_gradients
from tests.ops.attention_inputs import TERMS, draw, loss, make_terms, output

FOR_JAX = ["nothing", "causal", "key_mask", "empty_row"]


@pytest.mark.skipif(BACKEND != "torch", reason="the kernel is torch's")
@pytest.mark.parametrize("slots", [3, 5, 7])
@pytest.mark.parametrize("name", TERMS)
def test_torch_equals_the_plain_form(name, slots, rng):
    tensors, terms = draw(rng, 5, slots, groups=2), make_terms(name, rng, 5, slots)
    if "bias" in terms:
        tensors.append(terms["bias"])
    found, expected = (
        with_gradients(loss(implementation, terms))(*tensors)
        for implementation in ("native", "plain")
    )
    assert_same(found, expected)


@pytest.mark.skipif(BACKEND != "torch", reason="the kernel is torch's")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_in_half_precision(dtype, rng):
    tensors, terms = draw(rng), make_terms("everything", rng)
    half = output("native", *(ops.cast(x, dtype) for x in tensors), terms)
    assert ops.dtype(half) == dtype
    full = output("plain", *tensors, terms)
    assert float(ops.max(ops.abs(ops.cast(half, "float32") - full))) < 0.03


@pytest.mark.skipif(BACKEND != "jax", reason="the kernel is JAX's")
@pytest.mark.parametrize("slots", [3, 5, 7])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", FOR_JAX)
def test_jax_equals_the_plain_form(name, causal, slots, rng):
    """Its masks are tested without a GPU, in the form that XLA makes of the call."""
    from keras_attn.ops.native_attention import jax_attention

    tensors = draw(rng, 5, slots, groups=2, value_width=3)
    terms = {**make_terms(name, rng, 5, slots), "causal": causal}

    def native(*tensors):
        found = jax_attention(*tensors, ScoreTerms(**terms), 0.5, implementation="xla")
        return weighted_sum(found)

    found, expected = (
        in_mode(with_gradients(function), QUICKEST)(*tensors)
        for function in (native, loss("plain", terms, scale=0.5))
    )
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("dtype", "width", "value_width", "terms", "expected"),
    [
        ("bfloat16", 64, 64, {"causal": True}, True),
        ("float16", 128, 128, {"key_mask": 1}, True),
        ("float32", 64, 64, {}, False),
        ("bfloat16", 64, 32, {}, False),
        ("bfloat16", 12, 12, {}, False),
        ("bfloat16", 256, 256, {}, False),
        ("bfloat16", 64, 64, {"bias": 1}, False),
        ("bfloat16", 64, 64, {"window": 1}, False),
        ("bfloat16", 64, 64, {"positions": 1}, False),
    ],
)
def test_what_cudnn_is_asked_for(dtype, width, value_width, terms, expected):
    query = keras.KerasTensor((2, 4, 8, width), dtype)
    value = keras.KerasTensor((2, 4, 8, value_width), dtype)
    assert is_for_jax(query, value, ScoreTerms(**terms)) == expected


@pytest.mark.gpu
@pytest.mark.skipif(BACKEND != "jax", reason="the kernel is JAX's")
@pytest.mark.parametrize("name", FOR_JAX)
def test_jax_on_a_gpu(name, rng):
    tensors = draw(rng, 64, 64, width=64, value_width=64)
    terms = make_terms(name, rng, 64, 64)
    half = [ops.cast(x, "bfloat16") for x in tensors]
    assert has_native_kernel(half[0], half[2], ScoreTerms(**terms))
    found = ops.cast(output("native", *half, terms), "float32")
    assert float(ops.max(ops.abs(found - output("plain", *tensors, terms)))) < 0.05


@pytest.mark.skipif(BACKEND == "torch", reason="torch has one")
def test_there_is_none_here(rng):
    tensors = draw(rng)
    assert not has_native_kernel(tensors[0], tensors[2], ScoreTerms())
    with pytest.raises(ValueError, match=rf'"native".*backend={BACKEND!r}'):
        output("native", *tensors, {})


@pytest.mark.skipif(BACKEND != "torch", reason="elsewhere there is none")
def test_torch_has_no_kernel_with_our_dropout(rng):
    seed = ops.convert_to_tensor([1, 2])
    with pytest.raises(ValueError, match=r"without dropout.*dropout=0\.5"):
        dot_product_attention(
            *draw(rng), ScoreTerms(), dropout=0.5, seed=seed, implementation="native"
        )
