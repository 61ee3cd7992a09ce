"""From a padded graph to a smaller one: the best nodes, or clusters of nodes.

Shapes: nodes `(b, n, f)`, mask bool `(b, n)` or `None`.
"""

import math
from fractions import Fraction

from keras import ops

from keras_attn.ops.graph.aggregation import inverse, positive_root
from keras_attn.ops.memory import zero_masked


def share(ratio, count):
    """`ratio` of a count, rounded up; of an int an int, of a tensor a tensor.

    In whole numbers, as 0.7 of 10 is more than 7 in floating point.
    """
    exact = Fraction(ratio).limit_denominator(10_000)
    return -(-count * exact.numerator // exact.denominator)


def best_nodes(scores, mask, ratio):
    """The share of each graph's nodes that scores best.

    Args:
        scores: Float32 tensor `(b, n)`.
        mask: As above.
        ratio: Float in [0.001, 1]. `k` is this share of `n`, rounded up.

    Returns:
        Int tensor `(b, n)`, the nodes in falling order of their scores, padding last,
        and bool tensor `(b, k)`, which of the first `k` of them stay.
    """
    slots = ops.shape(scores)[1]
    if mask is None:
        mask = ops.ones_like(scores, "bool")
    ranked = ops.argsort(ops.where(mask, -scores, 1e30), axis=-1)
    counts = share(ratio, ops.sum(ops.cast(mask, "int32"), axis=-1))
    kept = ops.arange(share(ratio, slots), dtype="int32") < counts[:, None]
    return ranked, kept


def nodes_at(nodes, ranked, kept):
    """The nodes `(b, k, f)` that stay, zeros behind them."""
    places = ranked[:, : ops.shape(kept)[1]]
    return zero_masked(ops.take_along_axis(nodes, places[:, :, None], axis=1), kept)


def adjacency_at(adjacency, ranked, kept):
    """The adjacency `(b, k, k)` of the nodes that stay, zeros behind it."""
    places = ranked[:, : ops.shape(kept)[1]]
    rows = ops.take_along_axis(adjacency, places[:, :, None], axis=1)
    both = ops.take_along_axis(rows, places[:, None, :], axis=2)
    pairs = ops.logical_and(kept[:, :, None], kept[:, None, :])
    return ops.where(pairs, both, 0.0)


def edges_at(edges, ranked, kept):
    """The edges `(b, e, 2)` in the numbers of the nodes that stay.

    One that loses an end keeps its place in the list, and has the receiver -1.
    """
    numbers = ops.cast(ops.argsort(ranked, axis=-1), "int32")
    counts = ops.sum(ops.cast(kept, "int32"), axis=-1, keepdims=True)
    numbers = ops.where(numbers < counts, numbers, -1)
    numbers = ops.pad(numbers, [(0, 0), (0, 1)], constant_values=-1)  # of no node
    slots = ops.shape(ranked)[1]
    edges = ops.cast(edges, "int32")
    inside = ops.logical_and(edges >= 0, edges < slots)
    flat = ops.reshape(ops.where(inside, edges, slots), (ops.shape(edges)[0], -1))
    ends = ops.reshape(ops.take_along_axis(numbers, flat, axis=1), ops.shape(edges))
    both = ops.all(ends >= 0, axis=-1, keepdims=True)
    return ops.where(both, ends, ops.convert_to_tensor([0, -1], "int32"))


def clustered(nodes, assignment, between):
    """Nodes and adjacency of clusters: `S^T X` and the normalised `S^T A S`.

    The diagonal, the edges inside a cluster, is taken out of `S^T A S`, which would
    otherwise outweigh the rest, and the degrees are divided out of both sides.

    Args:
        nodes: As above, zeros in the padding.
        assignment: Tensor `(b, n, k)`, `S`, zeros in the padding.
        between: Tensor `(b, k, k)`, `S^T A S`.

    Returns:
        `(nodes, adjacency)` of shapes `(b, k, f)` and `(b, k, k)`.
    """
    pooled = ops.einsum("bnk,bnf->bkf", assignment, nodes)
    between = between * (1.0 - ops.eye(assignment.shape[-1], dtype=between.dtype))
    scale = positive_root(inverse(ops.sum(between, axis=-1)))
    return pooled, scale[:, :, None] * between * scale[:, None, :]


def minimum_cut_loss(assignment, between, degrees):
    """`-Tr(S^T A S) / Tr(S^T D S)` a graph, `(b,)`: -1 if no edge is cut, 0 if all are.

    A graph without edges has nothing to cut, and 0. `degrees` are those of `A`.
    """
    inside = ops.trace(between, axis1=-2, axis2=-1)
    ends = ops.einsum("bn,bnk->b", degrees, ops.square(assignment))
    return -inside * inverse(ends)


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


def _norm(matrices):
    """Frobenius norm, with a gradient of zero at zero."""
    return positive_root(ops.sum(ops.square(matrices), axis=(-2, -1)))
