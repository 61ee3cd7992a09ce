"""Graphs of Spektral."""

from typing import Any

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data.graph import Graph
from keras_attn.data.graph_sources._scipy import from_scipy, to_scipy


def from_spektral(graph: Any, adjacency: Any = None) -> Graph:
    """Returns a graph of Spektral as one of ours.

    A data set is converted as `[from_spektral(graph) for graph in dataset]`.

    Args:
        graph: `spektral.data.Graph`. Without node features, every node has the one
            feature 1. Sparse edge features are in the order that Spektral's loaders
            give the edges: row by row of the adjacency matrix.
        adjacency: The adjacency matrix, if the graph has none of its own, as in a data
            set in mixed mode: its `dataset.a`.

    Returns:
        A `Graph`, with Spektral's labels as targets.

    Raises:
        ValueError: If there is no adjacency matrix, or sizes do not match.
        ImportError: If SciPy is not installed.
    """
    adjacency = graph.a if adjacency is None else adjacency
    if adjacency is None:
        raise ValueError(
            "The graph has no adjacency matrix. In a data set in mixed mode it is that "
            "of the data set: pass `adjacency=dataset.a`."
        )
    bare = from_scipy(adjacency)
    features = graph.e
    if features is not None and features.ndim == 3:  # a vector for every pair of nodes
        senders, receivers = bare.edges.T
        features = features[receivers, senders]
    return Graph(
        nodes=bare.nodes if graph.x is None else graph.x,
        edges=bare.edges,
        edge_features=features,
        edge_weights=bare.edge_weights,
        targets=graph.y,
    )


def to_spektral(graph: Graph) -> Any:
    """Returns a graph as one of Spektral.

    Args:
        graph: A `Graph`.

    Returns:
        `spektral.data.Graph` with node features `x`, a sparse adjacency matrix `a`,
        sparse edge features `e` and labels `y`.

    Raises:
        ValueError: If edges with features occur twice: the matrix adds their weights,
            so that it has no place for features of both.
        ImportError: If Spektral is not installed.
    """
    data = import_extra("spektral.data", "graphs")
    sparse = import_extra("scipy.sparse", "graphs")
    features = graph.edge_features
    if features is not None:
        senders, receivers = graph.edges.T
        if len(np.unique(graph.edges, axis=0)) < graph.num_edges:
            raise ValueError(
                "Spektral has no place for features of edges that occur twice. "
                f"Received: {graph}"
            )
        features = features[np.lexsort((senders, receivers))]
    adjacency = sparse.csr_matrix(to_scipy(graph))  # Spektral expects a matrix
    return data.Graph(x=graph.nodes, a=adjacency, e=features, y=graph.targets)
