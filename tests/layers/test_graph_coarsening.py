"""What layers that return a smaller graph promise of graphs of any size."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import GraphPooling, MinCutPooling, TopKPooling
from tests.comparison import assert_same
from tests.layers.padded_graphs import SLOTS, WIDTH, PaddedGraphs

LAYERS = {
    "TopKPooling": lambda **kwargs: TopKPooling(0.4, **kwargs),
    "MinCutPooling": lambda **kwargs: MinCutPooling(3, loss_weight=0.5, **kwargs),
}


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


@pytest.fixture
def inputs(rng):
    graphs = PaddedGraphs(rng)
    return {
        "nodes": graphs.nodes,
        "adjacency": graphs.adjacency,
        "nodes_mask": graphs.mask,
    }


def modelled(make, slots=SLOTS, **kwargs):
    """A model of what is left of the nodes and of the edges."""
    inputs = {
        "nodes": keras.Input((slots, WIDTH), name="nodes"),
        "adjacency": keras.Input((slots, slots), name="adjacency"),
        "nodes_mask": keras.Input((slots,), dtype="bool", name="nodes_mask"),
    }
    layer = make(**kwargs)
    nodes, adjacency, *_ = layer(**inputs)
    rows = [
        GraphPooling("sum", dtype=layer.dtype_policy)(x) for x in (nodes, adjacency)
    ]
    model = keras.Model(inputs, ops.concatenate(rows, axis=-1))
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def test_sizes_may_be_open(make, inputs):
    nodes, adjacency, *_ = make()(keras.Input((None, WIDTH)), keras.Input((None, None)))
    kept = 3 if make is LAYERS["MinCutPooling"] else None
    assert nodes.shape == (None, kept, WIDTH)
    assert adjacency.shape == (None, kept, kept)
    if make is LAYERS["MinCutPooling"]:
        fixed, opened = modelled(make), modelled(make, slots=None)
        opened.set_weights(fixed.get_weights())
        assert_same(opened(inputs), fixed(inputs))
