"""Optional dependencies, and the command that installs them."""

import importlib
from types import ModuleType


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports `module`, or says which extra of keras_attn brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs the package `{error.name}`, which is not installed. "
            f'Install it with: pip install "keras_attn[{extra}]"'
        ) from error
