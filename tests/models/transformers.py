"""What the tests of the Transformer models share."""

import numpy as np
from keras import ops

POSITIONS = ("sinusoidal", "learned", "rotary", "alibi")
SIZES = {"num_layers": 2, "model_dim": 8, "num_heads": 2, "intermediate_dim": 16}
# Each option away from its default, somewhere, in few models.
OPTIONS = (
    {"normalize_first": False, "activation": "gelu"},
    {"gated": True, "activation": "silu", "normalization": "rms"},
)
CHOICES = [
    *({"positions": positions} for positions in POSITIONS),
    *(
        {"positions": positions, **options}
        for positions, options in zip(("rotary", "learned"), OPTIONS, strict=True)
    ),
]


def name_of(choice):
    return "-".join(str(value) for value in choice.values())


def with_random_weights(model, seed=0):
    """The model, with weights so large that every part has a say in what it writes."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        value = rng.normal(size=weight.shape)
        if not weight.path.endswith(("kernel", "embeddings")):
            value = ops.convert_to_numpy(weight) + 0.1 * value
        weight.assign(value)
    return model


def ragged(rng, lengths, width, largest):
    """Token ids from 4 to `largest`, zeros after each row's length."""
    tokens = rng.integers(4, largest + 1, size=(len(lengths), width)).astype("int32")
    return np.where(np.arange(width) < np.array(lengths)[:, None], tokens, 0)


def numpy(answer):
    return {name: ops.convert_to_numpy(value) for name, value in answer.items()}


def assert_same_answers(found, expected, atol=1e-4):
    """Of `decode`, or of a signature."""
    assert set(expected) <= set(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)
