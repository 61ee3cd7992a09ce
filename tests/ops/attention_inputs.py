"""What the tests of the forms of attention have in common."""

import numpy as np
from keras import ops

from keras_attn.ops.dot_product_attention import dot_product_attention
from keras_attn.ops.score_terms import ScoreTerms
from tests.gradients import weighted_sum

BATCH, HEADS, STEPS = 2, 4, 5
# A name, and the arrays of `ScoreTerms` for some steps of queries and slots of keys.
TERMS = {
    "nothing": lambda rng, t, s: {},
    "causal": lambda rng, t, s: {"causal": True},
    "window": lambda rng, t, s: {"window": 2},
    "causal_window": lambda rng, t, s: {"causal": True, "window": 1},
    "key_mask": lambda rng, t, s: {"key_mask": np.arange(s) < np.array([[s], [2]])},
    "empty_row": lambda rng, t, s: {"key_mask": np.arange(s) < np.array([[s], [0]])},
    "mask": lambda rng, t, s: {"mask": some(rng, BATCH, HEADS, t, s)},
    "shared_mask": lambda rng, t, s: {"mask": some(rng, BATCH, 1, t, s)},
    "row_mask": lambda rng, t, s: {"mask": some(rng, 1, 1, 1, s)},
    "bias": lambda rng, t, s: {"bias": rng.normal(size=(BATCH, HEADS, t, s))},
    "shared_bias": lambda rng, t, s: {"bias": rng.normal(size=(BATCH, 1, t, s))},
    "bias_of_heads": lambda rng, t, s: {"bias": rng.normal(size=(1, HEADS, t, s))},
    "bias_of_keys": lambda rng, t, s: {"bias": rng.normal(size=(1, HEADS, 1, s))},
    "bias_of_queries": lambda rng, t, s: {"bias": rng.normal(size=(BATCH, 1, t, 1))},
    "slopes": lambda rng, t, s: {"slopes": np.array([0.5, 0.25, 0.1, 0.0])},
    "everything": lambda rng, t, s: {
        "key_mask": np.arange(s) < np.array([[s], [3]]),
        "mask": some(rng, 1, HEADS, t, s),
        "bias": rng.normal(size=(1, 1, t, s)),
        "slopes": np.array([0.5, 0.25, 0.1, 0.0]),
        "causal": True,
        "window": 2,
    },
}


def some(rng, *shape):
    return rng.random(shape) < 0.7


def as_tensor(array):
    array = np.asarray(array)
    is_float = array.dtype.kind == "f"
    return ops.convert_to_tensor(array.astype("float32") if is_float else array)


def draw(rng, steps=STEPS, slots=STEPS, groups=HEADS, width=3, value_width=2):
    """Query, key and value."""
    return [
        as_tensor(rng.normal(size=shape))
        for shape in (
            (BATCH, HEADS, steps, width),
            (BATCH, groups, slots, width),
            (BATCH, groups, slots, value_width),
        )
    ]


def make_terms(name, rng, steps=STEPS, slots=STEPS):
    """Tensors of a row of `TERMS`."""
    return {
        key: as_tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in TERMS[name](rng, steps, slots).items()
    }


def loss(implementation, terms, **options):
    """Scalar function of query, key, value, and of the bias if there is one."""

    def function(query, key, value, bias=None):
        given = terms if bias is None else {**terms, "bias": bias}
        output, _ = dot_product_attention(
            query,
            key,
            value,
            ScoreTerms(**given),
            implementation=implementation,
            **options,
        )
        return weighted_sum(output)

    return function


def output(implementation, query, key, value, terms, **options):
    return dot_product_attention(
        query, key, value, ScoreTerms(**terms), implementation=implementation, **options
    )[0]
