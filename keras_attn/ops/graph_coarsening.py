"""From a padded dense graph to a smaller one: the best nodes, or clusters of nodes.

Shapes: nodes `(b, n, f)`, adjacency `(b, n, n)`, mask bool `(b, n)` or `None`.
"""

import math
from fractions import Fraction

from keras import ops

from keras_attn.ops.memory import zero_masked


def masked_adjacency(adjacency, mask):
    """Zeros in the rows and columns of padding, whatever lay there."""
    if mask is None:
        return adjacency
    both = ops.logical_and(mask[:, :, None], mask[:, None, :])
    return ops.where(both, adjacency, 0.0)


def share(ratio, count):
    """`ratio` of a count, rounded up; of an int an int, of a tensor a tensor.

    In whole numbers, as 0.7 of 10 is more than 7 in floating point.
    """
    exact = Fraction(ratio).limit_denominator(10_000)
    return -(-count * exact.numerator // exact.denominator)


def best_nodes(nodes, adjacency, scores, mask, ratio):
    """The share of each graph's nodes that scores best, and the edges between them.

    Args:
        nodes, adjacency, mask: As above, zeros in the padding.
        scores: Float32 tensor `(b, n)`.
        ratio: Float in [0.001, 1]. `k` is this share of `n`, rounded up.

    Returns:
        `(nodes, adjacency, mask)` of shapes `(b, k, f)`, `(b, k, k)` and `(b, k)`, the
        nodes in falling order of their scores.
    """
    batch, slots = ops.shape(nodes)[:2]
    if mask is None:
        mask = ops.ones((batch, slots), "bool")
    ranked = ops.argsort(ops.where(mask, -scores, 1e30), axis=-1)
    places = ranked[:, : share(ratio, slots)]
    counts = share(ratio, ops.sum(ops.cast(mask, "int32"), axis=-1))
    kept = ops.arange(ops.shape(places)[1], dtype="int32") < counts[:, None]
    nodes = ops.take_along_axis(nodes, places[:, :, None], axis=1)
    adjacency = ops.take_along_axis(adjacency, places[:, :, None], axis=1)
    adjacency = ops.take_along_axis(adjacency, places[:, None, :], axis=2)
    return zero_masked(nodes, kept), masked_adjacency(adjacency, kept), kept


def clustered(nodes, adjacency, assignment):
    """Nodes and adjacency of clusters: `S^T X` and the normalised `S^T A S`.

    The diagonal, the edges inside a cluster, is taken out of `S^T A S`, which would
    otherwise outweigh the rest, and the degrees are divided out of both sides.

    Args:
        nodes, adjacency: As above, zeros in the padding.
        assignment: Tensor `(b, n, k)`, zeros in the padding.

    Returns:
        `(nodes, adjacency)` of shapes `(b, k, f)` and `(b, k, k)`.
    """
    pooled = ops.einsum("bnk,bnf->bkf", assignment, nodes)
    between = _between(adjacency, assignment)
    between = between * (1.0 - ops.eye(assignment.shape[-1], dtype=between.dtype))
    degrees = ops.sum(between, axis=-1)
    scale = ops.where(degrees > 0, ops.rsqrt(ops.where(degrees > 0, degrees, 1.0)), 0.0)
    return pooled, scale[:, :, None] * between * scale[:, None, :]


def minimum_cut_loss(adjacency, assignment):
    """`-Tr(S^T A S) / Tr(S^T D S)` a graph, `(b,)`: -1 if no edge is cut, 0 if all are.

    A graph without edges has nothing to cut, and 0.
    """
    inside = ops.trace(_between(adjacency, assignment), axis1=-2, axis2=-1)
    degrees = ops.sum(adjacency, axis=-1)
    ends = ops.einsum("bn,bnk->b", degrees, ops.square(assignment))
    return -ops.where(ends > 0, inside / ops.where(ends > 0, ends, 1.0), 0.0)


def orthogonality_loss(assignment):
    """`||S^T S / ||S^T S|| - I / sqrt(k)||` a graph, `(b,)`: 0 for equal clusters.

    A graph without nodes has 0.
    """
    clusters = assignment.shape[-1]
    overlap = ops.einsum("bnk,bnl->bkl", assignment, assignment)
    norm = _norm(overlap)
    unit = overlap / ops.where(norm > 0, norm, 1.0)[:, None, None]
    identity = ops.eye(clusters, dtype=overlap.dtype) / math.sqrt(clusters)
    return ops.where(norm > 0, _norm(unit - identity), 0.0)


def _between(adjacency, assignment):
    """`S^T A S`, `(b, k, k)`."""
    reached = ops.matmul(adjacency, assignment)
    return ops.einsum("bnk,bnl->bkl", assignment, reached)


def _norm(matrices):
    """Frobenius norm, with a gradient of zero at zero."""
    squares = ops.sum(ops.square(matrices), axis=(-2, -1))
    return ops.where(squares > 0, ops.sqrt(ops.where(squares > 0, squares, 1.0)), 0.0)
