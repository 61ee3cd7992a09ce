"""Products with much wider or mostly empty left sides are plain products."""

import numpy as np
import pytest
from keras import ops

from keras_attn.data import sparse_features
from keras_attn.ops.graph.sparse_features import sparse_product
from keras_attn.ops.graph.wide_product import wide_product
from tests.comparison import assert_same
from tests.gradients import MODES, gradients, in_mode, weighted_sum


@pytest.fixture
def matrices(rng):
    """The first row of the left one is empty, and so is its last column."""
    left = np.where(rng.random((5, 9)) > 0.6, rng.normal(size=(5, 9)), 0.0)
    left[0] = left[:, -1] = 0.0
    return left.astype("float32"), rng.normal(size=(9, 3)).astype("float32")


@pytest.mark.parametrize("mode", MODES)
def test_a_wide_product_and_its_gradients(matrices, mode):
    left, right = matrices
    tensors = [ops.convert_to_tensor(x) for x in matrices]
    assert_same(in_mode(wide_product, mode)(*tensors), left @ right)
    found = gradients(lambda *x: weighted_sum(wide_product(*x)), matrices, mode=mode)
    slopes = np.cos(np.arange(15, dtype="float64")).reshape(5, 3)
    assert_same(found, [slopes @ right.T, left.T @ slopes])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mirrored", [True, False])
def test_a_sparse_product_and_its_gradients(matrices, mode, mirrored):
    left, right = matrices
    features = sparse_features(left, width=2)
    indices = ops.convert_to_tensor(features["indices"])
    back = None
    if mirrored:
        back = [
            ops.convert_to_tensor(features[name])
            for name in ("back_slots", "back_features")
        ]

    def product(values, kernel):
        return sparse_product(indices, values, kernel, back)

    tensors = [ops.convert_to_tensor(x) for x in (features["values"], right)]
    assert_same(in_mode(product, mode)(*tensors), left @ right)
    found = gradients(lambda *x: weighted_sum(product(*x)), tensors, mode=mode)
    slopes = np.cos(np.arange(15, dtype="float64")).reshape(5, 3)
    kept = features["indices"] >= 0
    rows = np.nonzero(kept)[0]
    of_values = np.zeros(kept.shape)
    of_values[kept] = (slopes @ right.T)[rows, features["indices"][kept]]
    assert_same(found, [of_values, left.T @ slopes])


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_feature_adds_nothing(matrices, mode):
    _, right = matrices
    indices = np.array([[-1, 9, 3], [400, 2, -8]], "int32")
    values = np.array([[np.nan, np.inf, 2.0], [1e30, 3.0, np.nan]], "float32")
    tensors = [ops.convert_to_tensor(x) for x in (indices, values, right)]
    found = in_mode(sparse_product, mode)(*tensors)
    assert_same(found, np.stack([2 * right[3], 3 * right[2]]))
