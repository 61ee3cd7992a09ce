"""What every graph layer promises of the forms that a graph is given in."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.comparison import assert_same
from tests.gradients import MODES, QUICKEST, in_mode, weighted_sum, with_gradients
from tests.graphs import FORMS, first, random_graph
from tests.layers.graph_layers import LAYERS, compiled_call, make


@pytest.fixture(params=LAYERS)
def subject(request, rng):
    """A layer, a graph, and the function that gives the graph in a form."""
    merges = LAYERS[request.param][-1]
    sample = random_graph(rng, duplicates=merges)
    layer, prepare, given = make(request.param, rng)
    prepare(sample)
    return layer, sample, given


@pytest.mark.parametrize("mode", MODES[-1:])
def test_all_forms_answer_alike_compiled_or_not(subject, mode):
    layer, sample, given = subject
    expected = ops.convert_to_numpy(layer(**given(sample, "edges")))
    assert np.abs(expected).max() > 0.1
    for form in FORMS:
        found = compiled_call(layer, given(sample, form), mode)()
        assert_same(first(form, found), expected)
        if form.startswith("batched_"):  # what is padding yields nothing
            found = ops.convert_to_numpy(found)
            np.testing.assert_array_equal(found[:, len(sample.nodes) :], 0.0)


def test_gradients_are_alike_and_finite(subject):
    """Of weights, nodes and edges; in a batch beside padding full of NaN."""
    layer, sample, given = subject
    wanted = {"nodes", "edge_features", "edge_weights"} & set(given(sample, "edges"))

    def slopes(form):
        arguments = given(sample, form)
        if "adjacency" in arguments and "edge_weights" in wanted:
            names = sorted(wanted - {"edge_weights"} | {"adjacency"})
        else:
            names = sorted(wanted)
        rest = {
            name: keras.tree.map_structure(ops.convert_to_tensor, value)
            for name, value in arguments.items()
            if name not in names
        }

        def loss(*tensors):
            outputs = layer(**dict(zip(names, tensors, strict=True)), **rest)
            kept = outputs[0, :6] if form.startswith("batched_") else outputs
            return weighted_sum(kept)

        run = with_gradients(loss, layer.trainable_variables)
        tensors = [ops.convert_to_tensor(arguments[name]) for name in names]
        _, found = in_mode(run, QUICKEST)(*tensors)
        found = [ops.convert_to_numpy(slope) for slope in found]
        assert all(np.isfinite(slope).all() for slope in found)
        of_inputs = dict(zip(names, found, strict=False))
        nodes = first(form, of_inputs.pop("nodes"))
        of_edges = [in_list_order(sample, form, of_inputs[name]) for name in of_inputs]
        # "adjacency" and "edge_weights" come at opposite ends of the alphabet.
        of_edges.sort(key=np.ndim)
        return [nodes, *of_edges, *found[len(names) :]]

    expected = slopes("edges")
    for form in FORMS:
        if form != "edges":
            assert_same(slopes(form), expected)


def in_list_order(sample, form, slope):
    """The gradient of what the edges carry, an edge a row."""
    if form.startswith("batched_"):
        slope = slope[0]
    if form.endswith("adjacency"):
        return slope[sample.edges[:, 1], sample.edges[:, 0]]
    return slope[: len(sample.edges)]


@pytest.mark.parametrize("mode", MODES[1:][-1:])
@pytest.mark.parametrize("form", [form for form in FORMS if "adjacency" not in form])
def test_an_edge_that_leaves_its_graph_is_none(subject, form, mode):
    """In a compiled function, in which XLA would move it to another node."""
    layer, sample, given = subject
    expected = ops.convert_to_numpy(layer(**given(sample, "edges")))
    arguments = given(sample, form)
    batched = form.startswith("batched_")
    if "layout" in arguments:
        arguments["layout"] = {
            name: np.stack([with_wild_rows(name, row) for row in table])
            if batched
            else with_wild_rows(name, table)
            for name, table in arguments["layout"].items()
        }
    else:
        count = arguments["nodes"].shape[-2]
        wild = [[count, 0], [0, count], [-1, 2], [2, -5], [700, 1], [1, 10**9]]
        for name, more in {
            "edges": np.int32(wild),
            "edge_weights": np.full(6, np.inf, "float32"),
            "edge_features": np.full((6, 2), np.nan, "float32"),
        }.items():
            if name in arguments:
                more = np.stack([more, more]) if batched else more
                arguments[name] = np.concatenate([arguments[name], more], int(batched))
    found = compiled_call(layer, arguments, mode)()
    assert_same(first(form, found), expected)


def with_wild_rows(name, table):
    """The last two rows, which are empty, of no sender and of no receiver."""
    table = table.copy()
    if table.ndim == 1:
        assert (table[-2:] == -1).all()
        table[-2:] = [0, 10**9]
    else:
        table[-2:] = [[700, -4], [0, 1]]
    return table


@pytest.mark.parametrize("mode", MODES)
def test_nan_reaches_what_its_node_reaches_and_no_other_graph(subject, mode):
    """With an adjacency it may reach the whole graph, as 0 * NaN is NaN."""
    layer, sample, given = subject
    pairs = sample._replace(
        edges=np.array([[0, 1], [2, 3], [4, 5]], "int32"),
        edge_weights=sample.edge_weights[:3],
        edge_features=sample.edge_features[:3],
    )
    for form in ("edges", "layout", "batched_edges", "batched_adjacency"):
        arguments = given(pairs, form)
        expected = ops.convert_to_numpy(layer(**arguments))
        batched = form.startswith("batched_")
        arguments["nodes"] = arguments["nodes"].copy()
        arguments["nodes"][(0, 0) if batched else 0] = np.nan
        found = ops.convert_to_numpy(compiled_call(layer, arguments, mode)())
        if batched:
            assert_same(found[1], expected[1])
        found, expected = first(form, found), first(form, expected)
        # TensorFlow fuses product, bias and relu to one that makes zero of NaN.
        assert np.isnan(found[1]).all() or mode == "graph"
        if "adjacency" not in form:
            assert_same(found[2:], expected[2:])


def test_renaming_the_nodes_renames_the_outputs(subject, rng):
    layer, sample, given = subject
    order = rng.permutation(len(sample.nodes))
    place = np.argsort(order).astype("int32")
    shuffled = rng.permutation(len(sample.edges))
    renamed = sample._replace(
        nodes=sample.nodes[order],
        edges=place[sample.edges][shuffled],
        edge_weights=sample.edge_weights[shuffled],
        edge_features=sample.edge_features[shuffled],
    )
    for form in ("adjacency", "edges", "layout"):
        expected = ops.convert_to_numpy(layer(**given(sample, form)))[order]
        assert_same(layer(**given(renamed, form)), expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_graph_without_edges_and_one_without_nodes(subject, mode):
    layer, sample, given = subject
    bare = sample._replace(
        edges=sample.edges[:0],
        edge_weights=sample.edge_weights[:0],
        edge_features=sample.edge_features[:0],
    )
    alone = sample._replace(
        edges=np.array([[0, 0]], "int32"),  # the others have none at all
        edge_weights=sample.edge_weights[:1],
        edge_features=sample.edge_features[:1],
    )
    expected = ops.convert_to_numpy(layer(**given(alone, "edges")))[1:]
    empty = bare._replace(nodes=sample.nodes[:0])
    for form in ("adjacency", "edges", "layout"):
        found = compiled_call(layer, given(bare, form), mode)()
        assert_same(ops.convert_to_numpy(found)[1:], expected)
        found = compiled_call(layer, given(empty, form), mode)()
        assert tuple(found.shape) == (0, expected.shape[1])


def test_a_node_sees_only_what_reaches_it(subject):
    """Along the edges, not against them, and not from elsewhere."""
    layer, sample, given = subject
    path = sample._replace(
        edges=np.array([[1, 0], [0, 2], [2, 3], [4, 5]], "int32"),
        edge_weights=sample.edge_weights[:4],
        edge_features=sample.edge_features[:4],
    )
    moved = path._replace(nodes=path.nodes + 5 * np.eye(6, 1, dtype="float32"))
    for form in ("adjacency", "edges", "layout"):
        difference = ops.convert_to_numpy(
            layer(**given(moved, form)) - layer(**given(path, form))
        )
        reached = np.abs(difference).max(axis=1) > 1e-6
        assert reached[2]
        np.testing.assert_array_equal(reached[[1, 4, 5]], False)


def test_symbolic_shapes_know_what_is_known(subject):
    layer, sample, given = subject
    for form in ("edges", "batched_edges", "batched_adjacency"):
        arguments = given(sample, form)
        symbols = {
            name: keras.Input(value.shape[1:], dtype=value.dtype.name, name=name)
            for name, value in arguments.items()
        }
        real = layer(**arguments)
        assert layer(**symbols).shape == (None, *tuple(real.shape)[1:])
        if form == "batched_edges":
            free = dict(symbols)
            for name, value in arguments.items():
                free[name] = keras.Input(
                    (None, *value.shape[2:]), dtype=value.dtype.name, name=name
                )
            outputs = layer(**free)
            assert outputs.shape == (None, None, real.shape[-1])
            model = keras.Model(free, outputs)
            assert_same(model(arguments), real)
