"""Many graphs in batches of a few fixed shapes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_attn.data._epoch_order import Batch, EpochOrder
from keras_attn.data._graph_plans import DisjointPlan, PaddedPlan, Shape
from keras_attn.data._graph_targets import check_targets, collate_targets
from keras_attn.data.graph import Graph
from keras_attn.data.graph_collation import (
    alike,
    joined,
    merge_graphs,
    pad_graphs,
    stacked,
)
from keras_attn.data.layout import neighbor_layout

MODES = ("padded", "disjoint")


class GraphBatch(EpochOrder):
    """Batches of graphs for `fit`, `evaluate` and `predict`, in a few fixed shapes.

    A padded batch has a row for each graph, as `pad_graphs` makes them: every graph
    goes to the first bucket that holds it, and every batch is of one bucket. A
    disjoint batch is one large graph without edges between its parts, as
    `merge_graphs` makes it. Each of its batches gets graphs of all sizes, so that all
    are about equally large and one shape holds them with little padding. Either way a
    compiled step is compiled once for each shape, however many batches there are.

    A batch is `(inputs, targets, weights)`, or `(inputs,)` if there are no targets.
    The inputs are a dictionary of what `pad_graphs` or `merge_graphs` returns, with
    `"layout"` in the place of `"edges"` if asked for. Targets of graphs have the shape
    `(batch_size, values)`; those of nodes and edges have the leading axes of `"nodes"`
    or `"edges"` instead. The axis of values is there also if there is but one. The
    weights have the leading axes only, and are 1, and 0 for padding and for what has
    no target (NaN). If a target has several values and only some are missing,
    they stay NaN, for a loss that leaves them out. A last batch is filled up with
    empty graphs of weight 0, so that every graph counts exactly once an epoch.

    Weights act on the loss and on `weighted_metrics` of `compile()`, not on
    `metrics`. Keras divides a weighted loss by the number of all elements; a loss
    made with `reduction="mean_with_sample_weight"` divides by the weights' sum. For
    nodes and edges in padded batches, metrics average over a row before they add up
    rows: they are exact with one bucket, or with disjoint batches.

    The order of an epoch depends on `seed` and on the number of the epoch alone, if
    `fit` is called as below: `shuffle=False` keeps Keras from shuffling the batches
    once more, and the callback tells the data set which epoch begins.

    Args:
        graphs: The graphs, with the same features throughout. Where only some have
            weights of edges, those of the others are 1.
        batch_size: Integer, the most graphs of a batch.
        mode: String, `"padded"` or `"disjoint"`.
        buckets: The shapes, as pairs of nodes and edges: of a graph if padded, of a
            whole batch if disjoint. Or an integer, how many to choose so that there is
            the least padding; that of disjoint batches is 1.
        targets: String, what the targets of the graphs belong to: `"graph"`,
            `"node"` or `"edge"`. None leaves them out.
        layout_width: Integer, the neighbours in a row of the tables that
            `neighbor_layout` makes, or None for edges instead of tables.
        shuffle: Boolean, whether every epoch has an order of its own; otherwise
            batches come in the order of the buckets, graphs in the order given.
        seed: Integer, the seed of the order.
        **kwargs: Passed to `keras.utils.PyDataset`, such as `workers`.

    Raises:
        ValueError: If the graphs differ in their features or targets, or one is too
            large for every bucket.

    Example:

    ```python
    batches = GraphBatch(graphs, 64, buckets=3)
    callbacks = [batches.epoch_callback()]
    model.fit(batches, epochs=8, shuffle=False, callbacks=callbacks)

    batches = GraphBatch(graphs, 64, buckets=3, shuffle=False)
    predictions = batches.in_order(model.predict(batches))
    ```
    """

    def __init__(
        self,
        graphs: Sequence[Graph],
        batch_size: int,
        mode: str = "padded",
        buckets: int | Sequence[Shape] = 1,
        targets: str | None = "graph",
        layout_width: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(shuffle, seed, **kwargs)
        self.graphs = alike(list(graphs))
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={mode!r}")
        if layout_width is not None and layout_width < 1:
            raise ValueError(
                "`layout_width` must be at least 1. "
                f"Received: layout_width={layout_width}"
            )
        if all(graph.targets is None for graph in self.graphs):
            targets = None
        if targets is not None:
            check_targets(self.graphs, targets)
        self.batch_size = batch_size
        self.mode = mode
        self.targets = targets
        self.layout_width = layout_width
        sizes = np.array([(g.num_nodes, g.num_edges) for g in self.graphs])
        self._plan: PaddedPlan | DisjointPlan
        if mode == "padded":
            self._plan = PaddedPlan(sizes, batch_size, buckets)
        else:
            self._plan = DisjointPlan(sizes, batch_size, buckets, shuffle)
        self.set_epoch(0)

    @property
    def shapes(self) -> list[Shape]:
        """The shapes that batches may have, as pairs of nodes and edges."""
        return list(self._plan.shapes)

    def __getitem__(self, index: int):
        (nodes, edges), rows = self._batches[index]
        graphs = [self.graphs[row] for row in rows]
        if self.mode == "padded":
            inputs: dict[str, Any] = pad_graphs(graphs, nodes, edges, self.batch_size)
        else:
            inputs = merge_graphs(graphs, nodes, edges)
        if self.layout_width is not None:
            inputs["layout"] = _layout(inputs.pop("edges"), nodes, self.layout_width)
        if self.targets is None:
            return (inputs,)
        targets = [graph.targets for graph in graphs]
        if self.targets == "graph":
            targets = [values[None] for values in targets]
            place = partial(joined, size=self.batch_size)
        else:
            size = nodes if self.targets == "node" else edges
            if self.mode == "padded":
                place = partial(stacked, rows=self.batch_size, size=size)
            else:
                place = partial(joined, size=size)
        return inputs, *collate_targets(targets, place)

    def in_order(self, predictions: np.ndarray) -> np.ndarray:
        """Returns predictions for graphs in the order of the graphs.

        Args:
            predictions: Array of shape `(batches * batch_size, ...)`, what
                `model.predict` makes of this data set.

        Returns:
            Array of shape `(graphs, ...)`, without those for padding.
        """
        if self.shuffle:
            raise ValueError(
                "The batches are shuffled, so that predictions can no longer be told "
                "apart. Make a data set with `shuffle=False` to predict."
            )
        if len(predictions) != len(self) * self.batch_size:
            raise ValueError(
                f"`predictions` must have {len(self) * self.batch_size} rows, one for "
                f"each graph of each batch. Received: shape={predictions.shape}"
            )
        ordered = np.empty(
            (len(self.graphs), *predictions.shape[1:]), predictions.dtype
        )
        for i, batch in enumerate(self._batches):
            first = i * self.batch_size
            ordered[batch.rows] = predictions[first : first + len(batch.rows)]
        return ordered

    def _arrange(self, rng: np.random.Generator | None) -> list[Batch]:
        return self._plan.batches(rng)


def _layout(edges: np.ndarray, nodes: int, width: int) -> dict[str, np.ndarray]:
    """Returns the tables of one graph, or of each graph of a padded batch."""
    num_edges = edges.shape[-2]
    # A node of degree d > 0 takes at most (d + width - 1) / width rows.
    rows = max(1, (num_edges + min(nodes, num_edges) * (width - 1)) // width)
    if edges.ndim == 2:
        return neighbor_layout(edges, nodes, width, rows, rows)
    tables = [neighbor_layout(graph, nodes, width, rows, rows) for graph in edges]
    return {name: np.stack([table[name] for table in tables]) for name in tables[0]}
