"""What "equal" means in the tests."""

import keras
import numpy as np
from keras import ops


def to_numpy(answer):
    """The outputs in order, as float32 or integers."""
    leaves = [ops.convert_to_tensor(x) for x in keras.tree.flatten(answer)]
    return [
        ops.convert_to_numpy(ops.cast(x, "float32") if "float" in ops.dtype(x) else x)
        for x in leaves
    ]


def assert_same(found, expected):
    """Equal up to 1e-5 of the largest number, or of one."""
    found, expected = to_numpy(found), to_numpy(expected)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        bound = 1e-5 * max(1.0, np.abs(theirs).max(initial=0.0))
        np.testing.assert_allclose(ours, theirs, atol=bound, rtol=0)
