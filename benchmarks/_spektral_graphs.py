"""The graph convolutions of Spektral, which wants Keras 2, on the pages of graphs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import tensorflow as tf
from spektral.layers import GCNConv, GlobalSumPool
from spektral.utils.sparse import sp_matrix_to_sp_tensor

from benchmarks._graphs import draw_graph, draw_molecules


def convolution(
    nodes: int, edges: int, dim: int, directed: int = 0
) -> Callable[[], float]:
    """One layer as wide as its input, on a sparse matrix."""
    sample = draw_graph(nodes, edges, dim, directed)
    matrix = _matrix(sample.edges, nodes, dense=False)
    features, layer = tf.constant(sample.nodes), GCNConv(dim)
    layer([features, matrix])

    @tf.function
    def differentiate() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_mean(tf.square(layer([features, matrix])))
        return loss, tape.gradient(loss, [features, layer.trainable_weights])

    return lambda: float(differentiate()[0])


def citation(
    nodes: int, edges: int, dim: int, words: int, dense: bool = False
) -> Callable[[], float]:
    sample = draw_graph(nodes, edges, dim, words=words)
    matrix = _matrix(sample.edges, nodes, dense)
    features = tf.constant(sample.nodes)
    layers = [GCNConv(16, activation="relu"), GCNConv(7)]

    def forward() -> Any:
        hidden = layers[0]([features, matrix])
        return layers[1]([hidden, matrix])

    return _train(layers, forward)


def molecules(graphs: int, dim: int, dense: bool = False) -> Callable[[], float]:
    sample = draw_molecules(graphs, dim)
    layers = [GCNConv(dim, activation="relu") for _ in range(2)]
    if dense:
        nodes, matrix = _padded(sample, graphs)
        return _train(
            layers,
            lambda: tf.reduce_sum(
                layers[1]([layers[0]([nodes, matrix]), matrix]), axis=1
            ),
        )
    matrix = _matrix(sample.edges, len(sample.nodes), dense=False)
    nodes, ids = tf.constant(sample.nodes), tf.constant(sample.graph_ids)
    pool = GlobalSumPool()
    return _train(
        layers, lambda: pool([layers[1]([layers[0]([nodes, matrix]), matrix]), ids])
    )


def _matrix(edges: np.ndarray, nodes: int, dense: bool) -> Any:
    ones = np.ones(len(edges), "float32")
    matrix = scipy.sparse.csr_matrix((ones, edges.T[::-1]), (nodes, nodes))
    matrix = GCNConv.preprocess(matrix).astype("float32")
    return tf.constant(matrix.toarray()) if dense else sp_matrix_to_sp_tensor(matrix)


def _padded(sample: Any, graphs: int) -> tuple[Any, Any]:
    """Nodes `(graphs, most, f)` and normalised matrices `(graphs, most, most)`."""
    sizes = np.bincount(sample.graph_ids, minlength=graphs)
    firsts = np.cumsum(sizes) - sizes
    nodes = np.zeros((graphs, sizes.max(), sample.nodes.shape[1]), "float32")
    places = np.arange(len(sample.nodes)) - firsts[sample.graph_ids]
    nodes[sample.graph_ids, places] = sample.nodes
    matrices = np.zeros((graphs, sizes.max(), sizes.max()), "float32")
    owner = sample.graph_ids[sample.edges[:, 0]]
    matrices[owner, places[sample.edges[:, 1]], places[sample.edges[:, 0]]] = 1.0
    matrices = np.stack([GCNConv.preprocess(matrix) for matrix in matrices])
    return tf.constant(nodes), tf.constant(matrices.astype("float32"))


def _train(layers: list[Any], forward: Callable[[], Any]) -> Callable[[], float]:
    from tf_keras.optimizers import Adam

    optimizer = Adam()
    forward()
    weights = [weight for layer in layers for weight in layer.trainable_weights]
    optimizer.build(weights)

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(forward()))
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    return lambda: float(train())
