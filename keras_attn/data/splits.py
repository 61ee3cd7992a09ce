"""Training, validation and test rows, by chance or by the scaffolds of molecules."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data.molecules import parse

FRACTIONS = (0.8, 0.1, 0.1)


class Split(NamedTuple):
    """Row numbers of the three parts, which share none and leave none out."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def random_split(
    count: int, fractions: Sequence[float] = FRACTIONS, seed: int = 0
) -> Split:
    """Divides rows by chance.

    Args:
        count: Integer, number of rows.
        fractions: Three shares that sum to one.
        seed: Integer, the seed of the order.

    Returns:
        `Split`, the parts in random order.

    Raises:
        ValueError: If the shares are none.

    Example:

    ```python
    train, validation, test = random_split(1128, seed=1)
    ```
    """
    first, second = _ends(count, fractions)
    order = np.random.default_rng(seed).permutation(count)
    return Split(order[:first], order[first:second], order[second:])


def scaffold_split(
    smiles: Sequence[str],
    fractions: Sequence[float] = FRACTIONS,
    seed: int | None = None,
) -> Split:
    """Divides molecules so that no scaffold is in two parts.

    A scaffold (Bemis and Murcko) is what is left of a molecule without its side chains;
    molecules without rings have the empty one in common. Groups of molecules with one
    scaffold go to the training part while they fit, then to the validation part while
    they fit, then to the test part: the largest first, which is the split of
    MoleculeNet, or in random order with a seed, the groups that would fill more than
    half of a later part still first.

    Args:
        smiles: Strings that are molecules, as `featurize_all` has kept them.
        fractions: Three shares that sum to one; the parts come near them.
        seed: Optional integer, the seed of the order.

    Returns:
        `Split`, each part in rising order.

    Raises:
        SmilesError: If a string is no molecule.
        ValueError: If the shares are none.
        ImportError: If RDKit is not installed.

    Example:

    ```python
    train, validation, test = scaffold_split(smiles)
    ```

    Reference:

    - [Bemis & Murcko, 1996](https://doi.org/10.1021/jm9602928)
    - [Wu et al., 2018](https://arxiv.org/abs/1703.00564)
    """
    first, second = _ends(len(smiles), fractions)
    groups = defaultdict(list)
    for row, text in enumerate(smiles):
        groups[scaffold(text)].append(row)
    ordered = sorted(groups.values(), key=lambda rows: (len(rows), rows[0]))[::-1]
    if seed is not None:
        most = min(second - first, len(smiles) - second) / 2
        large = [rows for rows in ordered if len(rows) > most]
        small = [rows for rows in ordered if len(rows) <= most]
        order = np.random.default_rng(seed).permutation(len(small))
        ordered = large + [small[i] for i in order]
    train: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for rows in ordered:
        if len(train) + len(rows) <= first:
            train += rows
        elif len(train) + len(validation) + len(rows) <= second:
            validation += rows
        else:
            test += rows
    return Split(
        *(np.array(sorted(part), "int64") for part in (train, validation, test))
    )


def scaffold(smiles: str) -> str:
    """Returns the scaffold of a molecule as SMILES, empty if it has no rings."""
    murcko = import_extra("rdkit.Chem.Scaffolds.MurckoScaffold", "graphs")
    return murcko.MurckoScaffoldSmiles(mol=parse(smiles), includeChirality=False)


def _ends(count: int, fractions: Sequence[float]) -> tuple[int, int]:
    """Where the first and the second part end."""
    shares = tuple(fractions)
    whole = len(shares) == 3 and abs(sum(shares) - 1) < 1e-6
    if not whole or min(shares) < 0:
        raise ValueError(
            "`fractions` must be three shares that sum to one. "
            f"Received: fractions={fractions}"
        )
    # Without the small number, 0.8 + 0.1 of 10 would be less than 9.
    return int(shares[0] * count + 1e-6), int((shares[0] + shares[1]) * count + 1e-6)
