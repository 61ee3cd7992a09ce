import keras

from keras_attn.layers._graph_layer import check_choice
from keras_attn.layers._graph_members import graph_members
from keras_attn.ops.graph_pooling import MODES, pool_graphs


@keras.saving.register_keras_serializable("keras_attn")
class GraphPooling(keras.layers.Layer):
    """The sum, mean or maximum of the nodes of each graph.

    The graphs are padded, or lie side by side with the id of its graph for each node.

    Args:
        mode: `"sum"`, `"mean"` or `"max"`.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(batch, nodes, dim)`, or `(nodes, dim)` with `graph_ids`.
        graph_ids: Optional int tensor `(nodes,)`, the graph of each node, from 0 on;
            -1 for padding. An id beyond `num_graphs` raises an error where its value
            is known when the layer is called, and is taken for padding elsewhere.
        num_graphs: Int, with `graph_ids`: how many graphs there are.
        nodes_mask: Optional bool tensor of the shape of `nodes` but for `dim`, `False`
            for padding. Defaults to the Keras mask of `nodes`.

    Returns:
        Tensor `(batch, dim)` or `(num_graphs, dim)`, zeros for a graph without nodes.

    Raises:
        ValueError: If the mode is not known, or an argument has the wrong rank, dtype
            or value.

    Example:
        >>> pooled = keras_attn.GraphPooling("mean")(nodes, nodes_mask=mask)

    Reference:
        Xu et al., 2019, https://arxiv.org/abs/1810.00826, on what each can tell apart.
    """

    def __init__(self, mode="sum", **kwargs):
        super().__init__(**kwargs)
        check_choice("mode", mode, MODES)
        self.mode = mode

    def build(self, nodes_shape):
        pass

    def call(self, nodes, graph_ids=None, num_graphs=None, nodes_mask=None):
        members = graph_members(nodes, graph_ids, num_graphs, nodes_mask)
        return pool_graphs(nodes, members, self.mode)

    def compute_mask(self, inputs, previous_mask):
        return None  # the axis of the nodes is gone

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
