"""XLA is off in a server unless a flag allows it, as in `tensorflow_model_server`.

A process that only serves switches XLA off in TensorFlow itself. Where the server
shares the process with other work, the graph tells which tensors need the compiler.
"""

import ctypes
from pathlib import Path

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


def refusals(graph_def, tensors: set[str]) -> dict[str, str]:
    """The error text for each tensor that cannot be had without XLA."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    if not any(_must_compile(node) for node in functions.values()):
        return {}
    nodes = {node.name: node for node in graph_def.node}
    found = {name: _search(name, nodes, functions) for name in tensors}
    return {name: text for name, text in found.items() if text}


def _must_compile(node) -> bool:
    return _MUST_COMPILE in node.attr and node.attr[_MUST_COMPILE].b


def _search(tensor: str, nodes: dict, functions: dict) -> str | None:
    """Walks back from a tensor, and down into the functions that are called."""
    waiting = [("", nodes[_node_name(tensor)])]
    seen_nodes, seen_functions = set(), set()
    while waiting:
        where, node = waiting.pop()
        called = [name for name in _called(node) if name in functions]
        if _must_compile(node) or any(_must_compile(functions[n]) for n in called):
            return _REFUSAL % (
                f"{{{{function_node {where}}}}}" if where else "",
                node.name,
            )
        for name in called:
            if name not in seen_functions:
                seen_functions.add(name)
                waiting += [(name, inner) for inner in functions[name].node_def]
        if not where and node.name not in seen_nodes:
            seen_nodes.add(node.name)
            waiting += [("", nodes[_node_name(source)]) for source in node.input]
    return None


def _called(node) -> set[str]:
    values = node.attr.values()
    names = {value.func.name for value in values if value.HasField("func")}
    return names | {f.name for value in values for f in value.list.func} | {node.op}


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
