"""Drawings of molecules, read back from the pixels."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("rdkit")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from keras_attn.data.molecules import SmilesError  # noqa: E402
from keras_attn.plotting import molecule_map  # noqa: E402
from keras_attn.plotting.molecule import atom_colors  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pixels(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())[..., :3]


def share_of(ax, color):
    """How much of the picture has a colour, up to the rounding to bytes."""
    return float((np.abs(pixels(ax) - color).max(axis=-1) < 0.01).mean())


def test_each_atom_has_the_colour_of_its_weight():
    weights = np.array([0.25, 0.5, 1.0])
    ax = molecule_map("CCO", weights)
    colors = atom_colors(plt, weights)
    np.testing.assert_allclose(colors, plt.get_cmap("Greens")(weights)[:, :3])
    for color in colors:
        assert share_of(ax, color) > 0.005
    assert share_of(ax, plt.get_cmap("Greens")(0.75)[:3]) == 0.0
    assert not ax.axison


def test_atoms_are_numbered_as_in_the_string():
    """Only oxygen has letters, black ones in the disc that it stands on."""
    ink = []
    for atom in range(3):
        image = pixels(molecule_map("CCO", 0.5 * np.eye(3)[atom] + 0.5))
        green = plt.get_cmap("Greens")(1.0)[:3]
        disc = np.argwhere(np.abs(image - green).max(axis=-1) < 0.01)
        (top, left), (bottom, right) = disc.min(axis=0), disc.max(axis=0)
        ink.append(int((image[top:bottom, left:right].max(axis=-1) < 0.01).sum()))
    assert ink[2] > 2 * max(ink[:2])


def test_signs_part_at_the_middle_of_the_map():
    colors = atom_colors(plt, np.array([-0.2, 0.0, 0.1]))
    expected = plt.get_cmap("PiYG")([0.0, 0.5, 0.75])[:, :3]
    np.testing.assert_allclose(colors, expected)
    chosen = atom_colors(plt, np.array([0.0, 2.0]), "viridis")
    np.testing.assert_allclose(chosen, plt.get_cmap("viridis")([0.0, 1.0])[:, :3])


def test_draws_on_the_axes_given_and_where_nothing_counts():
    _, ax = plt.subplots()
    assert molecule_map("C", [0.0], ax=ax) is ax
    assert share_of(ax, (1.0, 1.0, 1.0)) > 0.5


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, np.nan], [[1.0, 2.0, 3.0]]])
def test_refuses_weights_that_do_not_fit(weights):
    with pytest.raises(ValueError, match="one for each of 3 atoms"):
        molecule_map("CCO", weights)


def test_refuses_what_is_no_molecule():
    with pytest.raises(SmilesError, match="'C1' does not follow"):
        molecule_map("C1", [1.0])
