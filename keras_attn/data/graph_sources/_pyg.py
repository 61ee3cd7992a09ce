"""Graphs of PyTorch Geometric."""

from typing import Any

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data._graph_targets import check_level
from keras_attn.data.graph import Graph


def from_pyg(data: Any, targets: str = "graph") -> Graph:
    """Returns a graph of PyTorch Geometric as one of ours.

    Args:
        data: `torch_geometric.data.Data`, or anything with its attributes `x`,
            `edge_index`, `edge_attr`, `edge_weight`, `y` and `num_nodes`, as tensors or
            arrays. Without `x`, every node has the one feature 1.
        targets: String, what `data.y` belongs to: `"graph"`, `"node"` or `"edge"`. That
            of a graph loses the leading axis of size 1 that PyTorch Geometric gives it.

    Returns:
        A `Graph`.

    Raises:
        ValueError: If sizes do not match.
    """
    check_level(targets)
    x, index, features, weights, y = (
        _array(getattr(data, name, None))
        for name in ("x", "edge_index", "edge_attr", "edge_weight", "y")
    )
    if index is None or index.ndim != 2 or len(index) != 2:
        raise ValueError(
            "`data.edge_index` must have the shape (2, edges). "
            f"Received: {None if index is None else index.shape}"
        )
    if y is not None and targets == "graph" and y.ndim:
        if len(y) != 1:
            raise ValueError(
                "`data.y` must have one row to belong to the graph as a whole. "
                f"Received: shape={y.shape}, targets={targets!r}"
            )
        y = y[0]
    if features is not None and features.ndim == 1:
        features = features[:, None]
    nodes = np.ones((data.num_nodes, 1)) if x is None else x
    return Graph(nodes, index.T, features, weights, y)


def to_pyg(graph: Graph, targets: str = "graph") -> Any:
    """Returns a graph as one of PyTorch Geometric.

    Args:
        graph: A `Graph`.
        targets: String, what the targets belong to: `"graph"`, `"node"` or `"edge"`.
            That of a graph gets a leading axis of size 1.

    Returns:
        `torch_geometric.data.Data`, with tensors of its own.

    Raises:
        ImportError: If PyTorch Geometric is not installed.
    """
    check_level(targets)
    geometric = import_extra("torch_geometric.data", "pyg")
    torch = import_extra("torch", "pyg")
    arrays = {
        "x": graph.nodes,
        "edge_index": graph.edges.T.astype("int64"),
        "edge_attr": graph.edge_features,
        "edge_weight": graph.edge_weights,
        "y": graph.targets,
    }
    if graph.targets is not None and targets == "graph":
        arrays["y"] = graph.targets[None]
    tensors = {k: torch.tensor(v) for k, v in arrays.items() if v is not None}
    return geometric.Data(**tensors)


def _array(value: Any) -> np.ndarray | None:
    """Returns a tensor, wherever it is and whatever follows it, as an array."""
    if value is None:
        return None
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
