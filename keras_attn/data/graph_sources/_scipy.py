"""Adjacency matrices, sparse ones of SciPy or dense ones."""

from typing import Any

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data.graph import Graph


def from_scipy(
    adjacency: Any,
    nodes: Any = None,
    edge_features: Any = None,
    targets: Any = None,
) -> Graph:
    """Returns the graph of an adjacency matrix.

    Every stored entry of a sparse matrix is an edge, also a zero and an entry that is
    stored twice; of a dense one, every entry but zero. The edges come row by row. If
    all weigh 1, the graph has no `edge_weights`.

    Args:
        adjacency: Sparse matrix or array of SciPy, or a dense array, of shape
            `(nodes, nodes)`, with the weight of an edge at `[receiver, sender]`.
        nodes: Array of shape `(nodes, features)`. Every node has the one feature 1 if
            None.
        edge_features: Array of shape `(edges, edge_features)`, in the order of the
            edges, or None.
        targets: Array, the targets, or None.

    Returns:
        A `Graph`.

    Raises:
        ValueError: If the matrix is not square, or sizes do not match.
        ImportError: If SciPy is not installed.
    """
    entries = import_extra("scipy.sparse", "graphs").coo_array(adjacency)
    if entries.ndim != 2 or entries.shape[0] != entries.shape[1]:
        raise ValueError(
            f"`adjacency` must be a square matrix. Received: shape={entries.shape}"
        )
    order = np.lexsort((entries.col, entries.row))
    weights = entries.data[order]
    return Graph(
        nodes=np.ones((entries.shape[0], 1)) if nodes is None else _dense(nodes),
        edges=np.stack([entries.col, entries.row], axis=1)[order],
        edge_features=edge_features,
        edge_weights=None if np.all(weights == 1) else weights,
        targets=targets,
    )


def to_scipy(graph: Graph) -> Any:
    """Returns the adjacency matrix of a graph.

    Args:
        graph: A `Graph`.

    Returns:
        `scipy.sparse.csr_array` of shape `(nodes, nodes)`, with the weight of an edge
        at `[receiver, sender]`. The weights of edges that occur twice are added.

    Raises:
        ImportError: If SciPy is not installed.
    """
    senders, receivers = graph.edges.T
    weights = graph.edge_weights
    if weights is None:
        weights = np.ones(graph.num_edges, "float32")
    shape = (graph.num_nodes, graph.num_nodes)
    sparse = import_extra("scipy.sparse", "graphs")
    return sparse.csr_array((weights, (receivers, senders)), shape=shape)


def _dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else values
