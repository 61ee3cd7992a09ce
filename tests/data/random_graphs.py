"""Graphs of all sizes whose parts can be told apart."""

import numpy as np

from keras_attn.data import Graph


def random_graphs(count, level="graph", seed=0):
    """Graphs of which every feature of graph i is between i and i + 1.

    Among them are graphs without edges, and one without nodes.
    """
    rng = np.random.default_rng(seed)
    return [_random_graph(rng, i, level) for i in range(count)]


def _random_graph(rng, number, level):
    num_nodes = 0 if number == 3 else int(rng.integers(1, 10))
    num_edges = int(rng.integers(0, 3 * num_nodes)) if num_nodes else 0
    shape = {"graph": (), "node": (num_nodes,), "edge": (num_edges,)}[level]
    return Graph(
        nodes=number + rng.random((num_nodes, 3)),
        edges=rng.integers(0, max(num_nodes, 1), (num_edges, 2)),
        edge_features=number + rng.random((num_edges, 2)),
        edge_weights=number + rng.random(num_edges),
        targets=number + rng.random(shape),
    )
