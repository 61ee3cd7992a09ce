"""Nodes of a graph as points: like ones together, if a model has learned."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.plotting.attention import _pyplot

INCHES = 7.0
POINT = 9.0  # square points of a marker


def node_embedding(
    embeddings: Any,
    classes: Any,
    names: Sequence[str] | None = None,
    edges: Any = None,
    ax: Any = None,
    cmap: str = "tab10",
) -> Any:
    """Draws a point for every node, in the colour of its class.

    Embeddings of more than two numbers are projected onto the plane in which they
    differ most, their first two principal components. For another projection, such as
    scikit-learn's t-SNE, give its result.

    Args:
        embeddings: Array of shape `(nodes, dim)`, at least two numbers for each node.
        classes: Integer array of shape `(nodes,)`. Nodes of a negative class, of
            which none is known, are drawn grey.
        names: Strings, the names of the classes from 0 on, for a legend.
        edges: Integer array of shape `(edges, 2)`, drawn as thin lines, or None.
        ax: The matplotlib axes to draw on. A figure is made if None.
        cmap: String, the name of matplotlib's colour map.

    Returns:
        The axes; `ax.figure.savefig(path)` writes the picture.

    Raises:
        ValueError: If the embeddings are not finite or do not match the classes.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    ax = node_embedding(hidden, graph.targets, edges=graph.edges)
    ax.figure.savefig("embedding.png")
    ```
    """
    points, classes = _checked(embeddings, classes)
    plt = _pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=(INCHES, INCHES), layout="constrained")
    if edges is not None:
        lines = points[np.asarray(edges)]  # (edges, 2 ends, 2 coordinates)
        ax.add_collection(
            plt.matplotlib.collections.LineCollection(
                lines, colors="0.8", linewidths=0.3, zorder=0
            )
        )
    colours = plt.get_cmap(cmap)
    for label in np.unique(classes):
        of_class = classes == label
        ax.scatter(
            *points[of_class].T,
            s=POINT,
            color=colours(label % colours.N) if label >= 0 else "0.6",
            label=names[label] if names is not None and label >= 0 else None,
            linewidths=0,
        )
    if names is not None:
        ax.legend(markerscale=2, fontsize="small")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def _checked(embeddings: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns a point for every node, and the classes; raises if they do not match."""
    embeddings = np.asarray(embeddings, "float64")
    classes = np.asarray(classes)
    if embeddings.ndim != 2 or embeddings.shape[1] < 2 or not len(embeddings):
        raise ValueError(
            "`embeddings` must have the shape (nodes, dim) with dim at least 2. "
            f"Received: shape={embeddings.shape}"
        )
    if classes.shape != embeddings.shape[:1] or classes.dtype.kind not in "iu":
        raise ValueError(
            f"`classes` must be {len(embeddings)} integers, one for each node. "
            f"Received: shape={classes.shape}, dtype={classes.dtype}"
        )
    if not np.all(np.isfinite(embeddings)):
        raise ValueError("`embeddings` must be finite. Received: NaN or infinite ones")
    if embeddings.shape[1] == 2:
        return embeddings, classes
    centred = embeddings - embeddings.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:2].T, classes
