"""Public names of a package whose files each hold one of them."""

from typing import Any


def public_names(package: str) -> tuple[Any, Any]:
    """Returns `__getattr__` and `__dir__` of a package of `keras_attn`."""
    import keras_attn

    names = {
        name
        for name, module in keras_attn._MODULES.items()
        if module.startswith(f"{package}.")
    }

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(keras_attn, name)

    return load, lambda: sorted(names)
