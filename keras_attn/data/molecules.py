"""Molecules: from SMILES to graphs of atoms and bonds, by RDKit.

Atoms are nodes, hydrogens counted at their atom; each bond is two edges, one either
way, with the same features. Every number of a row, in this order:

| atom | numbers | |
|---|---|---|
| element | 26 | `molecules.ATOM_NAMES` lists them; the last is any other |
| neighbours | 7 | 0 to 5, more |
| hydrogens | 5 | 0 to 3, more |
| charge | 4 | -1, 0, 1, other |
| hybridization | 6 | sp, sp2, sp3, sp3d, sp3d2, other |
| chirality | 3 | R, S, none |
| radical | 1 | number of radical electrons |
| aromatic | 1 | |
| in a ring | 1 | |
| mass / 100 | 1 | in daltons |

| bond | numbers | |
|---|---|---|
| order | 5 | single, double, triple, aromatic, other |
| stereo | 5 | Z, E, cis, trans, none |
| conjugated | 1 | |
| in a ring | 1 | |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data._molecule_features import (
    ATOM_FEATURES,
    BOND_FEATURES,
    names,
    table,
    width,
)
from keras_attn.data.graph import Graph
from keras_attn.data.graph_collation import pad_graphs

ATOM_WIDTH = width(ATOM_FEATURES)
BOND_WIDTH = width(BOND_FEATURES)
ATOM_NAMES = tuple(names(ATOM_FEATURES))
BOND_NAMES = tuple(names(BOND_FEATURES))


class SmilesError(ValueError):
    """A SMILES string that is no molecule."""


class Molecules(NamedTuple):
    """Molecules that were read, and what happened to the others.

    graphs: List of `Graph`.
    rows: Int array, the row that each graph comes from.
    errors: Dict from the rows that were skipped to what is wrong with them.
    """

    graphs: list[Graph]
    rows: np.ndarray
    errors: dict[int, str]


def featurize(smiles: str) -> Graph:
    """Turns a SMILES string into a graph of atoms and bonds.

    Args:
        smiles: String. The atoms are numbered as they come in it.

    Returns:
        `Graph` with `nodes` of shape `(atoms, ATOM_WIDTH)`, `edges` of shape `(2 *
        bonds, 2)` and `edge_features` of shape `(2 * bonds, BOND_WIDTH)`.

    Raises:
        SmilesError: If RDKit cannot read it, or it has no atom.
        ImportError: If RDKit is not installed.

    Example:

    ```python
    ethanol = featurize("CCO")
    ethanol.num_nodes, ethanol.num_edges  # 3, 4
    ```
    """
    return _graph(parse(smiles))


def featurize_all(
    smiles: Sequence[str], targets: Any = None, on_error: str = "raise"
) -> Molecules:
    """Turns many SMILES strings into graphs.

    Args:
        smiles: Strings.
        targets: Optional array with a row for each string, which its graph carries.
        on_error: `"raise"` stops at the first string that is no molecule; `"skip"`
            leaves such strings out and says which and why.

    Returns:
        `Molecules`.

    Raises:
        SmilesError: If a string is no molecule, with its row.
        ValueError: If an argument has the wrong length or value.
        ImportError: If RDKit is not installed.

    Example:

    ```python
    graphs, rows, errors = featurize_all(["CCO", "C1CC"], on_error="skip")
    len(graphs), rows.tolist(), list(errors)  # 1, [0], [1]
    ```
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(
            f'`on_error` must be "raise" or "skip". Received: on_error={on_error!r}'
        )
    if isinstance(smiles, str):
        raise ValueError(f"`smiles` must be several strings. Received: {smiles!r}")
    if targets is not None and len(targets) != len(smiles):
        raise ValueError(
            "`targets` must have a row for each of `smiles`. "
            f"Received: {len(targets)} rows for {len(smiles)} strings"
        )
    graphs, rows, errors = [], [], {}
    for row, text in enumerate(smiles):
        try:
            molecule = parse(text)
        except SmilesError as error:
            if on_error == "raise":
                raise SmilesError(f"Row {row}: {error}") from None
            errors[row] = str(error)
            continue
        graphs.append(_graph(molecule, None if targets is None else targets[row]))
        rows.append(row)
    return Molecules(graphs, np.array(rows, "int64"), errors)


def serving_inputs(graphs: Sequence[Graph]) -> dict[str, np.ndarray]:
    """Makes the request that a served `MolecularGraphNet` takes.

    Args:
        graphs: Graphs of molecules, at least one.

    Returns:
        Dict of `nodes`, `edges`, `edge_features`, padded to the largest graph, edges
        with receiver -1, and `lengths`, int32 `(graphs,)`, how many atoms each has.

    Example:

    ```python
    client.predict(serving_inputs([featurize("CCO"), featurize("c1ccccc1")]))
    ```
    """
    # A server that pads wants an element to pad with, also where there are no bonds.
    most = max((graph.num_edges for graph in graphs), default=0)
    inputs = pad_graphs(graphs, num_edges=max(most, 1))
    lengths = inputs.pop("nodes_mask").sum(axis=1, dtype="int32")
    return {**inputs, "lengths": lengths}


def parse(smiles: str) -> Any:
    """Reads a SMILES string as RDKit's molecule, with the reason if it cannot.

    Args:
        smiles: String.

    Returns:
        `rdkit.Chem.Mol`, its atoms in the order of the string.

    Raises:
        SmilesError: If RDKit cannot read it, or it has no atom.
        ImportError: If RDKit is not installed.
    """
    if not isinstance(smiles, str):
        raise SmilesError(f"A SMILES must be a string. Received: {smiles!r}")
    chem = import_extra("rdkit.Chem", "graphs")
    with import_extra("rdkit.rdBase", "graphs").BlockLogs():  # it would print
        molecule = chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None:
            raise SmilesError(f"{smiles!r} does not follow the grammar of SMILES.")
        if not molecule.GetNumAtoms():
            raise SmilesError(f"{smiles!r} has no atoms.")
        try:
            chem.SanitizeMol(molecule)
        except ValueError as error:  # RDKit's own errors are of this kind
            raise SmilesError(f"{smiles!r} is no molecule: {error}") from None
        # As MolFromSmiles does, which says less of what is wrong.
        chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
        return chem.RemoveHs(molecule)


def _graph(molecule: Any, targets: Any = None) -> Graph:
    bonds = list(molecule.GetBonds())
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    there = np.array(ends, "int32").reshape(-1, 2)
    features = table(bonds, BOND_FEATURES)
    return Graph(
        nodes=table(list(molecule.GetAtoms()), ATOM_FEATURES),
        edges=np.concatenate([there, there[:, ::-1]]),
        edge_features=np.concatenate([features, features]),
        targets=targets,
    )
