"""What is known of an atom and of a bond: one-hot choices and flags, in fixed order."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Feature(NamedTuple):
    """One-hot among `choices`, the last of which stands for all others.

    Without choices it is a number of its own, such as a flag.
    """

    name: str
    read: Callable[[Any], Any]
    choices: tuple[Any, ...] = ()

    @property
    def width(self) -> int:
        return len(self.choices) or 1

    def write(self, thing: Any, row: np.ndarray) -> None:
        value = self.read(thing)
        if not self.choices:
            row[0] = value
            return
        known = value in self.choices
        row[self.choices.index(value) if known else -1] = 1.0


ELEMENTS = (
    *("C", "N", "O", "S", "F", "Cl", "Br", "I", "P", "B", "Si", "Se", "Na", "K"),
    *("Ca", "Mg", "Li", "Al", "Fe", "Zn", "Cu", "Hg", "As", "Sn", "H", "other"),
)

ATOM_FEATURES = (
    Feature("element", lambda atom: atom.GetSymbol(), ELEMENTS),
    Feature("neighbours", lambda atom: atom.GetDegree(), (0, 1, 2, 3, 4, 5, "more")),
    Feature("hydrogens", lambda atom: atom.GetTotalNumHs(), (0, 1, 2, 3, "more")),
    Feature("charge", lambda atom: atom.GetFormalCharge(), (-1, 0, 1, "other")),
    Feature(
        "hybridization",
        lambda atom: str(atom.GetHybridization()),
        ("SP", "SP2", "SP3", "SP3D", "SP3D2", "other"),
    ),
    Feature(
        "chirality",
        lambda atom: atom.GetPropsAsDict(True, True).get("_CIPCode"),
        ("R", "S", "none"),
    ),
    Feature("radical", lambda atom: atom.GetNumRadicalElectrons()),
    Feature("aromatic", lambda atom: atom.GetIsAromatic()),
    Feature("in a ring", lambda atom: atom.IsInRing()),
    Feature("mass / 100", lambda atom: atom.GetMass() / 100.0),
)

BOND_FEATURES = (
    Feature(
        "order",
        lambda bond: str(bond.GetBondType()),
        ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC", "other"),
    ),
    Feature(
        "stereo",
        lambda bond: str(bond.GetStereo()),
        ("STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "none"),
    ),
    Feature("conjugated", lambda bond: bond.GetIsConjugated()),
    Feature("in a ring", lambda bond: bond.IsInRing()),
)


def width(features: Sequence[Feature]) -> int:
    """The numbers that all features take together."""
    return sum(feature.width for feature in features)


def names(features: Sequence[Feature]) -> list[str]:
    """What each number is, such as `"element=C"`."""
    return [
        f"{feature.name}={choice}" if feature.choices else feature.name
        for feature in features
        for choice in feature.choices or ("",)
    ]


def table(things: Sequence[Any], features: Sequence[Feature]) -> np.ndarray:
    """A row of float32 numbers for each atom or bond."""
    rows = np.zeros((len(things), width(features)), "float32")
    for row, thing in zip(rows, things, strict=True):
        start = 0
        for feature in features:
            feature.write(thing, row[start : start + feature.width])
            start += feature.width
    return rows
