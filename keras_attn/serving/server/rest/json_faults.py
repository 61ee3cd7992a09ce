"""What is wrong with a JSON value that is no tensor, in TF Serving's words.

It reads values one by one, in document order, and tells of the first fault; this is
slow and happens only to requests that are refused.
"""

from typing import Any

from keras_attn.serving.server.rest.json_tensors import (
    MOST_DIMENSIONS,
    is_base64,
    is_supported,
    to_array,
    to_bytes,
)
from keras_attn.serving.server.rest.json_text import show, type_name
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    unimplemented,
)
from keras_attn.serving.wire.tensors import BY_NUMBER


def find_fault(value: Any, alias: str, type_number: int) -> StatusError:
    """Why a value is no tensor of the type."""
    try:
        check(value, type_number)
    except StatusError as fault:
        return fault
    return invalid_argument(f"tensor parsing error: {alias}")


def find_fault_in_rows(rows: list, types: dict[str, int]) -> StatusError:
    """Why rows are no batch.

    Args:
        rows: Values of the only input, or objects of values by the name of the input.
        types: The number of the data type, by the name of the input.
    """
    try:
        _check_rows(rows, types)
    except StatusError as fault:
        return fault
    return invalid_argument(f"tensor parsing error: {next(iter(types))}")


def is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def check(value: Any, type_number: int) -> tuple[int, list[int]]:
    """Goes through a value as TF Serving does; gives its size and shape.

    Raises:
        StatusError: At the first fault.
    """
    shape: list[int] = []
    first = value
    while isinstance(first, list) and len(shape) <= MOST_DIMENSIONS:
        shape.append(len(first))
        first = first[0] if first else None
    return _check_level(value, 0, shape, type_number), shape


def _check_rows(rows: list, types: dict[str, int]) -> None:
    known: dict[str, tuple[int, list[int]]] = {}
    for number, row in enumerate(rows):
        place = f"Failed to process element: {number}"
        if is_object(rows[0]):
            if not is_object(row):
                raise invalid_argument(
                    f"Expecting object but got list at item {number} of input list"
                )
            for name, value in row.items():
                where = f"{place} key: {name} of 'instances' list."
                _check_item(where, name, value, types, known)
            if row.keys() != types.keys():
                raise invalid_argument(
                    f"{place} of 'instances' list. JSON object: {show(row)} "
                    f"keys must be equal to: {','.join(sorted(types))}"
                )
        elif is_object(row):
            raise invalid_argument(
                f"Expecting value/list but got object at item {number} of input list"
            )
        else:
            where = f"{place} of 'instances' list."
            _check_item(where, next(iter(types)), row, types, known)


def _check_item(
    where: str,
    name: str,
    value: Any,
    types: dict[str, int],
    known: dict[str, tuple[int, list[int]]],
) -> None:
    try:
        if name not in types:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        size, shape = check(value, types[name])
        first_size, first_shape = known.setdefault(name, (size, shape))
        if size != first_size:
            raise invalid_argument(
                f"Expecting tensor size: {first_size} but got: {size}"
            )
        if shape != first_shape:
            raise invalid_argument(
                f"Expecting shape {_shape_text(first_shape)} "
                f"but got: {_shape_text(shape)}"
            )
    except StatusError as fault:
        raise invalid_argument(f"{where} Error: {fault}") from None


def _check_level(value: Any, level: int, shape: list[int], type_number: int) -> int:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} in "
                f"the JSON DOM. Expected at level: {len(shape)}"
            )
        _check_leaf(value, type_number)
        return 1
    if level >= len(shape):
        raise invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    return sum(_check_level(item, level + 1, shape, type_number) for item in value)


def _check_leaf(value: Any, type_number: int) -> None:
    row = BY_NUMBER.get(type_number)
    expected = row.name if row else str(type_number)
    if expected == "string" and isinstance(value, dict):
        try:
            to_bytes(value)
        except ValueError as error:
            found = "" if is_base64(value) else f"JSON Value: {show(value)} "
            raise invalid_argument(f"{found}{error}") from None
    elif not isinstance(value, dict) and not is_supported(expected):
        raise unimplemented(
            f"Conversion of JSON Value: {show(value)} to type: {expected}"
        )
    elif to_array(value, type_number) is None:
        raise invalid_argument(
            f"JSON Value: {show(value)} Type: {type_name(value)} is not of expected "
            f"type: {expected}"
        )


def _shape_text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
