import numpy as np
import pytest

pytest.importorskip("rdkit")

from keras_attn.data.molecules import SmilesError
from keras_attn.data.splits import random_split, scaffold, scaffold_split

# Scaffolds of 5, 3, 2, 1 and 1 molecules and 4 without rings.
MOLECULES = [
    *("c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1", "CCc1ccccc1"),
    *("C1CCCCC1", "CC1CCCCC1", "OC1CCCCC1"),
    *("c1ccncc1", "Cc1ccncc1"),
    *("C1CC1", "c1ccoc1"),
    *("CCO", "CCC", "CN", "CC(=O)O"),
]


def assert_whole(split, count):
    rows = np.concatenate(split)
    assert sorted(rows.tolist()) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 10, 1128])
def test_a_random_split_leaves_nothing_out(count):
    split = random_split(count, seed=1)
    assert_whole(split, count)
    assert len(split.train) == count * 8 // 10
    assert len(split.validation) == count * 9 // 10 - count * 8 // 10


def test_the_seed_decides_on_a_random_split():
    first, again, other = (random_split(100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, again.test)
    assert set(first.test) != set(other.test)
    assert sorted(first.train) != list(range(80))  # it is no cut of the rows as given


def test_a_split_by_scaffolds_puts_the_largest_into_training():
    """16 molecules: 12 to train on, 2 to validate, 2 to test."""
    split = scaffold_split(MOLECULES, (0.75, 0.125, 0.125))
    assert_whole(split, 16)
    assert split.train.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]
    assert split.validation.tolist() == [8, 9]
    assert split.test.tolist() == [10, 11]


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_no_scaffold_is_in_two_parts(seed):
    split = scaffold_split(MOLECULES, (0.6, 0.2, 0.2), seed)
    assert_whole(split, 16)
    parts = [{scaffold(MOLECULES[row]) for row in part} for part in split]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert len(split.train) <= 9


def test_the_seed_decides_on_a_split_by_scaffolds():
    """Rings of twenty sizes; benzenes, as the largest group, are trained on anyway."""
    rings = [f"C1{'C' * size}1" for size in range(2, 22)] + MOLECULES[:5]
    splits = [scaffold_split(rings, (0.6, 0.2, 0.2), seed) for seed in (0, 0, 1, 2)]
    tests = [tuple(split.test.tolist()) for split in splits]
    assert tests[0] == tests[1]
    assert len(set(tests)) == 3
    for split in splits:
        assert {20, 21, 22, 23, 24} < set(split.train.tolist())
        assert [len(part) for part in split] == [15, 5, 5]


def test_scaffolds_are_those_of_bemis_and_murcko():
    assert scaffold("CC(=O)Oc1ccccc1C(=O)O") == "c1ccccc1"
    assert scaffold("c1ccc(CCc2ccncc2)cc1") == "c1ccc(CCc2ccncc2)cc1"
    assert scaffold("CCO") == ""
    assert scaffold("C[C@H]1CCCC[C@@H]1O") == "C1CCCCC1"


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.5, 0.1, 0.1), (1.2, -0.1, -0.1)])
def test_refuses_shares_that_are_none(fractions):
    with pytest.raises(ValueError, match="three shares that sum to one"):
        random_split(10, fractions)
    with pytest.raises(ValueError, match="three shares that sum to one"):
        scaffold_split(MOLECULES, fractions)


def test_refuses_what_is_no_molecule():
    with pytest.raises(SmilesError, match="'C1CC' does not follow"):
        scaffold_split(["CCO", "C1CC"])
