import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import GraphConv
from keras_attn.data import grid_graph, neighbor_layout, sparse_features
from keras_attn.ops.graph.normalization import NORMALIZATIONS
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, gradients, in_mode, weighted_sum
from tests.graphs import arguments, random_graph


def reference(layer, nodes, adjacency):
    """The docstring's formula in float64."""
    kernel = ops.convert_to_numpy(layer.projection.kernel).astype("float64")
    matrix = adjacency + np.eye(len(nodes)) * layer.self_loops
    degrees = matrix.sum(axis=1)
    shares = np.where(degrees > 0, 1 / np.where(degrees > 0, degrees, 1), 0)
    if layer.normalization == "symmetric":
        matrix = np.sqrt(shares)[:, None] * matrix * np.sqrt(shares)
    elif layer.normalization == "random_walk":
        matrix = shares[:, None] * matrix
    outputs = matrix @ nodes @ kernel
    if layer.use_bias:
        outputs = outputs + ops.convert_to_numpy(layer.bias)
    return np.maximum(outputs, 0) if layer.activation.__name__ == "relu" else outputs


def randomize(layer, rng):
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))


@pytest.mark.parametrize(
    ("normalization", "self_loops"), [*itertools.product(NORMALIZATIONS, [True, False])]
)
def test_matches_numpy(rng, normalization, self_loops):
    """Wider and narrower than the nodes, which decides on the order of products."""
    sample = random_graph(rng)
    for units, use_bias in ((2, True), (5, False)):
        layer = GraphConv(units, normalization, self_loops, "relu", use_bias)
        layer(**arguments(sample, "edges"))
        randomize(layer, rng)
        found = layer(**arguments(sample, "edges"))
        assert_same(found, reference(layer, sample.nodes, sample.adjacency))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["adjacency", "edges", "layout"])
def test_a_node_without_edges_yields_the_bias(rng, form, mode):
    """And has a gradient of zero, not NaN; so has a sum of weights of zero."""
    sample = random_graph(rng)._replace(
        edges=np.array([[0, 1], [1, 2], [2, 1]], "int32"),
        edge_weights=np.array([1.0, 2.0, -1.0], "float32"),
    )
    for normalization in ("symmetric", "random_walk"):
        layer = GraphConv(2, normalization, self_loops=False, bias_initializer="ones")
        given = arguments(sample, form)
        nodes = given.pop("nodes")
        layer(nodes, **given)
        names = sorted({"adjacency", "edge_weights"} & set(given))
        rest = {
            name: keras.tree.map_structure(ops.convert_to_tensor, value)
            for name, value in given.items()
            if name not in names
        }

        def call(nodes, weights, layer=layer, names=names, rest=rest):
            return layer(nodes, **{names[0]: weights}, **rest)

        tensors = [ops.convert_to_tensor(x) for x in (nodes, given[names[0]])]
        found = ops.convert_to_numpy(in_mode(call, mode)(*tensors))
        np.testing.assert_array_equal(found[[0, 1, 3, 4, 5]], 1.0)
        slopes = gradients(lambda *x: weighted_sum(call(*x)), tensors, mode=mode)
        assert all(np.isfinite(slope).all() for slope in slopes)
        np.testing.assert_array_equal(slopes[0][3:], 0.0)


@pytest.mark.parametrize("form", ["edges", "layout"])
def test_edges_that_occur_twice_count_twice(rng, form):
    sample = random_graph(rng)
    assert len({*map(tuple, sample.edges)}) < len(sample.edges)
    layer = GraphConv(3)
    expected = layer(**arguments(sample, "adjacency"))
    assert_same(layer(**arguments(sample, form)), expected)


def test_what_is_asymmetric_is_scaled_by_what_is_received(rng):
    """As in `D^-1/2 A D^-1/2` with the sums of the rows, so too for a column."""
    adjacency = np.array([[0, 4.0, 0], [0, 0, 9.0], [1.0, 0, 0]], "float32")
    layer = GraphConv(3, self_loops=False, kernel_initializer="identity")
    found = layer(np.eye(3, dtype="float32"), adjacency=adjacency)
    assert_same(found, np.array([[0, 4 / 6, 0], [0, 0, 9 / 3], [1 / 2, 0, 0]]))


def test_a_self_loop_is_added_to_one_that_is_there():
    layer = GraphConv(1, None, kernel_initializer="ones")
    nodes = np.array([[3.0]], "float32")
    np.testing.assert_array_equal(
        layer(nodes, edges=np.array([[0, 0]], "int32")), [[6.0]]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mirrored", [True, False])
def test_sparse_nodes_are_nodes(rng, mode, mirrored):
    sample = random_graph(rng, width=9)
    nodes = np.where(rng.random((6, 9)) > 0.7, sample.nodes, 0.0).astype("float32")
    sparse = sparse_features(nodes, width=2)
    if not mirrored:
        sparse = {name: sparse[name] for name in ("indices", "values")}
    layer = GraphConv(4, input_dim=9)
    layer(sparse, edges=sample.edges)
    randomize(layer, rng)
    edges = ops.convert_to_tensor(sample.edges)

    def call(kind):
        given = keras.tree.map_structure(ops.convert_to_tensor, kind)
        flat = keras.tree.flatten(given)

        def outputs(*tensors):
            return layer(keras.tree.pack_sequence_as(given, tensors), edges=edges)

        return in_mode(outputs, mode)(*flat)

    assert_same(call(sparse), call(nodes))


@pytest.mark.parametrize("mirrored", [True, False])
def test_sparse_nodes_come_in_batches_too(rng, mirrored):
    sample = random_graph(rng, width=9)
    nodes = np.where(rng.random((6, 9)) > 0.5, sample.nodes, 0.0)
    nodes = np.stack([nodes, 2 * nodes])
    rows = [sparse_features(row, width=2) for row in nodes]
    names = rows[0] if mirrored else ("indices", "values")
    sparse = {name: np.stack([row[name] for row in rows]) for name in names}
    mask = np.array([[True] * 6, [True] * 5 + [False]])
    sparse["values"] = np.where(mask[..., None], sparse["values"], np.float32(np.nan))
    edges = np.stack([sample.edges] * 2)
    layer = GraphConv(4, input_dim=9)
    layer(sparse, edges=edges)

    def slopes(kind):
        def loss():
            return weighted_sum(layer(kind, edges=edges, nodes_mask=mask))

        return gradients(loss, [], layer.trainable_variables)

    found = layer(sparse, edges=edges, nodes_mask=mask)
    assert_same(found, layer(nodes, edges=edges, nodes_mask=mask))
    assert_same(slopes(sparse), slopes(nodes))


def test_sparse_nodes_say_what_is_wrong(rng):
    nodes = np.eye(4, 6, dtype="float32")
    sparse = sparse_features(nodes)
    edges = np.array([[0, 1]])
    with pytest.raises(ValueError, match=r"`input_dim`, .* must be given"):
        GraphConv(2)(sparse, edges=edges)
    layer = GraphConv(2, input_dim=6)
    with pytest.raises(ValueError, match=r"below `input_dim`. Received: 3 with .*=3"):
        GraphConv(2, input_dim=3)(sparse, edges=edges)
    with pytest.raises(ValueError, match="'indices' and 'values'"):
        layer({"indices": sparse["indices"]}, edges=edges)
    with pytest.raises(ValueError, match=r"`nodes\['indices'\]` must have shape"):
        layer({**sparse, "indices": sparse["indices"][:2]}, edges=edges)


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled there")
@pytest.mark.parametrize("sparse", [True, False])
def test_it_trains_compiled_by_xla_as_without(rng, sparse):
    """Two layers on one graph, with wide nodes, whose product has its own gradient."""
    sample = random_graph(rng, nodes=8, width=300)
    nodes = np.where(rng.random((8, 300)) > 0.9, sample.nodes, 0.0).astype("float32")
    inputs = {
        "nodes": sparse_features(nodes) if sparse else nodes,
        "layout": neighbor_layout(sample.edges, 8, width=4),
    }
    labels = rng.normal(size=(8, 2)).astype("float32")
    ends = []
    for compiled in (True, False):
        keras.utils.set_random_seed(1)
        symbols = keras.tree.map_structure(
            lambda x: keras.Input(x.shape[1:], dtype=x.dtype.name), inputs
        )
        if not sparse:  # the names of tensors in a dict of dicts do not matter
            symbols["nodes"] = keras.Input((300,), name="nodes")
        hidden = GraphConv(5, activation="tanh", input_dim=300 if sparse else None)(
            symbols["nodes"], layout=symbols["layout"]
        )
        model = keras.Model(symbols, GraphConv(2)(hidden, layout=symbols["layout"]))
        model.compile("sgd", "mse", jit_compile=compiled, run_eagerly=not compiled)
        losses = [model.train_on_batch(inputs, labels) for _ in range(3)]
        assert losses[-1] < losses[0]
        ends.append(model.get_weights())
    assert_same(*ends)


def test_an_average_over_3x3_pixels_is_a_graph_convolution(rng):
    """Values of a few bits, so that no sum is rounded: equal to the last digit."""
    height, width = 6, 9
    image = rng.integers(0, 256, (height, width, 2)).astype("float32")
    layer = GraphConv(2, "random_walk", use_bias=False, kernel_initializer="identity")
    nodes = image.reshape(-1, 2)
    expected = np.zeros_like(image)
    for row, column in np.ndindex(height, width):
        block = image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        total = block.sum(axis=(0, 1))
        share = np.float32(1) / np.float32(block.shape[0] * block.shape[1])
        expected[row, column] = total * share
    pooled = keras.ops.average_pool(image[None], 3, 1, "same")[0]
    edges = grid_graph(height, width)
    for form in ({"edges": edges}, {"layout": neighbor_layout(edges, len(nodes))}):
        found = ops.convert_to_numpy(layer(nodes, **form)).reshape(image.shape)
        np.testing.assert_array_equal(found, expected)
        if BACKEND != "torch":  # whose average counts the border in
            np.testing.assert_allclose(found, pooled, rtol=3e-7)
