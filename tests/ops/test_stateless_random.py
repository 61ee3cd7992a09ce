"""The bits are tested with the dropout that is made of them."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_attn.ops import stateless_random
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, in_mode

SIZE = 1 << 17
DISTRIBUTIONS = {
    "random_uniform": stats.uniform(),
    "random_normal": stats.norm(),
    "random_gumbel": stats.gumbel_r(),
}


def draw(name, first=1, second=1, index=0, shape=(SIZE,)):
    seed = ops.convert_to_tensor(np.array([first, second], "uint32"))
    return ops.convert_to_numpy(getattr(stateless_random, name)(seed, index, shape))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_have_the_distribution(name):
    numbers = draw(name, shape=(4, SIZE // 4)).ravel()
    found = stats.kstest(numbers, DISTRIBUTIONS[name].cdf)
    assert found.pvalue > 1e-4


def test_uniform_numbers_are_never_zero_nor_one(monkeypatch):
    """Not even where all bits are alike."""
    for bits in (0, 2**32 - 1):
        every = ops.convert_to_tensor(np.array([bits], "uint32"))
        monkeypatch.setattr(stateless_random, "random_bits", lambda *_, x=every: x)
        assert 0.0 < draw("random_uniform")[0] < 1.0
        assert np.isfinite(draw("random_gumbel")).all()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("stride", [1, 2, 64, 1024, SIZE // 2])
def test_numbers_of_any_distance_are_independent(name, stride):
    numbers = draw(name)
    assert stats.pearsonr(numbers[stride:], numbers[:-stride]).pvalue > 1e-4


@pytest.mark.parametrize("other", [{"first": 2}, {"second": 2}, {"index": 1}], ids=str)
def test_other_seeds_and_indices_are_independent(other):
    both = draw("random_normal"), draw("random_normal", **other)
    assert stats.pearsonr(*both).pvalue > 1e-4


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_mode_draws_the_same_numbers(name):
    def function(seed):
        return getattr(stateless_random, name)(seed, 1, (32, 7))

    seed = ops.convert_to_tensor(np.array([5, 6], "uint32"))
    expected = function(seed)
    for mode in MODES:
        assert_same(in_mode(function, mode)(seed), expected)


@pytest.mark.skipif(BACKEND != "torch", reason="only torch has such tensors")
def test_a_seed_without_data_says_the_shape():
    import torch

    seed = torch.empty((2,), dtype=torch.int32, device="meta")
    numbers = stateless_random.random_bits(seed, 0, (2, 3))
    assert numbers.shape == (2, 3) and numbers.device.type == "meta"
