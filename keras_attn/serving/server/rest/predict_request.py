"""The JSON of a Predict request: rows or columns, as arrays by name of the input."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.serving.server.rest.json_faults import (
    find_fault,
    find_fault_in_rows,
    is_object,
)
from keras_attn.serving.server.rest.json_reader import read_json
from keras_attn.serving.server.rest.json_tensors import to_array
from keras_attn.serving.server.rest.json_text import show
from keras_attn.serving.server.status import StatusError, invalid_argument


def read_document(body: bytes) -> dict[str, Any]:
    """Reads the object that every request is.

    Raises:
        StatusError: It is no JSON, or something else.
    """
    document = read_json(body)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def read_signature_name(document: dict[str, Any]) -> str:
    """The signature asked for, empty for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise format_error(
            document,
            "not formatted correctly. 'signature_name' key must be a string value.",
        )
    return name


def format_error(value: Any, problem: str) -> StatusError:
    return invalid_argument(f"JSON Value: {show(value)} {problem}")


def read_inputs(
    document: dict[str, Any], infos: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the tensors of a request.

    Args:
        document: The request.
        infos: The inputs of the signature, `TensorInfo` by name.

    Returns:
        `(arrays, in_rows)`; an answer takes the form of its request.

    Raises:
        StatusError: With TF Serving's code and text.
    """
    types = {name: infos[name].dtype for name in sorted(infos)}
    if "instances" in document:
        if "inputs" in document:
            raise format_error(
                document,
                "Not formatted correctly expecting only one of 'inputs' or "
                "'instances' keys to exist ",
            )
        rows = document["instances"]
        if not isinstance(rows, list):
            problem = "Excepting 'instances' to be an list/array"
            raise format_error(document, problem)
        if not rows:
            raise format_error(document, "No values in 'instances' array")
        return _read_rows(rows, types), True
    if "inputs" not in document:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    return _read_columns(document["inputs"], types), False


def _read_rows(rows: list, types: dict[str, int]) -> dict[str, np.ndarray]:
    if len(types) > 1 and not isinstance(rows[0], dict):
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if not is_object(rows[0]):
        columns = {next(iter(types)): rows}
    elif all(is_object(row) and row.keys() == types.keys() for row in rows):
        columns = {name: [row[name] for row in rows] for name in types}
    else:
        raise find_fault_in_rows(rows, types)
    arrays = {}
    for name, column in columns.items():
        array = to_array(column, types[name])
        if array is None:
            raise find_fault_in_rows(rows, types)
        arrays[name] = array
    return arrays


def _read_columns(columns: Any, types: dict[str, int]) -> dict[str, np.ndarray]:
    if not is_object(columns):
        if len(types) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        columns = {next(iter(types)): columns}
    arrays = {}
    for name, number in types.items():
        if name not in columns:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        array = to_array(columns[name], number)
        if array is None:
            raise find_fault(columns[name], name, number)
        arrays[name] = array
    return arrays
