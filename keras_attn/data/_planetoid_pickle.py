"""The pickles of Planetoid, read without running what they name.

A pickle may name any function of any module and have it called. Those of Planetoid,
written by Python 2, need a sparse matrix, arrays and a dictionary of lists. Passive
records stand in for the first two, so that nothing of NumPy or SciPy is called with
arguments from the file; any other name is refused.
"""

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

NUMBER_KINDS = "biuf"


class _Dtype:
    """Stands for `numpy.dtype(name, align, copy)`."""

    def __init__(self, name: str, *flags: int):
        self.name = name

    def __setstate__(self, state: tuple) -> None:
        self.byte_order = state[1]

    def resolve(self) -> np.dtype:
        dtype = np.dtype(str(self.name))
        if dtype.kind not in NUMBER_KINDS:
            raise pickle.UnpicklingError(
                f"An array of {self.name!r} is not of numbers."
            )
        return dtype.newbyteorder(">") if self.byte_order == ">" else dtype


class _Array:
    """Stands for `numpy.ndarray`."""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.is_fortran, self.content = state

    def resolve(self) -> np.ndarray:
        flat = np.frombuffer(self.content.encode("latin1"), self.dtype.resolve())
        return flat.reshape(self.shape, order="F" if self.is_fortran else "C")


class _SparseRows:
    """Stands for `scipy.sparse.csr_matrix`."""

    def __setstate__(self, state: dict) -> None:
        self.state = state

    def resolve(self) -> np.ndarray:
        starts, columns, values = (
            self.state[name].resolve() for name in ("indptr", "indices", "data")
        )
        dense = np.zeros(self.state["_shape"], values.dtype)
        rows = np.repeat(np.arange(len(dense)), np.diff(starts))
        np.add.at(dense, (rows, columns), values)  # SciPy adds up duplicates, too
        return dense


def _empty_array(subtype: type, shape: tuple, typecode: str) -> _Array:
    """Stands for `numpy.core.multiarray._reconstruct`; the state follows."""
    return _Array()


ALLOWED: dict[tuple[str, str], Any] = {
    ("__builtin__", "list"): list,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("scipy.sparse.csr", "csr_matrix"): _SparseRows,
}


class _PlanetoidUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"The pickle names {module}.{name}.")
        return ALLOWED[module, name]


def read_pickle(path: Path) -> Any:
    """Reads an array, a sparse matrix (as an array) or a dictionary of lists.

    Args:
        path: Path of the file.

    Returns:
        The array, or the dictionary.

    Raises:
        pickle.UnpicklingError: If the file names anything else, or is damaged.
    """
    with open(path, "rb") as file:
        try:
            # Python 2 wrote its strings, and the bytes of arrays, without encoding.
            content = _PlanetoidUnpickler(
                file, fix_imports=False, encoding="latin1"
            ).load()
            is_record = isinstance(content, _Array | _SparseRows)
            return content.resolve() if is_record else content
        except Exception as error:
            raise pickle.UnpicklingError(
                f"`{path}` is not a pickle of numbers, and was not run: {error}"
            ) from error
