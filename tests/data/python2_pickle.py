"""Pickles as NumPy and SciPy wrote them under Python 2, made without either's help."""

import pickle
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np


class Call:
    """An object that a pickle makes by calling `module.name(*arguments)`.

    It may be given a state, or items of a dictionary, after that.
    """

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments
        self.state, self.items = None, {}

    @classmethod
    def reference(cls, module, name):
        """The name alone, without a call."""
        made = cls(module, name)
        made.arguments = None
        return made


@dataclass
class NewObject:
    """An object that a pickle makes empty, and then gives a state."""

    module: str
    name: str
    state: Any


def dump_array(array):
    return dumps(_array(array))


def dump_rows(dense):
    """A sparse matrix in compressed rows."""
    rows, columns = np.nonzero(dense)
    state = {
        "_shape": dense.shape,
        "data": _array(dense[rows, columns]),
        "indices": _array(columns.astype("int32")),
        "indptr": _array(
            np.searchsorted(rows, np.arange(len(dense) + 1)).astype("int32")
        ),
        "maxprint": 50,
    }
    return dumps(NewObject("scipy.sparse.csr", "csr_matrix", state))


def dumps(value):
    return pickle.PROTO + b"\x02" + _encode(value) + pickle.STOP


def _array(array):
    array = np.asarray(array)
    dtype = Call("numpy", "dtype", array.dtype.str[1:], 0, 1)
    dtype.state = (3, array.dtype.str[0], None, None, None, -1, -1, 0)
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    kind = Call.reference("numpy", "ndarray")
    made = Call("numpy.core.multiarray", "_reconstruct", kind, (0,), b"b")
    made.state = (1, array.shape, dtype, is_fortran, array.tobytes("A"))
    return made


def _encode(value):
    if value is None:
        return pickle.NONE
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, str | bytes):  # a string of Python 2, of unknown encoding
        content = value.encode() if isinstance(value, str) else value
        return pickle.BINSTRING + struct.pack("<i", len(content)) + content
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(_encode, value)) + pickle.TUPLE
    if isinstance(value, list):
        content = b"".join(map(_encode, value))
        return pickle.EMPTY_LIST + pickle.MARK + content + pickle.APPENDS
    if isinstance(value, dict):
        return pickle.EMPTY_DICT + _items(value)
    name = pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode()
    if isinstance(value, NewObject):
        return name + _encode(()) + pickle.NEWOBJ + _encode(value.state) + pickle.BUILD
    if value.arguments is None:
        return name
    made = name + _encode(value.arguments) + pickle.REDUCE
    if value.state is not None:
        made += _encode(value.state) + pickle.BUILD
    return made + (_items(value.items) if value.items else b"")


def _items(mapping):
    content = b"".join(_encode(k) + _encode(v) for k, v in mapping.items())
    return pickle.MARK + content + pickle.SETITEMS
