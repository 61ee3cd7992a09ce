import keras
from keras import ops

from keras_attn.layers._graph_arguments import read_edges
from keras_attn.layers._graph_layer import check_choice
from keras_attn.ops.graph.aggregation import AGGREGATIONS, aggregate
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class MessagePassing(keras.layers.Layer):
    """Base of graph layers: messages along the edges, aggregated at the receivers.

    Override `message`, of what an edge sees, and `update`, of what a node does. Make
    weights in `build(self, nodes_shape)`, or `build(self, nodes_shape,
    edge_features_shape=None)`. All forms of a graph then work, with equal results, if
    both methods look at the last axis only.

    A message is multiplied by the weight of its edge. An edge of weight zero is none.

    Args:
        aggregation: `"sum"`, `"mean"` (the sum divided by that of the weights) or
            `"max"`. A node that receives nothing gets zeros.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        nodes: Tensor `(nodes, dim)` or `(batch, nodes, dim)`.
        adjacency, edges, edge_weights, layout, nodes_mask: See `GraphConv`.
        edge_features: Optional tensor `(edges, width)` or `(batch, edges, width)`, in
            the order of the edge list also with a `layout`; with an `adjacency`
            `(nodes, nodes, width)`, receivers first, with or without a batch.

    Returns:
        Tensor `(nodes, width)` or `(batch, nodes, width)`, as wide as what `update`
        returns; zeros where a node is masked.

    Raises:
        ValueError: If an argument has the wrong rank, size or value.

    Example:

    ```python
    class Difference(keras_attn.MessagePassing):
        def message(self, senders, receivers, edge_features=None):
            return senders - receivers

    steepest = Difference(aggregation="max")(nodes, edges=edges)
    ```

    Reference:
        Gilmer et al., 2017, https://arxiv.org/abs/1704.01212.
    """

    def __init__(self, aggregation="sum", **kwargs):
        super().__init__(**kwargs)
        check_choice("aggregation", aggregation, AGGREGATIONS)
        self.supports_masking = True
        self.aggregation = aggregation

    def message(self, senders, receivers, edge_features=None):
        """What goes along an edge.

        Args:
            senders: Tensor `(..., dim)`, the senders of the edges.
            receivers: Tensor `(..., dim)`, their receivers.
            edge_features: Tensor `(..., width)`, or `None` if none are given.

        Returns:
            Tensor `(..., message)`.
        """
        return senders

    def update(self, nodes, messages):
        """What a node becomes.

        Args:
            nodes: Tensor `(..., dim)`.
            messages: Tensor `(..., message)`, what each has received.

        Returns:
            Tensor `(..., output)`.
        """
        return messages

    def call(
        self,
        nodes,
        adjacency=None,
        edges=None,
        edge_weights=None,
        layout=None,
        edge_features=None,
        nodes_mask=None,
    ):
        connected = read_edges(
            nodes, adjacency, edges, edge_weights, layout, nodes_mask, edge_features
        )
        values = connected.lay_out(zero_masked(nodes, nodes_mask))
        if edge_features is not None:
            # Cleaned before they are used, as those of padding may be anything.
            edge_features = connected.kept(connected.on_edges(edge_features), 0.0)
        ends = (connected.from_senders(values), connected.from_receivers(values))
        shape = (*ops.shape(connected.exists), values.shape[-1])
        senders, receivers = (ops.broadcast_to(end, shape) for end in ends)
        messages = self.message(senders, receivers, edge_features)
        received = aggregate(connected, messages, self.aggregation)
        outputs = connected.restore(self.update(values, received))
        return zero_masked(outputs, nodes_mask)

    def get_config(self):
        return {**super().get_config(), "aggregation": self.aggregation}
