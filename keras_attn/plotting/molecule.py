"""Molecules as drawings, their atoms coloured by what each contributes."""

import io
from typing import Any

import numpy as np

from keras_attn.plotting.attention import _pyplot

PIXELS = 600  # of the wider side, enough for a figure of four inches
ATOM_RADIUS = 0.35  # in bond lengths, so that neighbours do not overlap


def molecule_map(
    smiles: str, weights: Any, ax: Any = None, cmap: str | None = None
) -> Any:
    """Draws a molecule with every atom on a disc of the colour of its weight.

    The colours span the largest weight in either direction, so that zero is in the
    middle of a diverging map; weights without a sign, such as attention, start at
    zero.

    Args:
        smiles: String.
        weights: Array of shape `(atoms,)`, in the order of the string, as
            `keras_attn.data.molecules` numbers atoms.
        ax: The matplotlib axes to draw on. A figure is made if None.
        cmap: String, the name of matplotlib's colour map. Defaults to a diverging one
            if any weight is negative, else to one from white to green.

    Returns:
        The axes; `ax.figure.savefig(path)` writes the picture.

    Raises:
        SmilesError: If the string is no molecule.
        ValueError: If the weights are not finite or not one for each atom.
        ImportError: If RDKit or matplotlib is not installed.

    Example:

    ```python
    ax = molecule_map("CCO", [0.1, -0.2, 0.9])
    ax.figure.savefig("ethanol.png")
    ```
    """
    from keras_attn.data.molecules import parse

    molecule = parse(smiles)
    weights, atoms = np.asarray(weights, "float64"), molecule.GetNumAtoms()
    if weights.shape != (atoms,) or not np.all(np.isfinite(weights)):
        raise ValueError(
            f"`weights` must be finite, one for each of {atoms} atoms. "
            f"Received: weights={weights}"
        )
    plt = _pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=(4, 4), layout="constrained")
    ax.imshow(_drawing(plt, molecule, atom_colors(plt, weights, cmap)))
    ax.set_axis_off()
    return ax


def atom_colors(plt: Any, weights: np.ndarray, cmap: str | None = None) -> np.ndarray:
    """Returns a row of red, green and blue for each weight."""
    largest = np.abs(weights).max(initial=0.0) or 1.0
    signed = bool((weights < 0).any())
    places = (weights / largest + 1) / 2 if signed else weights / largest
    return plt.get_cmap(cmap or ("PiYG" if signed else "Greens"))(places)[:, :3]


def _drawing(plt: Any, molecule: Any, colors: np.ndarray) -> np.ndarray:
    from rdkit.Chem.Draw import rdMolDraw2D

    drawer = rdMolDraw2D.MolDraw2DCairo(PIXELS, PIXELS)
    options: Any = drawer.drawOptions()
    options.highlightRadius = ATOM_RADIUS
    atoms = range(len(colors))
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer,
        molecule,
        highlightAtoms=list(atoms),
        highlightAtomColors={i: tuple(map(float, colors[i])) for i in atoms},
        highlightBonds=[],
    )
    drawer.FinishDrawing()
    return plt.imread(io.BytesIO(drawer.GetDrawingText()))
