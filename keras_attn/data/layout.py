"""Neighbour tables: an edge list sorted once, so that layers need not scatter."""

from collections.abc import Sequence

import numpy as np


def neighbor_layout(
    edges: np.ndarray,
    num_nodes: int,
    width: int = 8,
    rows: int | None = None,
    back_rows: int | None = None,
) -> dict[str, np.ndarray]:
    """Puts the edges of a graph into rows of neighbours, in both directions.

    A receiver has as many rows as it takes to hold its senders, `width` a row; the
    back tables hold the receivers of each sender likewise. A graph layer that is
    called with `layout=` gathers along them, forward and in its gradient, which is
    several times faster than adding edge after edge to its receiver.

    Args:
        edges: Integer array `(e, 2)` of senders and receivers. Edges whose receiver is
            -1 are padding and left out.
        num_nodes: Integer, the nodes of the graph.
        width: Integer, the neighbours of a row. 2 to 4 suit molecules, 8 most others.
        rows: Integer, the rows of the tables of receivers: empty ones are added, so
            that batches have one shape. By default as many as there are, at least one.
        back_rows: Integer, likewise for the tables of senders.

    Returns:
        Dict of int32 arrays: `"senders"` and `"edges"` `(rows, width)` and
        `"receivers"` `(rows,)`; `"back_receivers"` and `"back_edges"`
        `(back_rows, width)` and `"back_senders"` `(back_rows,)`. An empty slot holds
        `num_nodes` for a node and the number of edges for an edge, an empty row the
        owner -1.

    Raises:
        ValueError: If `edges` is no edge list of the graph, or does not fit the rows.

    Example:

    ```python
    layout = neighbor_layout(edges, num_nodes=len(nodes))
    outputs = keras_attn.GraphConv(16)(nodes, layout=layout)
    ```
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise ValueError(
            "`edges` must be an integer array of shape (edges, 2). "
            f"Received: shape={edges.shape}, dtype={edges.dtype}"
        )
    if width < 1:
        raise ValueError(f"`width` must be at least 1. Received: width={width}")
    real = np.flatnonzero(edges[:, 1] != -1)
    senders, receivers = edges[real].T
    outside = (edges[real] < 0) | (edges[real] >= num_nodes)
    if outside.any():
        first = real[np.argmax(outside.any(axis=1))]
        raise ValueError(
            f"`edges` must join nodes 0 to {num_nodes - 1}, or have the receiver -1. "
            f"Received: edges[{first}]={edges[first].tolist()}"
        )
    slots = (real, len(edges))
    owners, sender_table, edge_table = neighbor_rows(
        receivers, [(senders, num_nodes), slots], width, rows
    )
    back_owners, receiver_table, back_edge_table = neighbor_rows(
        senders, [(receivers, num_nodes), slots], width, back_rows, "back_rows"
    )
    return {
        "senders": sender_table,
        "edges": edge_table,
        "receivers": owners,
        "back_receivers": receiver_table,
        "back_edges": back_edge_table,
        "back_senders": back_owners,
    }


def neighbor_rows(
    owners: np.ndarray,
    columns: Sequence[tuple[np.ndarray, int]],
    width: int,
    rows: int | None = None,
    name: str = "rows",
) -> tuple[np.ndarray, ...]:
    """Puts entries into rows of `width`, each row of one owner.

    Args:
        owners: Integer array `(entries,)`, none negative.
        columns: Pairs of an integer array `(entries,)` and what an empty slot holds.
        width: Integer, the slots of a row.
        rows: Integer, the rows; by default as many as are needed, at least one.
        name: What an error calls `rows`.

    Returns:
        int32 arrays: the owners `(rows,)`, -1 of an empty row, then a table
        `(rows, width)` for each column.
    """
    order = np.argsort(owners, kind="stable")
    names, counts = np.unique(owners, return_counts=True)
    row_counts = -(-counts // width)
    needed = int(row_counts.sum())
    if rows is None:
        rows = max(needed, 1)
    if needed > rows:
        raise ValueError(
            f"`{name}` must be at least {needed}, which the edges take at {width} a "
            f"row. Received: {name}={rows}"
        )
    row_owners = np.full(rows, -1, "int32")
    row_owners[:needed] = np.repeat(names, row_counts)
    first_edges = np.cumsum(counts) - counts
    first_rows = np.cumsum(row_counts) - row_counts
    places = np.arange(len(owners)) - np.repeat(first_edges, counts)
    slots = np.repeat(first_rows, counts) * width + places
    tables = []
    for column, empty in columns:
        table = np.full(rows * width, empty, "int32")
        table[slots] = column[order]
        tables.append(table.reshape(rows, width))
    return row_owners, *tables
