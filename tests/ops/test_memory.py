import numpy as np
import pytest
from keras import ops

from keras_attn.ops.memory import (
    flatten_mask,
    flatten_slots,
    unflatten_slots,
    zero_masked,
)


@pytest.mark.parametrize("slots", [(5,), (2, 3), (2, 3, 4)])
def test_a_grid_flattens_and_comes_back(rng, slots):
    memory = ops.convert_to_tensor(rng.normal(size=(2, *slots, 3)).astype("float32"))
    flat = flatten_slots(memory)
    assert tuple(flat.shape) == (2, np.prod(slots), 3)
    weights = ops.transpose(flat, (0, 2, 1))  # (2, 3, slots): one row a width
    grid = unflatten_slots(weights, memory)
    assert tuple(grid.shape) == (2, 3, *slots)
    np.testing.assert_array_equal(grid, np.moveaxis(np.array(memory), -1, 1))


def test_a_mask_flattens_like_its_memory(rng):
    mask = rng.random((2, 3, 4)) > 0.5
    np.testing.assert_array_equal(
        flatten_mask(ops.convert_to_tensor(mask)), mask.reshape(2, 12)
    )
    assert flatten_mask(None) is None


@pytest.mark.parametrize("filler", [np.inf, np.nan])
def test_zeros_replace_whatever_is_masked(filler):
    tensor = ops.convert_to_tensor(np.float32([[1, 2], [filler, filler]]))
    mask = ops.convert_to_tensor([True, False])
    np.testing.assert_array_equal(zero_masked(tensor, mask), [[1, 2], [0, 0]])
    assert zero_masked(tensor, None) is tensor
