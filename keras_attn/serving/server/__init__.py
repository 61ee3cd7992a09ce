"""The embedded server: TF Serving's APIs, gRPC and REST, on TensorFlow's session.

TensorFlow is imported with the first use of `Server`, so that the command line can
answer for its flags at once.
"""

import importlib

_HOMES = {"Server": "server", "StatusError": "status"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("keras_attn"):
            raise
        raise ModuleNotFoundError(
            f"The server needs {error.name}: pip install 'keras-attn[serving]'",
            name=error.name,
        ) from error
    return getattr(module, name)
