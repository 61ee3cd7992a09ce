"""The Fourier basis of a graph."""

import numpy as np


def laplacian_basis(
    adjacency: np.ndarray,
    normalization: str | None = "symmetric",
    frequencies: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of a graph's Laplacian, lowest frequency first.

    The Laplacian is `I - D^-1/2 A D^-1/2`, or `D - A` without normalisation, as in
    `keras_attn.ChebyshevConv`: a node without edges has a 1 on the normalised
    diagonal. It takes time O(n^3).

    Args:
        adjacency: Array `(n, n)`, symmetric.
        normalization: `"symmetric"` or `None`.
        frequencies: Integer, how many to keep, the lowest ones; by default all.

    Returns:
        float32 arrays: eigenvectors `(n, frequencies)`, one a column, and eigenvalues
        `(frequencies,)`.

    Raises:
        ValueError: If `adjacency` is not a symmetric finite matrix, or has fewer
            nodes than there should be frequencies.

    Example:

    ```python
    eigenvectors, eigenvalues = laplacian_basis(adjacency)
    hidden = keras_attn.SpectralConv(16)(nodes, eigenvectors)
    ```
    """
    matrix = np.asarray(adjacency, "float64")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            "`adjacency` must have shape (nodes, nodes). "
            f"Received: adjacency.shape={matrix.shape}"
        )
    if not np.all(np.isfinite(matrix)) or not np.array_equal(matrix, matrix.T):
        raise ValueError(
            "`adjacency` must be finite and symmetric: the Laplacian of a directed "
            "graph has no orthogonal eigenvectors."
        )
    if normalization not in ("symmetric", None):
        raise ValueError(
            "`normalization` must be 'symmetric' or None. "
            f"Received: normalization={normalization!r}"
        )
    if frequencies is not None and not 1 <= frequencies <= len(matrix):
        raise ValueError(
            f"`frequencies` must be from 1 to the {len(matrix)} nodes. "
            f"Received: frequencies={frequencies}"
        )
    degrees = matrix.sum(axis=1)
    if normalization == "symmetric":
        positive = degrees > 0
        roots = np.where(positive, np.where(positive, degrees, 1.0) ** -0.5, 0.0)
        laplacian = np.eye(len(matrix)) - roots[:, None] * matrix * roots
    else:
        laplacian = np.diag(degrees) - matrix
    eigenvalues, eigenvectors = np.linalg.eigh(laplacian)
    return (
        eigenvectors[:, :frequencies].astype("float32"),
        eigenvalues[:frequencies].astype("float32"),
    )
