"""From the nodes of many graphs to one row a graph.

The graphs come padded, nodes `(b, n, f)` with a bool mask `(b, n)`, or side by side,
nodes `(n, f)` with the id of each node's graph, `(n,)`. A node whose id is not one of
`0 .. num_graphs - 1` belongs to none, and a graph without nodes yields zeros.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_attn.ops.graph.segments import segment_sum
from keras_attn.ops.memory import zero_masked

MODES = ("sum", "mean", "max")
LOWEST = -1e30  # finite, so that a graph without nodes has no NaN


class Members(NamedTuple):
    """Which nodes belong to which graph, in one of the two forms.

    nodes_mask: Optional bool `(b, n)` or `(n,)`.
    graph_ids: Of graphs side by side, int `(n,)`; `None` for padded graphs.
    num_graphs: Their number, an int.
    """

    nodes_mask: Any = None
    graph_ids: Any = None
    num_graphs: int | None = None

    def kept(self):
        """Bool `(b, n)` or `(n,)`: which nodes belong to a graph; `None` if all do."""
        if self.graph_ids is None:
            return self.nodes_mask
        inside = ops.logical_and(self.graph_ids >= 0, self.graph_ids < self.num_graphs)
        if self.nodes_mask is None:
            return inside
        return ops.logical_and(inside, self.nodes_mask)


def pool_graphs(nodes, members, mode):
    """Sum, mean or maximum of each graph's nodes, computed in float32 or wider.

    Args:
        nodes: Tensor `(b, n, f)` or `(n, f)`.
        members: `Members` of the graphs.
        mode: `"sum"`, `"mean"` or `"max"`.

    Returns:
        Tensor `(g, f)`.
    """
    dtype = nodes.dtype
    nodes = zero_masked(_widened(nodes), members.kept())
    if mode == "max":
        pooled = _maximum(nodes, members)
    else:
        pooled = _sum(nodes, members)
    if mode == "mean":
        pooled = pooled / ops.maximum(_count(nodes, members), 1.0)
    return ops.cast(pooled, dtype)


def softmax_over_graphs(scores, members):
    """Softmax of `(b, n)` or `(n,)` over each graph's nodes; zeros for other nodes."""
    dtype = scores.dtype
    kept = members.kept()
    scores = zero_masked(_widened(scores)[..., None], kept)
    highest = ops.stop_gradient(_maximum(scores, members))
    shifted = zero_masked(scores - _of_each_node(highest, members), kept)
    exponentials = zero_masked(ops.exp(shifted), kept)
    total = _of_each_node(_sum(exponentials, members), members)
    weights = exponentials / ops.where(total > 0, total, 1.0)
    return ops.cast(weights[..., 0], dtype)


def _sum(nodes, members):
    if members.graph_ids is None:
        return ops.sum(nodes, axis=-2)
    return segment_sum(nodes, _ids(members), members.num_graphs)


def _count(nodes, members):
    return _sum(zero_masked(ops.ones_like(nodes[..., :1]), members.kept()), members)


def _maximum(nodes, members):
    if nodes.shape[-2] == 0:  # torch has no maximum of nothing
        return _sum(nodes, members)
    kept = members.kept()
    if kept is not None:
        nodes = ops.where(kept[..., None], nodes, LOWEST)
    if members.graph_ids is None:
        highest = ops.max(nodes, axis=-2, initial=LOWEST)
    else:
        highest = ops.segment_max(nodes, _ids(members), num_segments=members.num_graphs)
    return ops.where(_count(nodes, members) > 0, highest, 0.0)


def _ids(members):
    """Nodes of no graph get id -1, which every backend drops, compiled or not."""
    return ops.where(members.kept(), members.graph_ids, -1)


def _of_each_node(graphs, members):
    """A row a graph -> for each node the row of its graph, or of any if it has none."""
    if members.graph_ids is None:
        return graphs[:, None]
    return ops.take(graphs, ops.clip(_ids(members), 0, members.num_graphs - 1), axis=0)


def _widened(tensor):
    """At least float32: in 16 bits a count stops at 256."""
    return ops.cast(tensor, keras.backend.result_type(tensor.dtype, "float32"))
