"""Graphs that contradict themselves are refused where that can be known."""

import keras
import numpy as np
import pytest

from keras_attn import EdgeConv, GraphAttention, GraphConv, SpectralConv
from keras_attn.data import neighbor_layout
from tests.gradients import BACKEND

NODES = np.ones((4, 3), "float32")
EDGES = np.array([[0, 1], [1, 2], [3, 2]], "int32")
LAYOUT = neighbor_layout(EDGES, 4, width=2)
BATCH = {"nodes": NODES[None], "edges": EDGES[None]}


def changed(name, value):
    return {**LAYOUT, name: value}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Exactly one .* Received: none of them"),
        (
            {"edges": EDGES, "layout": LAYOUT},
            "Exactly one .* Received: edges, layout",
        ),
        ({"nodes": NODES[0], "edges": EDGES}, r"`nodes` must have shape"),
        (
            {"adjacency": np.ones((4, 5), "float32")},
            r"`adjacency` must have shape \(4, 4\)",
        ),
        (
            {"adjacency": np.ones((4, 4), "float32"), "edge_weights": np.ones(3)},
            "`edge_weights` go with",
        ),
        ({"edges": EDGES.T}, r"`edges` must have shape \(None, 2\)"),
        ({"edges": EDGES[None]}, "`edges` must have shape"),
        ({**BATCH, "edges": EDGES}, "`edges` must have shape"),
        ({"edges": EDGES.astype("float32")}, "`edges` must be integers"),
        ({"edges": np.array([[0, 4]])}, r"nodes 0 to 3.* Received: the edge \[0, 4\]"),
        ({"edges": np.array([[4, 0]])}, r"Received: the edge \[4, 0\]"),
        ({"edges": np.array([[-1, 0]])}, r"Received: the edge \[-1, 0\]"),
        ({"edges": np.array([[0, -2]])}, r"Received: the edge \[0, -2\]"),
        (
            {"edges": EDGES, "edge_weights": np.ones(4, "float32")},
            r"`edge_weights` must have shape \(3,\)",
        ),
        ({"edges": EDGES, "nodes_mask": np.ones(3, "bool")}, "`nodes_mask` must have"),
        ({"edges": EDGES, "nodes_mask": np.ones(4)}, "`nodes_mask` must be boolean"),
        ({"layout": EDGES}, "`layout` must be a dict"),
        ({"layout": {"senders": LAYOUT["senders"]}}, "`layout` must be a dict"),
        (
            {"layout": changed("receivers", LAYOUT["receivers"][:1])},
            r"`layout\['senders'\]` must have shape \(1, 2\)",
        ),
        (
            {"layout": changed("back_edges", LAYOUT["back_edges"][:1])},
            r"`layout\['back_edges'\]` must have shape \(3, 2\)",
        ),
        (
            {"layout": changed("senders", LAYOUT["senders"] + 1)},
            r"`layout\['senders'\]` must be from 0 to 4 with 4 nodes.* 1 to 5",
        ),
        (
            {"layout": changed("senders", LAYOUT["senders"].astype("float32"))},
            r"`layout\['senders'\]` must be integers",
        ),
        (
            {"layout": changed("receivers", LAYOUT["receivers"] + 3)},
            r"`layout\['receivers'\]` must be from -1 to 3 with 4 nodes",
        ),
        (
            {"layout": neighbor_layout(EDGES, 5), "nodes": NODES},
            "must be from 0 to 4 with 4 nodes",
        ),
    ],
)
def test_call_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GraphConv(2)(**{"nodes": NODES, **arguments})


def test_the_width_stays_that_of_the_weights():
    for layer in (GraphConv(2), GraphAttention(2), EdgeConv(2)):
        layer(NODES, edges=EDGES)
        with pytest.raises(ValueError, match="`nodes` must have width 3"):
            layer(NODES[:, :2], edges=EDGES)


def test_features_of_edges_belong_to_the_edges():
    for layer in (GraphAttention(2), EdgeConv(2)):
        with pytest.raises(ValueError, match=r"`edge_features` must have shape \(3, "):
            layer(NODES, edges=EDGES, edge_features=np.ones((2, 5), "float32"))
        layer(NODES, edges=EDGES, edge_features=np.ones((3, 5), "float32"))
        with pytest.raises(ValueError, match=r"built with .* a call without them"):
            layer(NODES, edges=EDGES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphConv(0), r"`units` .* Received: units=0"),
        (lambda: GraphConv(2, "both"), r"`normalization` .* Received: .*'both'"),
        (lambda: GraphConv(2, input_dim=0), "`input_dim`"),
        (lambda: GraphAttention(2, num_heads=0), "`num_heads`"),
        (lambda: GraphAttention(2, dropout=1.0), "`dropout`"),
        (lambda: EdgeConv(2, hidden_units=0), "`hidden_units`"),
        (lambda: EdgeConv(2, aggregation="median"), "`aggregation`"),
        (lambda: SpectralConv(2, knots=1), "`knots`"),
        (lambda: SpectralConv(2, largest_eigenvalue=0), "`largest_eigenvalue`"),
    ],
)
def test_constructor_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others fill in sizes")
def test_an_unknown_number_of_slots_is_refused():
    layout = {
        name: keras.Input((None,) * (table.ndim - 1), dtype="int32", name=name)
        for name, table in LAYOUT.items()
    }
    with pytest.raises(ValueError, match="known number of slots"):
        GraphConv(2)(keras.Input((3,)), layout=layout)
