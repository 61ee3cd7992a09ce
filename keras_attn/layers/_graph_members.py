"""The arguments by which a pooling layer is told which nodes belong to which graph."""

import keras
from keras import ops

from keras_attn.layers._checks import check_mask, check_rank, check_shape, known_values
from keras_attn.ops.graph_pooling import Members


def graph_members(nodes, graph_ids, num_graphs, nodes_mask):
    """The checked arguments as `Members`.

    Raises:
        ValueError: If they contradict each other, or an id lies beyond the graphs
            where its value is known.
    """
    if nodes_mask is None:  # Keras fills it in where there are several tensors only
        nodes_mask = getattr(nodes, "_keras_mask", None)
    if graph_ids is None:
        check_rank("nodes", nodes.shape, (3,), "(batch, nodes, dim)")
        if num_graphs is not None:
            raise ValueError(
                "`num_graphs` goes with `graph_ids`; padded graphs are counted by "
                f"their batch. Received: num_graphs={num_graphs}, graph_ids=None"
            )
        check_mask("nodes_mask", nodes_mask, nodes.shape[:-1])
        return Members(nodes_mask)
    check_rank("nodes", nodes.shape, (2,), "(nodes, dim) with `graph_ids`")
    if not isinstance(num_graphs, int) or num_graphs < 1:
        raise ValueError(
            "`num_graphs` must be an int of at least 1 with `graph_ids`, as the output "
            f"has so many rows. Received: num_graphs={num_graphs!r}"
        )
    check_mask("nodes_mask", nodes_mask, nodes.shape[:-1])
    return Members(nodes_mask, _checked_ids(graph_ids, nodes, num_graphs), num_graphs)


def _checked_ids(graph_ids, nodes, num_graphs):
    graph_ids = ops.convert_to_tensor(graph_ids)
    dtype = keras.backend.standardize_dtype(graph_ids.dtype)
    if "int" not in dtype:
        raise ValueError(
            f"`graph_ids` must be integers. Received: graph_ids.dtype={dtype}"
        )
    check_shape("graph_ids", graph_ids.shape, nodes.shape[:1])
    values = known_values(graph_ids)
    if values is not None and values.max(initial=-1) >= num_graphs:
        raise ValueError(
            f"`graph_ids` must be below `num_graphs`, or -1 for padding. Received: "
            f"num_graphs={num_graphs}, graph_ids up to {values.max()}"
        )
    return graph_ids
