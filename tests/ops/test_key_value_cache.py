import numpy as np
import pytest
from keras import ops

from keras_attn.ops.key_value_cache import write_cache
from tests.gradients import MODES, in_mode


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 3])
def test_each_row_is_written_where_it_stands(steps, mode, rng):
    """What lies past the end is left out; the rest of the cache stays."""
    cache = rng.normal(size=(4, 2, 6, 3)).astype("float32")
    new = rng.normal(size=(4, 2, steps, 3)).astype("float32")
    positions = np.array([0, 2, 5, 6], "int32")
    expected = cache.copy()
    for row, start in enumerate(positions):
        room = min(steps, 6 - start)
        expected[row, :, start : start + room] = new[row, :, :room]
    tensors = [ops.convert_to_tensor(x) for x in (cache, new, positions)]
    found = in_mode(write_cache, mode)(*tensors)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)


def test_the_cache_keeps_its_type():
    cache = ops.zeros((1, 1, 2, 1), "bfloat16")
    found = write_cache(cache, ops.ones((1, 1, 1, 1)), ops.convert_to_tensor([1]))
    assert ops.dtype(found) == "bfloat16"
