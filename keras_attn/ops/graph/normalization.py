"""The normalised adjacency, applied without being formed."""

from keras import ops

from keras_attn.ops.graph.aggregation import inverse, positive_root

NORMALIZATIONS = ("symmetric", "random_walk", None)


def propagate(edges, nodes, normalization=None, self_loops=False):
    """The normalised adjacency times the nodes.

    With `A` the adjacency, `A + I` with self-loops, and `D` the diagonal matrix of the
    sums of its rows: `D^-1/2 A D^-1/2 X` for `"symmetric"`, `D^-1 A X` for
    `"random_walk"`, `A X` for `None`. A sum that is not positive counts as one of a
    node without edges, whose inverse is zero.

    Args:
        edges: `DenseEdges` or `EdgeRows`.
        nodes: Tensor `(..., n, f)`, laid out by `edges`.
        normalization: One of `NORMALIZATIONS`.
        self_loops: Bool, whether `I` is added.

    Returns:
        Tensor of the shape of `nodes`.
    """
    if normalization is None:
        sums = edges.propagate(nodes)
        return sums + nodes if self_loops else sums
    shares = inverse(edges.degrees() + float(self_loops))
    if normalization == "symmetric":
        shares = ops.cast(positive_root(shares), nodes.dtype)[..., None]
        nodes = nodes * shares
    else:
        shares = ops.cast(shares, nodes.dtype)[..., None]
    sums = edges.propagate(nodes)
    return (sums + nodes if self_loops else sums) * shares
