"""Every graph layer that takes edges, and how to call it."""

import keras

from keras_attn import (
    ChebyshevConv,
    EdgeConv,
    GraphAttention,
    GraphConv,
    MessagePassing,
)
from tests.gradients import in_mode
from tests.graphs import FORMS, arguments

# Name: the layer, whether weights and features of edges make a difference, and whether
# an edge that occurs twice counts like one of twice the weight.
LAYERS = {
    "GraphConv": (lambda: GraphConv(4), True, False, True),
    "GraphConv-narrow": (lambda: GraphConv(2, "random_walk"), True, False, True),
    "GraphConv-bare": (lambda: GraphConv(4, None, False), True, False, True),
    "ChebyshevConv": (lambda: ChebyshevConv(4, 3), True, False, True),
    "GraphAttention": (lambda: GraphAttention(2, 3), False, True, False),
    "GraphAttention-bare": (
        lambda: GraphAttention(2, 3, concatenate=False, self_loops=False),
        False,
        False,
        False,
    ),
    "EdgeConv": (lambda: EdgeConv(4), True, True, False),
    "EdgeConv-max": (lambda: EdgeConv(4, aggregation="max"), True, True, False),
    "MessagePassing": (MessagePassing, True, False, True),
}


def make(name, rng):
    """The layer with random weights, and a function of its call arguments."""
    build, weights, features, merges = LAYERS[name]
    layer = build()

    def given(sample, form):
        if not merges:
            assert len({*map(tuple, sample.edges)}) == len(sample.edges)
        return arguments(sample, form, weights, features)

    def prepare(sample):
        layer(**given(sample, FORMS[1]))
        for weight in layer.trainable_weights:
            weight.assign(rng.normal(size=weight.shape))

    return layer, prepare, given


def compiled_call(layer, given, mode):
    """The layer as a function without arguments, all tensors made inputs of it."""
    flat = [keras.ops.convert_to_tensor(x) for x in keras.tree.flatten(given)]

    def call(*tensors):
        return layer(**keras.tree.pack_sequence_as(given, list(tensors)))

    return lambda: in_mode(call, mode)(*flat)
