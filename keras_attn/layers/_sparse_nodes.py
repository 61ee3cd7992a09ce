"""Nodes of which only the features that are not zero are given."""

import math

from keras import ops

from keras_attn.layers._checks import check_rank, check_shape, known_values
from keras_attn.ops.graph.indices import count_through
from keras_attn.ops.graph.sparse_features import BACK, sparse_product

_FEATURES = {"indices", "values"}


def check_sparse_nodes(nodes, input_dim):
    """Raises unless `nodes` are what `keras_attn.data.sparse_features` makes."""
    if set(nodes) not in (_FEATURES, {*_FEATURES, *BACK}):
        raise ValueError(
            "Sparse `nodes` must be a dict of 'indices' and 'values', and perhaps of "
            f"{BACK[0]!r} and {BACK[1]!r}. Received: {sorted(nodes)}"
        )
    meaning = "(nodes, k) or (batch, nodes, k)"
    check_rank("nodes['values']", nodes["values"].shape, (2, 3), meaning)
    check_shape("nodes['indices']", nodes["indices"].shape, nodes["values"].shape)
    indices = known_values(nodes["indices"])
    if indices is not None and indices.max(initial=-1) >= input_dim:
        raise ValueError(
            f"`nodes['indices']` must be below `input_dim`. Received: {indices.max()} "
            f"with input_dim={input_dim}"
        )


def project_sparse_nodes(nodes, values, kernel):
    """The nodes times a kernel `(features, units)`.

    Args:
        nodes: The dict, checked.
        values: Those of `nodes`, or what has become of them, of any shape that has
            `k` as its last axis and the nodes in their order.
        kernel: Tensor `(features, units)`.

    Returns:
        Tensor of the shape of `values`, with units in place of `k`.
    """
    width = values.shape[-1]
    back = None
    if BACK[0] in nodes:
        *batch, count, _ = ops.shape(nodes["values"])
        slots = (*batch, count * width)
        back = (
            count_through(nodes["back_slots"], slots, math.prod(slots)),
            ops.reshape(nodes["back_features"], (-1,)),
        )
    product = sparse_product(
        ops.reshape(nodes["indices"], (-1, width)),
        ops.reshape(values, (-1, width)),
        kernel,
        back,
    )
    return ops.reshape(product, (*ops.shape(values)[:-1], kernel.shape[-1]))
