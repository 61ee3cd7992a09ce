"""Our graph convolutions on the pages of graphs."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_attn
from benchmarks._graphs import Sample, draw_graph, draw_molecules
from benchmarks._keras_steps import gradient_step, training_step
from keras_attn.data import neighbor_layout, sparse_features


def convolution(
    nodes: int,
    edges: int,
    dim: int,
    directed: int = 0,
    layout: bool = True,
    jit: bool = True,
) -> Callable[[], Any]:
    """One layer as wide as its input: forward, and gradients to weights and nodes."""
    sample = draw_graph(nodes, edges, dim, directed)
    given = _graph(sample, 8 if layout else None)
    inputs, values = _inputs({"nodes": sample.nodes, **given})
    model = keras.Model(inputs, keras_attn.GraphConv(dim)(**inputs))
    return gradient_step(model, values, jit)


def citation(
    nodes: int,
    edges: int,
    dim: int,
    words: int,
    layout: bool = True,
    sparse: bool = False,
    jit: bool = True,
) -> Callable[[], Any]:
    """The two layers of Kipf and Welling, a training step of the whole graph."""
    sample = draw_graph(nodes, edges, dim, words=words)
    given = _graph(sample, 8 if layout else None)
    features = sparse_features(sample.nodes) if sparse else sample.nodes
    inputs, values = _inputs({"nodes": features, **given})
    first = keras_attn.GraphConv(16, activation="relu", input_dim=dim)
    hidden = {**inputs, "nodes": first(**inputs)}
    outputs = keras_attn.GraphConv(7)(**hidden)
    return training_step(keras.Model(inputs, outputs), values, jit)


def molecules(
    graphs: int, dim: int, layout: bool = True, jit: bool = True
) -> Callable[[], Any]:
    """Two layers and a sum over each molecule."""
    sample = draw_molecules(graphs, dim)
    given = _graph(sample, 4 if layout else None)
    inputs, values = _inputs(
        {"nodes": sample.nodes, "graph_ids": sample.graph_ids, **given}
    )
    ids = inputs.pop("graph_ids")
    hidden = inputs
    for _ in range(2):
        layer = keras_attn.GraphConv(dim, activation="relu")
        hidden = {**hidden, "nodes": layer(**hidden)}
    pooled = keras_attn.GraphPooling("sum")(
        hidden["nodes"], graph_ids=ids, num_graphs=graphs
    )
    model = keras.Model({**inputs, "graph_ids": ids}, pooled)
    return training_step(model, values, jit)


def _graph(sample: Sample, width: int | None) -> dict[str, Any]:
    if width is None:
        return {"edges": sample.edges}
    return {"layout": neighbor_layout(sample.edges, len(sample.nodes), width)}


def _inputs(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = keras.tree.map_structure(
        lambda value: keras.Input(batch_shape=value.shape, dtype=str(value.dtype)),
        values,
    )
    return inputs, keras.tree.map_structure(np.asarray, values)
