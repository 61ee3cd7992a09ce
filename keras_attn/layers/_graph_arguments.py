"""The arguments by which a graph layer is told nodes and edges."""

import keras
from keras import ops

from keras_attn.layers._checks import (
    check_mask,
    check_rank,
    check_shape,
    known_values,
)
from keras_attn.ops.graph.connect import TABLES, connect

NODES_MEANING = "(nodes, dim) or (batch, nodes, dim)"


def read_edges(
    nodes, adjacency, edges, edge_weights, layout, nodes_mask, edge_features=None
):
    """The checked edges between nodes, `DenseEdges` or `EdgeRows`.

    Args:
        nodes: Tensor `(n, ...)` or `(b, n, ...)`, of rank 2 or 3.
        edge_features: What the edges carry, to be checked too.

    The others are those of `keras_attn.ops.graph.connect`.

    Raises:
        ValueError: As `check_edges` does.
    """
    check_edges(
        nodes, adjacency, edges, edge_weights, layout, nodes_mask, edge_features
    )
    return connect(
        ops.shape(nodes)[:-1], adjacency, edges, edge_weights, layout, nodes_mask
    )


def check_edges(
    nodes,
    adjacency=None,
    edges=None,
    edge_weights=None,
    layout=None,
    nodes_mask=None,
    edge_features=None,
):
    """Raises a ValueError if the arguments of `read_edges` contradict each other.

    Or if an index lies outside of its graph where its value is known.
    """
    check_rank("nodes", nodes.shape, (2, 3), NODES_MEANING)
    shape = tuple(nodes.shape[:-1])
    forms = {"adjacency": adjacency, "edges": edges, "layout": layout}
    given = [name for name, value in forms.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "Exactly one of `adjacency`, `edges` and `layout` must be given. "
            f"Received: {', '.join(given) or 'none of them'}"
        )
    check_mask("nodes_mask", nodes_mask, shape)
    if adjacency is not None:
        check_shape("adjacency", adjacency.shape, (*shape, shape[-1]))
        if edge_weights is not None:
            raise ValueError(
                "`edge_weights` go with `edges` or `layout`; the weights of an "
                "`adjacency` are its entries. "
                f"Received: edge_weights.shape={tuple(edge_weights.shape)}"
            )
        slots = (*shape, shape[-1])
    elif edges is not None:
        _check_list(edges, shape)
        slots = tuple(edges.shape[:-1])
        if edge_weights is not None:
            check_shape("edge_weights", edge_weights.shape, slots)
    else:
        _check_layout(layout, shape)
        slots = (*shape[:-1], None)
        if edge_weights is not None:
            check_shape("edge_weights", edge_weights.shape, slots)
    if edge_features is not None:
        check_shape("edge_features", edge_features.shape, (*slots, None))


def check_given(name, tensor, weights):
    """Raises unless a tensor is given exactly if there are weights for it."""
    if (tensor is None) != (weights is None):
        built, called = (
            "without" if thing is None else "with" for thing in (weights, tensor)
        )
        raise ValueError(
            f"The layer was built {built} `{name}`. Received: a call {called} them"
        )


def _check_list(edges, shape):
    check_shape("edges", edges.shape, (*shape[:-1], None, 2))
    _check_integers("edges", edges)
    values = known_values(edges)
    if values is None or shape[-1] is None:
        return
    senders, receivers = values[..., 0], values[..., 1]
    outside = (receivers < -1) | (receivers >= shape[-1])
    outside |= (receivers != -1) & ((senders < 0) | (senders >= shape[-1]))
    if outside.any():
        raise ValueError(
            f"`edges` must join nodes 0 to {shape[-1] - 1}, or have the receiver -1. "
            f"Received: the edge {values[outside][0].tolist()}"
        )


def _check_layout(layout, shape):
    names = [name for owners, tables in TABLES.items() for name in (owners, *tables)]
    if not isinstance(layout, dict) or set(layout) != set(names):
        raise ValueError(
            f"`layout` must be a dict of {names}, as "
            f"`keras_attn.data.neighbor_layout` makes it. Received: layout={layout!r}"
        )
    for owners, (nodes, edges) in TABLES.items():
        for name in (owners, nodes, edges):
            slots = () if name == owners else (None,)
            expected = (*shape[:-1], None, *slots)
            check_shape(f"layout[{name!r}]", layout[name].shape, expected)
            _check_integers(f"layout[{name!r}]", layout[name])
        rows = tuple(layout[owners].shape)
        for name in (nodes, edges):
            width = layout[nodes].shape[-1]
            check_shape(f"layout[{name!r}]", layout[name].shape, (*rows, width))
            if layout[name].shape[-1] is None:
                raise ValueError(
                    f"`layout[{name!r}]` must have a known number of slots a row. "
                    f"Received: shape={tuple(layout[name].shape)}"
                )
        _check_range(f"layout[{owners!r}]", layout[owners], -1, shape[-1])
        _check_range(f"layout[{nodes!r}]", layout[nodes], 0, shape[-1], empty=1)


def _check_range(name, table, least, num_nodes, empty=0):
    """Raises unless a table is of these nodes, `num_nodes` for an empty slot."""
    values = known_values(table)
    if values is None or num_nodes is None:
        return
    most = num_nodes - 1 + empty
    if values.size and (values.min() < least or values.max() > most):
        raise ValueError(
            f"`{name}` must be from {least} to {most} with {num_nodes} nodes. "
            f"Received: {values.min()} to {values.max()}"
        )


def _check_integers(name, tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" not in dtype:
        raise ValueError(f"`{name}` must be integers. Received: {name}.dtype={dtype}")
