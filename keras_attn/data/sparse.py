"""Features of which a node has few, in the form that `GraphConv` takes."""

from typing import Any

import numpy as np

from keras_attn.data.layout import neighbor_rows


def sparse_features(matrix: Any, width: int = 8) -> dict[str, np.ndarray]:
    """Lists for every node the features that are not zero, and the other way round.

    Args:
        matrix: NumPy array or SciPy sparse matrix `(nodes, features)`, finite.
        width: Integer, the slots of a row of the table by which the gradient of a
            kernel is gathered.

    Returns:
        Dict of int32 `"indices"` and float32 `"values"`, both `(nodes, k)` with k the
        most features of a node, at least one, and -1 and 0 where there are fewer; and
        of int32 `"back_slots"` `(rows, width)` and `"back_features"` `(rows,)`: which
        of the `nodes * k` slots hold a feature.

    Raises:
        ValueError: If `matrix` is not a finite matrix of numbers.

    Example:

    ```python
    words = sparse_features(bag_of_words)
    hidden = keras_attn.GraphConv(16, input_dim=1433)(words, edges=edges)
    ```
    """
    if hasattr(matrix, "tocoo"):
        entries = matrix.tocoo()
        entries.sum_duplicates()
        nodes, features, values = entries.row, entries.col, entries.data
        kept = values != 0
        nodes, features, values = nodes[kept], features[kept], values[kept]
    else:
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
            raise ValueError(
                "`matrix` must be an array of numbers of shape (nodes, features). "
                f"Received: shape={matrix.shape}, dtype={matrix.dtype}"
            )
        nodes, features = np.nonzero(matrix)
        values = matrix[nodes, features]
    if not np.all(np.isfinite(values)):
        first = int(np.argmin(np.isfinite(values)))
        raise ValueError(
            f"`matrix` must be finite. Received: {values[first]} at "
            f"[{nodes[first]}, {features[first]}]"
        )
    order = np.lexsort((features, nodes))
    nodes, features, values = nodes[order], features[order], values[order]
    num_nodes = matrix.shape[0]
    counts = np.bincount(nodes, minlength=num_nodes)
    most = max(int(counts.max(initial=0)), 1)
    places = np.arange(len(nodes)) - np.repeat(np.cumsum(counts) - counts, counts)
    indices = np.full((num_nodes, most), -1, "int32")
    padded = np.zeros((num_nodes, most), "float32")
    indices[nodes, places] = features
    padded[nodes, places] = values
    back_features, back_slots = neighbor_rows(
        features, [(nodes * most + places, num_nodes * most)], width
    )
    return {
        "indices": indices,
        "values": padded,
        "back_slots": back_slots,
        "back_features": back_features,
    }
