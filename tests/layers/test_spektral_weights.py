"""Weights that Spektral has trained give the same answers here."""

import numpy as np
import pytest

from keras_attn import GraphConv
from keras_attn.data import neighbor_layout
from tests.comparison import assert_same
from tests.layers.record_spektral_gcn import RECORD


@pytest.fixture(scope="module")
def record():
    with np.load(RECORD) as arrays:
        return dict(arrays)


@pytest.fixture
def forms(record):
    """The adjacency as it was before Spektral's `preprocess`, in three forms."""
    receivers, senders = np.nonzero(record["adjacency"])
    edges = np.stack([senders, receivers], axis=1).astype("int32")
    weights = record["adjacency"][receivers, senders]
    return (
        {"adjacency": record["adjacency"]},
        {"edges": edges, "edge_weights": weights},
        {"layout": neighbor_layout(edges, 7, width=2), "edge_weights": weights},
    )


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("wide", lambda: GraphConv(8, activation="relu")),
        ("narrow", lambda: GraphConv(3, use_bias=False)),
    ],
)
def test_gcn_conv(record, forms, name, layer):
    layer = layer()
    layer.build(record["nodes"].shape)
    layer.projection.kernel.assign(record[f"{name}_kernel"])
    if layer.use_bias:
        layer.bias.assign(record[f"{name}_bias"])
    for form in forms:
        assert_same(layer(record["nodes"], **form), record[f"{name}_outputs"])
