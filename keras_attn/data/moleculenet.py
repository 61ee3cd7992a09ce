"""MoleculeNet: solubility, toxicity and other properties of small molecules."""

import csv
import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keras_attn.data.fetch import fetch, open_content

ADDRESS = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/"


class Source(NamedTuple):
    """A file, and what to read from it.

    file: Name of the file.
    public: Name at the public address.
    sha256: SHA-256 of the uncompressed content of the file's best known edition.
    tasks: Columns of the targets.
    """

    file: str
    public: str
    sha256: str
    tasks: tuple[str, ...]


SOURCES = {
    "esol": Source(
        "delaney-processed.csv.gz",
        "delaney-processed.csv",
        "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
        ("measured log solubility in mols per litre",),
    ),
    "tox21": Source(
        "tox21.csv.gz",
        "tox21.csv.gz",
        "b58cc1f683e78e3c7a1bf7116e9aac0119804018d100f7b8cdb0857941c31aca",
        (
            *("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD"),
            *("NR-PPAR-gamma", "SR-ARE", "SR-ATAD5", "SR-HSE", "SR-MMP", "SR-p53"),
        ),
    ),
    "bbbp": Source(
        "bbbp.csv.gz",
        "BBBP.csv",
        "a61e17872cbec0743a6147dc802a1f7550acfe8dc1053f881f4c42a3ce2dc597",
        ("p_np",),
    ),
    "clintox": Source(
        "clintox.csv.gz",
        "clintox.csv",
        "cc561402d058a0d996a9f5e5d02bc20f6652b7003525b32c3598b8da4b24e9b7",
        ("FDA_APPROVED", "CT_TOX"),
    ),
}


class MoleculeNet(NamedTuple):
    """Molecules and what was measured of them.

    smiles: List of strings, as they are in the file; some are no molecules.
    targets: Float32 array `(molecules, tasks)`, NaN where nothing was measured.
    tasks: Names of the tasks.
    """

    smiles: list[str]
    targets: np.ndarray
    tasks: tuple[str, ...]


def load(name: str, sources: Mapping[str, Source] = SOURCES) -> MoleculeNet:
    """Loads one data set of MoleculeNet.

    | name | molecules | tasks |
    |---|---|---|
    | `"esol"` | 1,128 | logarithm of the solubility in water, in mol per litre |
    | `"tox21"` | 7,831 | 12 toxic effects, 1 or 0, many of them missing |
    | `"bbbp"` | 2,039 | passes from blood to brain, 1 or 0 |
    | `"clintox"` | 1,478 | approved by the FDA, failed as toxic; 1 or 0 |

    Editions of the files differ in their columns and by some rows; they are read by
    the names of the columns. The content counted above has known digests. Of what the
    public address serves none is published: it is taken as it comes, with a warning,
    and held to that later.

    Args:
        name: String, one of the names above.
        sources: Mapping of names to files. The default is that of the public files.

    Returns:
        `MoleculeNet`.

    Raises:
        ValueError: If there is no such data set, or its file lacks a column or has a
            target that is not a number.
        FetchError: If the file cannot be had or is not the expected one.

    Example:

    ```python
    smiles, targets, tasks = moleculenet.load("tox21")
    ```

    Reference:

    - [Wu et al., 2018](https://arxiv.org/abs/1703.00564)
    """
    if name not in sources:
        raise ValueError(
            f"`name` must be one of {', '.join(sources)}. Received: name={name!r}"
        )
    source = sources[name]
    path = fetch(
        f"moleculenet/{source.file}",
        ADDRESS + source.public,
        source.sha256,
        uncompressed=True,
        other_edition=True,
    )
    with open_content(path) as file:
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        missing = {"smiles", *source.tasks} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(
                f"`{path}` must have the columns {sorted(missing)}. "
                f"Received: columns {rows.fieldnames}"
            )
        smiles, targets = [], []
        for row in rows:
            smiles.append(row["smiles"].strip())
            targets.append([_number(row[task], rows.line_num) for task in source.tasks])
    shaped = np.array(targets, "float32").reshape(len(smiles), len(source.tasks))
    return MoleculeNet(smiles, shaped, source.tasks)


def _number(text: str | None, line: int) -> float:
    """NaN for an empty field."""
    if not text:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"Line {line} has a target that is no number: {text!r}"
        ) from None
