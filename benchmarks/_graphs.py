"""Graphs of named sizes, drawn at random and alike for every framework."""

from typing import NamedTuple

import numpy as np

_SPREAD = 1.5  # of the logarithms of the popularity: a few nodes have most edges


class Sample(NamedTuple):
    """Nodes `(n, f)`, edges `(e, 2)` of senders and receivers, graph of each node."""

    nodes: np.ndarray
    edges: np.ndarray
    graph_ids: np.ndarray


def draw_graph(
    nodes: int, edges: int, dim: int, directed: int = 0, words: int = 0
) -> Sample:
    """One graph whose degrees have a long tail.

    Args:
        nodes: Its nodes.
        edges: Its directed edges, both ways counted.
        dim: Features of a node.
        directed: Whether an edge has no counterpart.
        words: Where not zero, so many features of a node are one, the rest zero.
    """
    rng = np.random.default_rng(0)
    popularity = np.exp(_SPREAD * rng.normal(size=nodes))
    drawn = edges if directed else edges // 2
    ends = rng.choice(nodes, drawn, p=popularity / popularity.sum())
    pairs = np.stack([rng.integers(0, nodes, drawn), ends], axis=1)
    if not directed:
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
    features = rng.normal(size=(nodes, dim)).astype("float32")
    if words:
        features = np.zeros((nodes, dim), "float32")
        np.put_along_axis(features, rng.integers(0, dim, (nodes, words)), 1.0, axis=1)
    return Sample(features, pairs.astype("int32"), np.zeros(nodes, "int32"))


def draw_molecules(graphs: int, dim: int) -> Sample:
    """Graphs side by side: a chain of 20 to 30 atoms with two rings closed in it."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 31, graphs)
    pairs = []
    for first, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        chain = first + np.stack([np.arange(size - 1), np.arange(1, size)], axis=1)
        rings = first + np.array([[0, 5], [8, 13]])
        pairs += [chain, rings]
    edges = np.concatenate(pairs)
    edges = np.concatenate([edges, edges[:, ::-1]]).astype("int32")
    features = rng.normal(size=(sizes.sum(), dim)).astype("float32")
    return Sample(features, edges, np.repeat(np.arange(graphs), sizes).astype("int32"))
