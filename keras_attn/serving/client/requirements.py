"""What the client needs, told where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def requirements() -> Iterator[None]:
    """Around imports: a missing package is named together with what installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("keras_attn"):
            raise
        raise ModuleNotFoundError(
            f"The client needs {error.name}: pip install 'keras-attn[client]'",
            name=error.name,
        ) from error
