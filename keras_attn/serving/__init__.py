"""Export a model, serve it, ask it.

`export` writes a SavedModel, `Server` serves it over TF Serving's gRPC API, `Client`
asks any such server. `Client` and the errors need NumPy and gRPC alone; TensorFlow and
Keras are imported with the first use of `export` or `Server`.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.serving.client import Client as Client
    from keras_attn.serving.export import export as export
    from keras_attn.serving.server import Server as Server

_HOMES = {
    "Client": "client",
    "ServingError": "client",
    "AbortedError": "client",
    "AlreadyExistsError": "client",
    "CancelledError": "client",
    "DataLossError": "client",
    "DeadlineExceededError": "client",
    "FailedPreconditionError": "client",
    "InternalError": "client",
    "InvalidArgumentError": "client",
    "NotFoundError": "client",
    "OutOfRangeError": "client",
    "PermissionDeniedError": "client",
    "ResourceExhaustedError": "client",
    "UnauthenticatedError": "client",
    "UnavailableError": "client",
    "UnimplementedError": "client",
    "UnknownError": "client",
    "Server": "server",
}

__all__ = ["export", *_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(types.ModuleType):
    """Keeps `export` the function: importing the file of that name would bind it."""

    @property
    def export(self):
        return importlib.import_module(f"{__name__}.export").export

    @export.setter
    def export(self, module) -> None:
        pass


sys.modules[__name__].__class__ = _Package
