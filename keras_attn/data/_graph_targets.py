"""Targets of several graphs in one array, with weights that leave out the rest."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_attn.data.graph import Graph

LEVELS = ("graph", "node", "edge")


def check_level(level: str) -> None:
    """Raises unless `level` is something that targets may belong to."""
    if level not in LEVELS:
        raise ValueError(
            f"`targets` must be one of {LEVELS}. Received: targets={level!r}"
        )


def check_targets(graphs: Sequence[Graph], level: str) -> None:
    """Raises unless every graph has targets of this level and of one kind."""
    check_level(level)
    kinds = []
    for i, graph in enumerate(graphs):
        if graph.targets is None:
            raise ValueError(f"Graph {i} has no targets, but others have.")
        shape = graph.targets.shape
        if level == "graph":
            kinds.append((shape, graph.targets.dtype))
            continue
        rows = graph.num_nodes if level == "node" else graph.num_edges
        if not shape or shape[0] != rows:
            raise ValueError(
                f"The targets of graph {i} must have a row for each of its {rows} "
                f"{level}s, as targets={level!r}. Received: shape={shape}"
            )
        kinds.append((shape[1:], graph.targets.dtype))
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                "The targets of all graphs must have one shape and kind. "
                f"Received: {kinds[0]} for graph 0, {kind} for graph {i}"
            )


def collate_targets(
    targets: Sequence[np.ndarray], place: Callable[[Sequence[np.ndarray]], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns targets and their weights; `place` puts rows into the batch's shape.

    What has no target at all, like padding, has the target 0 and the weight 0. A
    target of one number gets an axis of its own: Keras' losses add up the last one.
    """
    targets = [rows[:, None] if rows.ndim == 1 else rows for rows in targets]
    known = [_known(rows) for rows in targets]
    filled = [
        np.where(keep.reshape(keep.shape + (1,) * (rows.ndim - 1)), rows, 0)
        for keep, rows in zip(known, targets, strict=True)
    ]
    return place(filled), place([keep.astype("float32") for keep in known])


def _known(rows: np.ndarray) -> np.ndarray:
    """Returns which rows have at least one value."""
    missing = np.isnan(rows)
    return ~np.all(missing, axis=tuple(range(1, rows.ndim)))
