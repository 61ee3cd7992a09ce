"""Several graphs as one set of arrays: padded rows, or a disjoint union."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_attn.data.graph import Graph

PADDING_EDGE = (0, -1)  # no receiver: every layer drops it


def pad_graphs(
    graphs: Sequence[Graph],
    num_nodes: int | None = None,
    num_edges: int | None = None,
    num_graphs: int | None = None,
) -> dict[str, np.ndarray]:
    """Returns graphs as rows of one batch, padded to a common size.

    Args:
        graphs: The graphs, at least one.
        num_nodes: Integer, the nodes of a row; those of the largest graph if None.
        num_edges: Integer, the edges of a row; likewise.
        num_graphs: Integer, the rows. Rows beyond the graphs are empty.

    Returns:
        Dictionary of `"nodes"` of shape `(graphs, nodes, features)`, `"edges"` of
        shape `(graphs, edges, 2)`, where padding has the receiver -1, `"nodes_mask"`
        of shape `(graphs, nodes)`, True for real nodes, and, if the graphs have them,
        `"edge_features"` of shape `(graphs, edges, edge_features)` and
        `"edge_weights"` of shape `(graphs, edges)`.

    Raises:
        ValueError: If a graph is too large, or the graphs have different features.
    """
    graphs = alike(graphs)
    num_nodes = _size("num_nodes", num_nodes, [g.num_nodes for g in graphs], max)
    num_edges = _size("num_edges", num_edges, [g.num_edges for g in graphs], max)
    num_graphs = _size("num_graphs", num_graphs, [len(graphs)], max)
    real = [np.ones(graph.num_nodes, "bool") for graph in graphs]
    arrays = {
        "nodes": stacked([g.nodes for g in graphs], num_graphs, num_nodes),
        "edges": stacked(
            [g.edges for g in graphs], num_graphs, num_edges, PADDING_EDGE
        ),
        "nodes_mask": stacked(real, num_graphs, num_nodes),
    }
    for name in _edge_attributes(graphs[0]):
        values = [getattr(graph, name) for graph in graphs]
        arrays[name] = stacked(values, num_graphs, num_edges)
    return arrays


def merge_graphs(
    graphs: Sequence[Graph],
    num_nodes: int | None = None,
    num_edges: int | None = None,
) -> dict[str, np.ndarray]:
    """Returns graphs side by side, as one graph that no edge leads across.

    Args:
        graphs: The graphs, at least one.
        num_nodes: Integer, the nodes in all; as many as there are if None. Nodes
            beyond those of the graphs are padding.
        num_edges: Integer, the edges in all; likewise.

    Returns:
        Dictionary of `"nodes"` of shape `(nodes, features)`, `"edges"` of shape
        `(edges, 2)`, where padding has the receiver -1, `"graph_ids"` of shape
        `(nodes,)`, the number of each node's graph and -1 for padding, and, if the
        graphs have them, `"edge_features"` of shape `(edges, edge_features)` and
        `"edge_weights"` of shape `(edges,)`.

    Raises:
        ValueError: If the graphs are too large, or have different features.
    """
    graphs = alike(graphs)
    sizes = [graph.num_nodes for graph in graphs]
    num_nodes = _size("num_nodes", num_nodes, sizes, sum)
    num_edges = _size("num_edges", num_edges, [g.num_edges for g in graphs], sum)
    first = np.cumsum([0, *sizes[:-1]], dtype="int32")
    ids = [np.full(size, i, "int32") for i, size in enumerate(sizes)]
    edges = [graph.edges + start for graph, start in zip(graphs, first, strict=True)]
    arrays = {
        "nodes": joined([graph.nodes for graph in graphs], num_nodes),
        "edges": joined(edges, num_edges, PADDING_EDGE),
        "graph_ids": joined(ids, num_nodes, -1),
    }
    for name in _edge_attributes(graphs[0]):
        arrays[name] = joined([getattr(graph, name) for graph in graphs], num_edges)
    return arrays


def stacked(arrays: Sequence[np.ndarray], rows: int, size: int, fill=0) -> np.ndarray:
    """Returns an array of shape `(rows, size, ...)`, an array a row, then `fill`."""
    batch = np.empty((rows, size, *arrays[0].shape[1:]), arrays[0].dtype)
    batch[:] = fill
    for row, array in zip(batch, arrays, strict=False):
        row[: len(array)] = array
    return batch


def joined(arrays: Sequence[np.ndarray], size: int, fill=0) -> np.ndarray:
    """Returns an array of shape `(size, ...)`: one array after another, then `fill`."""
    batch = np.empty((size, *arrays[0].shape[1:]), arrays[0].dtype)
    batch[:] = fill
    values = np.concatenate(arrays)
    batch[: len(values)] = values
    return batch


def alike(graphs: Sequence[Graph]) -> list[Graph]:
    """Returns the graphs, all with the same features of the same widths.

    If any has weights, one without gets the ones that it stands for; if any has
    features of edges, so does one that has no edges.

    Raises:
        ValueError: If there are no graphs, or their features differ.
    """
    if not graphs:
        raise ValueError("`graphs` must hold at least one graph. Received: none")
    weighted = any(graph.edge_weights is not None for graph in graphs)
    features = (graph.edge_features for graph in graphs)
    width = next((rows.shape[1] for rows in features if rows is not None), None)
    filled = [_filled(graph, weighted, width) for graph in graphs]
    first = _widths(filled[0])
    for i, graph in enumerate(filled):
        if _widths(graph) != first:
            raise ValueError(
                "`graphs` must all have the same features. "
                f"Received: graph 0 is {graphs[0]}, graph {i} is {graphs[i]}"
            )
    return filled


def _filled(graph: Graph, weighted: bool, width: int | None) -> Graph:
    missing = {}
    if weighted and graph.edge_weights is None:
        missing["edge_weights"] = np.ones(graph.num_edges, "float32")
    if width is not None and graph.edge_features is None and not graph.num_edges:
        missing["edge_features"] = np.zeros((0, width), "float32")
    return dataclasses.replace(graph, **missing) if missing else graph


def _widths(graph: Graph) -> dict[str, int]:
    attributes = ("nodes", *_edge_attributes(graph))
    return {name: getattr(graph, name).shape[1:] for name in attributes}


def _edge_attributes(graph: Graph) -> list[str]:
    names = ("edge_features", "edge_weights")
    return [name for name in names if getattr(graph, name) is not None]


def _size(name: str, asked: int | None, sizes: list[int], total) -> int:
    """Returns the size asked for, or the one that the graphs need."""
    needed = total(sizes)
    if asked is None:
        return needed
    if asked < needed:
        raise ValueError(
            f"`{name}` must be at least {needed} to hold these graphs. "
            f"Received: {name}={asked}"
        )
    return asked
