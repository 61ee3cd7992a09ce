"""An image is a graph: pixels are nodes, and neighbours are joined."""

import numpy as np


def grid_graph(height: int, width: int, diagonal: bool = True) -> np.ndarray:
    """Edges between the neighbouring pixels of an image, in both directions.

    Pixel `(row, column)` is node `row * width + column`, so that an image of shape
    `(height, width, channels)` becomes nodes by `reshape(height * width, channels)`.
    A graph convolution with self-loops then sees the 3x3 pixels around each, the ones
    beyond the border left out.

    Args:
        height: Integer of at least 1.
        width: Integer of at least 1.
        diagonal: Boolean, whether pixels that touch at a corner are joined too.

    Returns:
        int32 array `(edges, 2)` of senders and receivers, sorted by receiver.

    Raises:
        ValueError: If the image has no pixels.

    Example:

    ```python
    nodes = image.reshape(-1, 3)
    blurred = keras_attn.GraphConv(3, "random_walk")(nodes, edges=grid_graph(28, 28))
    ```
    """
    if height < 1 or width < 1:
        raise ValueError(
            "`height` and `width` must be at least 1. "
            f"Received: height={height}, width={width}"
        )
    rows, columns = np.divmod(np.arange(height * width)[:, None], width)
    row_steps, column_steps = np.divmod(np.arange(9), 3) - np.array([[1], [1]])
    distances = np.abs(row_steps) + np.abs(column_steps)
    joined = (distances > 0) & (distances <= (2 if diagonal else 1))
    sender_rows = rows + row_steps[joined]
    sender_columns = columns + column_steps[joined]
    inside = (sender_rows >= 0) & (sender_rows < height)
    inside &= (sender_columns >= 0) & (sender_columns < width)
    receivers = np.broadcast_to(rows * width + columns, inside.shape)[inside]
    senders = (sender_rows * width + sender_columns)[inside]
    return np.stack([senders, receivers], axis=1).astype("int32")
