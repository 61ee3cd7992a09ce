"""Makes Keras find our classes without importing them.

`keras.saving.load_model` looks a class up in Keras' registry and nowhere else, and a
class enters the registry when its module is imported, which a lazy package puts off.
So a stand-in holds the place of each class until then. The stand-ins are registered
as soon as both packages are imported: at once if Keras is there already, otherwise by
a finder that waits for it and leaves its loading to the loader that does it anyway.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def register_with_keras(package: str, modules: Mapping[str, str]) -> None:
    """Registers classes now if Keras is imported, else right after it is.

    Args:
        package: Name of the package, under which the classes register themselves.
        modules: Module of each class, by the name of the class.
    """
    stand_ins = {f"{package}>{name}": _StandIn(modules[name], name) for name in modules}
    finder = _KerasFinder(stand_ins)
    sys.meta_path.insert(0, finder)
    if "keras" in sys.modules:
        finder.register(import_module("keras.saving"))


class _StandIn:
    """In Keras' registry for a class; the class replaces it when it is imported."""

    def __init__(self, module: str, name: str):
        self.module = module
        self.name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        return getattr(import_module(self.module), self.name).from_config(config)


class _KerasFinder:
    """Registers the stand-ins after each import of Keras."""

    def __init__(self, stand_ins: Mapping[str, _StandIn]):
        self.stand_ins = stand_ins

    def register(self, saving: Any) -> None:
        for name, stand_in in self.stand_ins.items():
            saving.get_custom_objects().setdefault(name, stand_in)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            if spec := finder.find_spec(name, path, target):
                self._follow(spec)
                return spec
        return None

    def _follow(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None:  # a bare folder called `keras`
            return
        execute = loader.exec_module

        def execute_then_register(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == "keras":
                self.register(module.saving)

        # On the instance: the loader keeps its type and everything else it offers.
        loader.exec_module = execute_then_register  # type: ignore[method-assign]
