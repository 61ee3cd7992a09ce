"""What a tensor of a graph is computed from, down into the functions called."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Visit(NamedTuple):
    """A node; `where` is the function it stands in, `calls` those that it calls."""

    where: str
    node: Any
    calls: frozenset[str]


class GraphWalk:
    """Walks the nodes behind tensors.

    Args:
        graph_def: The graph, with its library of functions.
    """

    def __init__(self, graph_def: Any):
        self.functions = {f.signature.name: f for f in graph_def.library.function}
        self._nodes = {node.name: node for node in graph_def.node}

    def behind(self, tensor: str) -> Iterator[Visit]:
        """Each node once, from the tensor backwards; none if it is not there."""
        node = self._nodes.get(_node_name(tensor))
        waiting = [] if node is None else [("", node)]
        seen_nodes: set[str] = set()
        seen_functions: set[str] = set()
        while waiting:
            where, node = waiting.pop()
            calls = frozenset(_named(node) & self.functions.keys())
            yield Visit(where, node, calls)
            for name in calls - seen_functions:
                seen_functions.add(name)
                waiting += [(name, n) for n in self.functions[name].node_def]
            if where:
                continue
            for source in map(_node_name, node.input):
                if source not in seen_nodes:
                    seen_nodes.add(source)
                    waiting.append(("", self._nodes[source]))


def _named(node: Any) -> set[str]:
    values = node.attr.values()
    names = {value.func.name for value in values if value.HasField("func")}
    return names | {f.name for value in values for f in value.list.func} | {node.op}


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
