"""Export a model, serve it, ask it.

`export` writes a SavedModel, `Server` serves it over TF Serving's API, `Client` and
`AsyncClient` ask any such server. The clients and the errors need NumPy and gRPC alone;
TensorFlow and Keras are imported with the first use of `export` or `Server`.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.serving.client import (
        AbortedError,
        AlreadyExistsError,
        AsyncClient,
        CancelledError,
        Client,
        DataLossError,
        DeadlineExceededError,
        FailedPreconditionError,
        InternalError,
        InvalidArgumentError,
        ModelConfig,
        NotFoundError,
        OutOfRangeError,
        PermissionDeniedError,
        ResourceExhaustedError,
        ServingError,
        Tls,
        UnauthenticatedError,
        UnavailableError,
        UnimplementedError,
        UnknownError,
    )
    from keras_attn.serving.export import export
    from keras_attn.serving.server import Server

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "AsyncClient",
    "CancelledError",
    "Client",
    "DataLossError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "InternalError",
    "InvalidArgumentError",
    "ModelConfig",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "Server",
    "ServingError",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "export",
]

_HOMES = dict.fromkeys(__all__, "client") | {"Server": "server"}


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
