"""SMILES to graphs, checked by chemistry that everyone knows."""

import subprocess
import sys

import numpy as np
import pytest

chem = pytest.importorskip("rdkit.Chem")

from keras_attn.data import molecules  # noqa: E402
from keras_attn.data.molecules import (  # noqa: E402
    ATOM_NAMES,
    ATOM_WIDTH,
    BOND_NAMES,
    BOND_WIDTH,
    SmilesError,
    featurize,
    featurize_all,
    parse,
)


def said(row, names):
    """The one-hot choices and flags of a row, by name, and its numbers."""
    return {name for name, value in zip(names, row, strict=True) if value}


def number(row, name):
    return row[ATOM_NAMES.index(name)]


def test_ethanol():
    graph = featurize("CCO")
    methyl, _, oxygen = graph.nodes
    assert said(methyl, ATOM_NAMES) == {
        *("element=C", "neighbours=1", "hydrogens=3", "charge=0", "hybridization=SP3"),
        *("chirality=none", "mass / 100"),
    }
    assert {"element=O", "hydrogens=1"} < said(oxygen, ATOM_NAMES)
    assert number(oxygen, "mass / 100") == pytest.approx(0.15999, abs=1e-4)
    assert graph.edges.tolist() == [[0, 1], [1, 2], [1, 0], [2, 1]]
    for bond in graph.edge_features:
        assert said(bond, BOND_NAMES) == {"order=SINGLE", "stereo=none"}


def test_benzene_is_aromatic_all_around():
    graph = featurize("c1ccccc1")
    assert graph.nodes.shape == (6, ATOM_WIDTH)
    assert graph.edge_features.shape == (12, BOND_WIDTH)
    for atom in graph.nodes:
        expected = {"aromatic", "in a ring", "hybridization=SP2", "hydrogens=1"}
        assert expected < said(atom, ATOM_NAMES)
    for bond in graph.edge_features:
        expected = {"order=AROMATIC", "stereo=none", "conjugated", "in a ring"}
        assert said(bond, BOND_NAMES) == expected


@pytest.mark.parametrize(
    ("smiles", "atom", "expected"),
    [
        ("N[C@@H](C)C(=O)O", 1, "chirality=S"),
        ("N[C@H](C)C(=O)O", 1, "chirality=R"),
        ("[NH4+]", 0, "charge=1"),
        ("[NH4+]", 0, "hydrogens=more"),
        ("[O-2]", 0, "charge=other"),
        ("C#N", 0, "hybridization=SP"),
        ("S(F)(F)(F)(F)(F)F", 0, "neighbours=more"),
        ("S(F)(F)(F)(F)(F)F", 0, "hybridization=SP3D2"),
        ("[U]", 0, "element=other"),
        ("*C", 0, "element=other"),
        ("[CH3]", 0, "radical"),
    ],
)
def test_an_atom(smiles, atom, expected):
    assert expected in said(featurize(smiles).nodes[atom], ATOM_NAMES)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("F/C=C/F", {"order=DOUBLE", "stereo=STEREOE"}),
        ("F/C=C\\F", {"order=DOUBLE", "stereo=STEREOZ"}),
        ("FC#CF", {"order=TRIPLE", "stereo=none"}),
        ("N->[Fe]", {"order=other", "stereo=none"}),
    ],
)
def test_a_bond(smiles, expected):
    rows = [said(bond, BOND_NAMES) for bond in featurize(smiles).edge_features]
    assert rows.count(expected) == 2  # one either way


def test_every_choice_is_exclusive_and_every_bond_goes_both_ways():
    for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "C[N+](C)(C)CC(=O)[O-]"):
        graph = featurize(smiles)
        for rows, names in (
            (graph.nodes, ATOM_NAMES),
            (graph.edge_features, BOND_NAMES),
        ):
            features = {name.partition("=")[0] for name in names if "=" in name}
            for feature in features:
                columns = [n.partition("=")[0] == feature and "=" in n for n in names]
                np.testing.assert_array_equal(rows[:, columns].sum(axis=1), 1.0)
        half = graph.num_edges // 2
        np.testing.assert_array_equal(graph.edges[:half], graph.edges[half:, ::-1])
        np.testing.assert_array_equal(
            graph.edge_features[:half], graph.edge_features[half:]
        )


def test_the_documented_table_counts_right():
    for names, width in ((ATOM_NAMES, ATOM_WIDTH), (BOND_NAMES, BOND_WIDTH)):
        assert len(set(names)) == len(names) == width
    counts = {}
    for name in ATOM_NAMES + tuple(f"bond {name}" for name in BOND_NAMES):
        feature = name.partition("=")[0]
        counts[feature] = counts.get(feature, 0) + 1
    lines = [line.split("|") for line in molecules.__doc__.splitlines() if "|" in line]
    written = [
        (line[1].strip(), int(line[2])) for line in lines if line[2].strip().isdigit()
    ]
    assert sorted(written) == sorted(
        (name.removeprefix("bond "), count) for name, count in counts.items()
    )


def test_reads_what_rdkit_reads():
    """Hydrogens, isotopes, stereo: the canonical form is the same."""
    for smiles in ("[H]OC([H])([H])[H]", "[2H]O[2H]", "F/C=C/[C@H](N)O", "[H][H]"):
        expected = chem.MolToSmiles(chem.MolFromSmiles(smiles))
        assert chem.MolToSmiles(parse(smiles)) == expected


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("C1CC", "'C1CC' does not follow the grammar"),
        ("hello", "'hello' does not follow"),
        ("", "has no atoms"),
        ("CC(C)(C)(C)C", "is no molecule: Explicit valence for atom # 1 C"),
        ("c1cccc1", "is no molecule: Can't kekulize"),
        (None, "must be a string. Received: None"),
        (float("nan"), "must be a string. Received: nan"),
    ],
)
def test_says_what_is_wrong(smiles, message, capfd):
    with pytest.raises(SmilesError, match=message):
        featurize(smiles)
    assert capfd.readouterr() == ("", "")  # RDKit would print it


ROWS = ["CCO", "C1CC", "c1ccccc1", "", "[Na+].[Cl-]"]


def test_bad_rows_are_skipped_and_nothing_is_lost():
    targets = np.arange(10.0).reshape(5, 2)
    found = featurize_all(ROWS, targets, on_error="skip")
    assert found.rows.tolist() == [0, 2, 4]
    assert [graph.num_nodes for graph in found.graphs] == [3, 6, 2]
    assert [graph.targets.tolist() for graph in found.graphs] == [
        [0, 1],
        [4, 5],
        [8, 9],
    ]
    assert list(found.errors) == [1, 3]
    assert "grammar" in found.errors[1] and "no atoms" in found.errors[3]


def test_bad_rows_are_raised_with_their_number():
    with pytest.raises(SmilesError, match="Row 1: 'C1CC' does not follow"):
        featurize_all(ROWS)


def test_refuses_arguments_that_mean_nothing():
    with pytest.raises(ValueError, match="on_error='ignore'"):
        featurize_all(ROWS, on_error="ignore")
    with pytest.raises(ValueError, match="2 rows for 5 strings"):
        featurize_all(ROWS, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="several strings"):
        featurize_all("CCO")
    assert featurize_all([]).graphs == []


def test_the_extra_is_named_where_rdkit_is_missing():
    program = (
        "import sys\n"
        "sys.modules['rdkit'] = sys.modules['rdkit.Chem'] = None\n"
        "from keras_attn.data import molecules\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))\n"
        "molecules.featurize('CCO')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout == "set()\n"
    assert 'pip install "keras_attn[graphs]"' in done.stderr
