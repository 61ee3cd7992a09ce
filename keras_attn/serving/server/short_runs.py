"""Runs so short that to hand them to another thread takes longer than they do.

TensorFlow runs a graph in threads of its own, which have to be woken: for a small model
that is most of the time. A run can be had in the caller's thread instead, but then it
is not broken off when its time is up. So that is kept for work that is known to end
soon.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from tensorflow.python.framework import op_def_registry

from keras_attn.serving.server.graph_walk import GraphWalk

_SHORT = 200e-6  # seconds, by which even four cores would save less than the waking
_LONG = 50e-3  # not by waiting for a core or for Python's lock alone
_MOST = 1024  # kinds of runs

_BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase", "Switch", "RefSwitch"}
_LOOPS = {"While", "StatelessWhile", "For", "Enter", "RefEnter"}
_HARMLESS = {  # operations with a state that wait for nothing
    "HashTableV2",
    "PartitionedCall",
    "ReadVariableOp",
    "ResourceGather",
    "StatefulPartitionedCall",
    "VarHandleOp",
    "VariableV2",
}


class ShortRuns:
    """Remembers which runs of a graph are short.

    Without loops and branches, the same outputs of inputs of the same shapes are the
    same work, so that the fastest of such runs tells how much it is.

    Args:
        walk: The graph.
        fetches: Names of tensors that may be asked for.
    """

    def __init__(self, walk: GraphWalk, fetches: Iterable[str]):
        self._steady = {name for name in fetches if _is_steady(walk, name)}
        self._short: set[Hashable] = set()

    def kind_of(
        self, fetches: tuple[str, ...], arrays: Sequence[np.ndarray]
    ) -> Hashable | None:
        """What runs of the same work have in common; `None` where that is unknown."""
        if not self._steady.issuperset(fetches):
            return None
        if any(array.dtype == object for array in arrays):
            return None  # a string's size is not in its shape
        return fetches, tuple(array.shape for array in arrays)

    def __contains__(self, kind: Hashable | None) -> bool:
        return kind in self._short

    def remember(self, kind: Hashable | None, seconds: float) -> None:
        """Such a run has taken so long."""
        if seconds > _LONG:
            self._short.discard(kind)
        elif seconds < _SHORT and kind is not None and kind not in self._short:
            if len(self._short) >= _MOST:
                self._short.clear()
            self._short.add(kind)


def _is_steady(walk: GraphWalk, tensor: str) -> bool:
    return all(
        node.op in walk.functions or _takes_its_time(node.op)
        for _, node, _ in walk.behind(tensor)
    )


def _takes_its_time(operation: str) -> bool:
    """Whether it ends by itself, after as much work as its inputs are large."""
    definition = op_def_registry.get(operation)
    if definition is None or operation in _BRANCHES | _LOOPS:
        return False
    return operation in _HARMLESS or not definition.is_stateful
