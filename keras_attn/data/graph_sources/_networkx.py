"""Graphs of networkx."""

from typing import Any

import numpy as np

from keras_attn.data._extras import import_extra
from keras_attn.data._graph_targets import check_level
from keras_attn.data.graph import Graph


def from_networkx(graph: Any, targets: str = "graph") -> Graph:
    """Returns a graph of networkx as one of ours.

    Nodes are numbered in the order of `graph.nodes`. An edge leads from its first node
    to its second; one of an undirected graph becomes two, and a loop one. Features are
    read from the attribute `"features"` of nodes and edges, weights from `"weight"`
    of edges, 1 if an edge has none, and targets from `"targets"`.

    Args:
        graph: Any graph of networkx, directed or not, with parallel edges or without.
            Without features, every node has the one feature 1.
        targets: String, where the targets are: on the `"graph"`, on every `"node"` or
            on every `"edge"`.

    Returns:
        A `Graph`.

    Raises:
        ValueError: If some nodes or edges have an attribute and others have not.
    """
    check_level(targets)
    numbers = {node: i for i, node in enumerate(graph.nodes)}
    edges = list(graph.edges(data=True))
    if not graph.is_directed():
        edges += [(b, a, attributes) for a, b, attributes in edges if a != b]
    of_nodes = [(str(node), attributes) for node, attributes in graph.nodes(data=True)]
    of_edges = [(f"{a} -> {b}", attributes) for a, b, attributes in edges]
    features = _attribute("features", of_nodes)
    values = {
        "graph": graph.graph.get("targets"),
        "node": _attribute("targets", of_nodes),
        "edge": _attribute("targets", of_edges),
    }
    weights = None
    if any("weight" in attributes for _, _, attributes in edges):
        weights = np.array([found.get("weight", 1) for _, _, found in edges])
    return Graph(
        nodes=np.ones((len(numbers), 1)) if features is None else features,
        edges=np.array([(numbers[a], numbers[b]) for a, b, _ in edges], "int32"),
        edge_features=_attribute("features", of_edges),
        edge_weights=weights,
        targets=values[targets],
    )


def to_networkx(graph: Graph, targets: str = "graph") -> Any:
    """Returns a graph as one of networkx.

    Args:
        graph: A `Graph`.
        targets: String, where to put the targets: on the `"graph"`, on every `"node"`
            or on every `"edge"`.

    Returns:
        `networkx.DiGraph`, or `networkx.MultiDiGraph` if edges occur twice, of nodes 0,
        1, ... and of the attributes that `from_networkx` reads. networkx keeps edges
        by their senders, so that they may come back in another order.

    Raises:
        ImportError: If networkx is not installed.
    """
    check_level(targets)
    networkx = import_extra("networkx", "graphs")
    several = len(np.unique(graph.edges, axis=0)) < graph.num_edges
    result = networkx.MultiDiGraph() if several else networkx.DiGraph()
    of_nodes: dict[str, np.ndarray | None] = {"features": graph.nodes}
    of_edges = {"features": graph.edge_features, "weight": graph.edge_weights}
    if targets == "graph" and graph.targets is not None:
        result.graph["targets"] = graph.targets
    elif targets == "node":
        of_nodes["targets"] = graph.targets
    elif targets == "edge":
        of_edges["targets"] = graph.targets
    for node in range(graph.num_nodes):
        result.add_node(node, **_row(of_nodes, node))
    for i, (sender, receiver) in enumerate(graph.edges.tolist()):
        result.add_edge(sender, receiver, **_row(of_edges, i))
    return result


def _attribute(name: str, owners: list[tuple[str, dict]]) -> np.ndarray | None:
    """Returns an attribute of all nodes or edges, or None if none of them has it."""
    without = [owner for owner, attributes in owners if name not in attributes]
    if len(without) == len(owners):
        return None
    if without:
        raise ValueError(
            f"The attribute {name!r} must be on all nodes or edges, or on none. "
            f"Received: none on {without[0]}"
        )
    return np.array([attributes[name] for _, attributes in owners])


def _row(arrays: dict[str, Any], row: int) -> dict[str, Any]:
    """Returns one row of every array there is; a number as Python's own."""
    rows = {name: array[row] for name, array in arrays.items() if array is not None}
    return {k: v.item() if np.ndim(v) == 0 else v for k, v in rows.items()}
