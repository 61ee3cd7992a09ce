"""One graph on the host: features of its nodes, and its edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A graph in arrays of NumPy, checked once, so that no layer has to.

    Edges are directed, from `edges[:, 0]`, the senders, to `edges[:, 1]`, the
    receivers; an undirected edge is two. In an adjacency matrix the edge stands at
    `A[receiver, sender]`. Edges that occur twice count twice, and self-loops are
    edges like any other.

    Whatever is given is turned into arrays: features and weights of `float32`, edges
    of `int32`, targets of `float32` or `int32`.

    Args:
        nodes: Array of shape `(nodes, features)`, finite. There may be no nodes.
        edges: Integer array of shape `(edges, 2)`. There may be no edges.
        edge_features: Array of shape `(edges, edge_features)`, finite, or None.
        edge_weights: Array of shape `(edges,)`, finite, or None, if all weigh 1.
        targets: What is to be predicted, of any shape, or None: of the graph as a
            whole, or with a row for every node, or for every edge. NaN stands for a
            missing target.

    Raises:
        ValueError: If an edge leaves the graph, sizes do not match, or a feature or
            weight is not finite. The message names the first one.

    Example:

    ```python
    path = Graph(nodes=[[1.0], [2.0], [3.0]], edges=[[0, 1], [1, 2]])
    path.num_nodes  # 3
    ```
    """

    nodes: np.ndarray
    edges: np.ndarray
    edge_features: np.ndarray | None = None
    edge_weights: np.ndarray | None = None
    targets: np.ndarray | None = None

    def __post_init__(self):
        nodes = _finite("nodes", self.nodes, ("nodes", "features"))
        edges = _edges(self.edges, len(nodes))
        checked = {"nodes": nodes, "edges": edges}
        if self.edge_features is not None:
            shape: tuple[int | str, ...] = (len(edges), "edge_features")
            checked["edge_features"] = _finite(
                "edge_features", self.edge_features, shape
            )
        if self.edge_weights is not None:
            checked["edge_weights"] = _finite(
                "edge_weights", self.edge_weights, (len(edges),)
            )
        if self.targets is not None:
            checked["targets"] = _targets(self.targets)
        for name, array in checked.items():
            object.__setattr__(self, name, array)  # the only way in, being frozen

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    @property
    def num_edges(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        arrays = {
            name: value for name, value in vars(self).items() if value is not None
        }
        shapes = ", ".join(f"{name}={array.shape}" for name, array in arrays.items())
        return f"Graph({shapes})"


def _finite(name: str, values, shape: Sequence[int | str]) -> np.ndarray:
    """Returns `values` as float32; a string in `shape` stands for any size."""
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == size
        for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "biuf":
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(
            f"`{name}` must be an array of numbers of shape ({wanted}). "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    with np.errstate(over="ignore"):  # too large for float32 is found just below
        array = array.astype("float32", copy=False)
    if not np.all(np.isfinite(array)):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"`{name}` must be finite. Received: {array[place]} at {list(place)}"
        )
    return array


def _edges(values, num_nodes: int) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0 and array.shape in ((0,), (0, 2)):
        return np.zeros((0, 2), "int32")
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            "`edges` must be an array of integers of shape (edges, 2), senders and "
            f"receivers. Received: shape={array.shape}, dtype={array.dtype}"
        )
    outside = np.any((array < 0) | (array >= num_nodes), axis=1)
    if np.any(outside):
        edge = int(np.argmax(outside))
        raise ValueError(
            f"`edges` must join nodes of the graph, 0 to {num_nodes - 1}. "
            f"Received: edge {edge} is {array[edge].tolist()}"
        )
    return array.astype("int32", copy=False)


def _targets(values) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"`targets` must be numbers. Received: dtype={array.dtype}")
    return array.astype("float32" if array.dtype.kind == "f" else "int32", copy=False)
