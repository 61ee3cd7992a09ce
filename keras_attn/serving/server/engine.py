"""Which server answers: the official binary, or the one of this package."""

import os
import shutil
from collections.abc import Mapping, Sequence

from keras_attn.serving.server.arguments import strip_own_flags
from keras_attn.serving.server.base_path import absolute

ENGINES = ("auto", "official", "embedded")

_VARIABLE = "TENSORFLOW_MODEL_SERVER"
_BINARY = "tensorflow_model_server"


def choose(engine: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The path of the official binary to run, or `None` for the embedded server.

    Args:
        engine: `"auto"`, `"official"` or `"embedded"`.
        environment: Where `TENSORFLOW_MODEL_SERVER` may name the binary.

    Raises:
        ValueError: There is no such engine, or no binary where one is asked for.
    """
    if engine not in ENGINES:
        raise ValueError(
            f"--engine must be one of {', '.join(ENGINES)}. Received: {engine}"
        )
    if engine == "embedded":
        return None
    named = environment.get(_VARIABLE)
    binary = shutil.which(named or _BINARY, path=environment.get("PATH"))
    if named and binary is None:
        raise ValueError(f"{_VARIABLE} names no program: {named}")
    if engine == "official" and binary is None:
        raise ValueError(
            f"--engine=official needs {_BINARY} on the path, or {_VARIABLE} to name it."
        )
    return binary


def official_command(
    binary: str, arguments: Sequence[str]
) -> tuple[list[str], list[str]]:
    """How to run the binary; it takes no relative base path, where ours does.

    Returns:
        `(command, remarks)`: the command, and a line for each flag left out of it.
    """
    kept, stripped = strip_own_flags(map(_with_absolute_path, arguments))
    remarks = [
        f"{argument} is left out: {_BINARY} has no such flag."
        for argument in stripped
        if not argument.startswith("--engine")
    ]
    return [binary, *kept], remarks


def _with_absolute_path(argument: str) -> str:
    name, equals, path = argument.partition("=")
    return name + equals + absolute(path) if name == "--model_base_path" else argument
