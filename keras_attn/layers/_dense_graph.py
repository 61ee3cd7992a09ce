"""The arguments by which a layer is told of padded graphs with dense adjacencies."""

from keras import ops

from keras_attn.layers._checks import check_mask, check_rank, check_shape, check_width
from keras_attn.ops.graph_coarsening import masked_adjacency
from keras_attn.ops.memory import zero_masked


def dense_graph(nodes, adjacency, nodes_mask, width):
    """Checked `(nodes, adjacency, nodes_mask)` with zeros in the padding.

    Raises:
        ValueError: If an argument has the wrong rank, width or size.
    """
    check_rank("nodes", nodes.shape, (3,), "(batch, nodes, dim)")
    check_width("nodes", nodes.shape, width)
    check_rank("adjacency", adjacency.shape, (3,), "(batch, nodes, nodes)")
    check_shape("adjacency", adjacency.shape, (*nodes.shape[:2], nodes.shape[1]))
    check_mask("nodes_mask", nodes_mask, nodes.shape[:-1])
    adjacency = ops.cast(adjacency, nodes.dtype)
    adjacency = masked_adjacency(adjacency, nodes_mask)
    return zero_masked(nodes, nodes_mask), adjacency, nodes_mask
