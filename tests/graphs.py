"""One graph in every form that a graph layer takes, padding full of rubbish."""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_attn.data import neighbor_layout

FORMS = [
    "adjacency",
    "edges",
    "layout",
    "batched_adjacency",
    "batched_edges",
    "batched_layout",
]
PADDING_NODES, PADDING_EDGES = 2, 3
RUBBISH = np.float32(np.nan)


class Sample(NamedTuple):
    """A directed graph; the last node has no edge at all."""

    nodes: np.ndarray
    edges: np.ndarray
    edge_weights: np.ndarray
    edge_features: np.ndarray

    @property
    def adjacency(self):
        """Weights of edges that occur twice are added."""
        return dense(self, self.edge_weights)

    @property
    def dense_features(self):
        return dense(self, self.edge_features)


def dense(sample, values):
    count = len(sample.nodes)
    matrix = np.zeros((count, count, *values.shape[1:]), values.dtype)
    np.add.at(matrix, (sample.edges[:, 1], sample.edges[:, 0]), values)
    return matrix


def random_graph(rng, nodes=6, width=3, edge_width=2, duplicates=True):
    """With about three edges a node; a loop; and one edge twice, or none."""
    chosen = rng.permutation((nodes - 1) ** 2)[: 3 * nodes - 4]
    edges = np.stack(np.divmod(chosen, nodes - 1), axis=1).astype("int32")
    edges = np.concatenate([edges[edges[:, 0] != edges[:, 1]], [[1, 1]]])
    if duplicates:
        edges = np.concatenate([edges, edges[:1]])
    return Sample(
        rng.normal(size=(nodes, width)).astype("float32"),
        edges.astype("int32"),
        rng.uniform(0.5, 2.0, size=len(edges)).astype("float32"),
        rng.normal(size=(len(edges), edge_width)).astype("float32"),
    )


def arguments(sample, form, weights=True, features=False):
    """The call arguments, by name. A batch has the graph first, then it turned."""
    if form.startswith("batched_"):
        turned = sample._replace(edges=sample.edges[:, ::-1], nodes=sample.nodes[::-1])
        rows = [
            _padded(_single(graph, form.removeprefix("batched_"), weights, features))
            for graph in (sample, turned)
        ]
        return _stack(rows)
    return _single(sample, form, weights, features)


def first(form, outputs, count=6):
    """Those of the graph, of what a layer makes of the batch."""
    outputs = ops.convert_to_numpy(outputs)
    return outputs[0, :count] if form.startswith("batched_") else outputs


def _single(sample, form, weights, features):
    given = {"nodes": sample.nodes}
    if form == "adjacency":
        ones = np.ones_like(sample.edge_weights)
        given["adjacency"] = sample.adjacency if weights else dense(sample, ones)
        if features:
            given["edge_features"] = sample.dense_features
        return given
    given["edges"] = sample.edges
    if form == "layout":
        given["layout"] = neighbor_layout(
            given.pop("edges"), len(sample.nodes), width=2, rows=12, back_rows=13
        )
    if weights:
        given["edge_weights"] = sample.edge_weights
    if features:
        given["edge_features"] = sample.edge_features
    return given


def _padded(given):
    """Two nodes and three edges more, full of rubbish."""
    count = len(given["nodes"])
    padded = dict(given)
    padded["nodes"] = _longer(given["nodes"], PADDING_NODES, RUBBISH)
    padded["nodes_mask"] = np.arange(count + PADDING_NODES) < count
    if "adjacency" in given:
        for name in {"adjacency", "edge_features"} & set(given):
            wide = _longer(np.swapaxes(given[name], 0, 1), PADDING_NODES, RUBBISH)
            padded[name] = _longer(np.swapaxes(wide, 0, 1), PADDING_NODES, RUBBISH)
        return padded
    for name in {"edge_weights", "edge_features"} & set(given):
        padded[name] = _longer(given[name], PADDING_EDGES, RUBBISH)
    if "edges" in given:
        padded["edges"] = _longer(given["edges"], PADDING_EDGES, -1)
        padded["edges"][-PADDING_EDGES:, 0] = [0, 99, -7]  # whatever the sender is
    else:
        # What is empty without the padding is so with it.
        layout = given["layout"]
        senders = {
            name: np.where(layout[name] == count, count + PADDING_NODES, layout[name])
            for name in ("senders", "back_receivers")
        }
        used = {
            name: np.where(layout[sender] == count, 99, layout[name])
            for name, sender in (("edges", "senders"), ("back_edges", "back_receivers"))
        }
        padded["layout"] = {**layout, **senders, **used}
    return padded


def _longer(array, more, filler):
    tail = np.full((more, *array.shape[1:]), filler, array.dtype)
    return np.concatenate([array, tail])


def _stack(rows):
    return {
        name: _stack([row[name] for row in rows])
        if isinstance(value, dict)
        else np.stack([row[name] for row in rows])
        for name, value in rows[0].items()
    }
