"""XLA is off in a server unless a flag allows it, as in `tensorflow_model_server`.

A process that only serves switches XLA off in TensorFlow itself. Where the server
shares the process with other work, the graph tells which tensors need the compiler.
"""

import ctypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_attn.serving.server.graph_walk import GraphWalk

_REFUSAL = "XLA compilation disabled\n\t [[%s{{node %s}}]]"
_MUST_COMPILE = "_XlaMustCompile"


def disable_in_this_process() -> bool:
    """Switches XLA off for good; says whether this TensorFlow could be told to."""
    import tensorflow as tf

    for library in Path(tf.__file__).parent.glob("libtensorflow_cc.so*"):
        try:
            ctypes.CDLL(str(library))._ZN10tensorflow21DisableXlaCompilationEv()
        except (AttributeError, OSError):
            continue
        return True
    return False


def refusals(walk: GraphWalk, tensors: Iterable[str]) -> dict[str, str]:
    """The error text for each tensor that cannot be had without XLA."""
    compiled = {name for name, f in walk.functions.items() if _must_compile(f)}
    if not compiled:
        return {}
    found = {name: _search(walk, name, compiled) for name in tensors}
    return {name: text for name, text in found.items() if text}


def _must_compile(node: Any) -> bool:
    return _MUST_COMPILE in node.attr and node.attr[_MUST_COMPILE].b


def _search(walk: GraphWalk, tensor: str, compiled: set[str]) -> str | None:
    for where, node, calls in walk.behind(tensor):
        if _must_compile(node) or not calls.isdisjoint(compiled):
            function = f"{{{{function_node {where}}}}}" if where else ""
            return _REFUSAL % (function, node.name)
    return None
