import numpy as np
import pytest
from keras import ops

from keras_attn.ops.rotary import rotate
from tests.comparison import assert_same


def turned(x, positions, max_wavelength=10_000.0):
    """Each pair of coordinates is a complex number; a turn is a product."""
    half = x.shape[-1] // 2
    speeds = max_wavelength ** (-np.arange(half) / half)
    turns = np.exp(1j * positions[:, None, :, None] * speeds)
    pairs = (x[..., :half] + 1j * x[..., half:]) * turns
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


@pytest.mark.parametrize("max_wavelength", [10_000.0, 50.0])
@pytest.mark.parametrize("positions", [[[0, 1, 2]], [[0, 1, 2], [5, 70, 7]]])
def test_matches_numpy(positions, max_wavelength, rng):
    x = rng.normal(size=(2, 3, 3, 6)).astype("float32")
    positions = np.array(positions, "int32")
    found = rotate(
        ops.convert_to_tensor(x), ops.convert_to_tensor(positions), max_wavelength
    )
    assert_same(found, turned(x, positions, max_wavelength))


def test_only_the_distance_matters(rng):
    query, key = rng.normal(size=(2, 1, 1, 1, 8)).astype("float32")

    def product(i, j):
        first = rotate(ops.convert_to_tensor(query), ops.convert_to_tensor([[i]]))
        second = rotate(ops.convert_to_tensor(key), ops.convert_to_tensor([[j]]))
        return float(ops.sum(first * second))

    assert product(3, 1) == pytest.approx(product(12, 10), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_far_positions_in_half_precision(dtype, rng):
    """Angles are float32: in float16 a position above 2048 would be rounded."""
    x = rng.normal(size=(1, 1, 1, 4)).astype("float32")
    half = ops.cast(ops.convert_to_tensor(x), dtype)
    found = rotate(half, ops.convert_to_tensor([[4099]]))
    assert ops.dtype(found) == dtype
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    np.testing.assert_allclose(found, turned(x, np.array([[4099]])), atol=0.02)
