"""Batches of graphs: shapes, order, targets and weights."""

import pickle
from collections import Counter
from itertools import chain, combinations

import numpy as np
import pytest

from keras_attn.data import Graph, GraphBatch, neighbor_layout, pad_graphs

from .random_graphs import random_graphs

COUNT = 53
MODES = ("padded", "disjoint")
LEVELS = ("graph", "node", "edge")


def make(level="graph", **options):
    options = {"batch_size": 8, "seed": 7, "targets": level, **options}
    return GraphBatch(random_graphs(COUNT, level), **options)


def numbers(batches):
    """The graphs that count in each batch, told by their targets."""
    return [
        np.floor(targets[weights > 0, 0]).astype(int).tolist()
        for _, targets, weights in batches
    ]


def assert_equal_batches(ours, theirs):
    for (inputs, *rest), (expected, *others) in zip(ours, theirs, strict=True):
        assert inputs.keys() == expected.keys()
        for name, array in inputs.items():
            np.testing.assert_array_equal(array, expected[name])
        for array, other in zip(rest, others, strict=True):
            np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
def test_everything_counts_exactly_once_in_every_epoch(level, mode, shuffle):
    batches = make(level, mode=mode, shuffle=shuffle)
    expected = Counter(
        number
        for number, graph in enumerate(random_graphs(COUNT, level))
        for _ in range(graph.targets.size)
    )
    for _ in range(3):
        assert Counter(chain.from_iterable(numbers(batches))) == expected
        batches.on_epoch_end()


def owners(inputs, level):
    """The number that is in the features, NaN where nothing is."""
    if level == "edge":
        is_there = inputs["edges"][..., 1] >= 0
        return np.where(is_there, np.floor(inputs["edge_weights"]), np.nan)
    padded = "nodes_mask" in inputs
    is_there = inputs["nodes_mask"] if padded else inputs["graph_ids"] >= 0
    nodes = np.where(is_there, np.floor(inputs["nodes"][..., 0]), np.nan)
    if level == "node":
        return nodes
    if padded:
        return nodes[:, 0]
    first = [np.flatnonzero(inputs["graph_ids"] == i)[:1] for i in range(8)]
    return np.array([nodes[i[0]] if len(i) else np.nan for i in first])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mode", MODES)
def test_targets_and_weights_stand_beside_what_they_belong_to(mode, level):
    for inputs, targets, weights in make(level, mode=mode):
        expected = owners(inputs, level)
        assert weights.dtype == targets.dtype == np.float32
        assert (*weights.shape, 1) == targets.shape == (*expected.shape, 1)
        targets = targets[..., 0]
        real = ~np.isnan(expected)
        np.testing.assert_array_equal(np.floor(targets[real]), expected[real])
        assert np.all(weights[real] == 1)
        real |= np.floor(targets) == 3  # the graph that has a target but no nodes
        assert not targets[~real].any() and not weights[~real].any()


def test_padded_graphs_are_those_of_pad_graphs():
    graphs = random_graphs(COUNT)
    batches = make(buckets=[(5, 6), (20, 40)], shuffle=False)
    for (inputs, *_), used in zip(batches, numbers(batches), strict=True):
        nodes, edges = inputs["nodes"].shape[1], inputs["edges"].shape[1]
        expected = pad_graphs([graphs[i] for i in used], nodes, edges, 8)
        assert_equal_batches([(inputs,)], [(expected,)])
        fits = [
            g.num_nodes <= 5 and g.num_edges <= 6 for g in map(graphs.__getitem__, used)
        ]
        assert all(fits) if nodes == 5 else not any(fits)
        assert sorted(used) == used


def test_there_are_as_many_shapes_as_asked_for():
    batches = make(buckets=3)
    shapes = {
        (inputs["nodes"].shape[1], inputs["edges"].shape[1]) for inputs, _, _ in batches
    }
    assert shapes == set(batches.shapes) and 1 < len(shapes) <= 3
    assert make(buckets=1).shapes == [
        (
            max(g.num_nodes for g in batches.graphs),
            max(g.num_edges for g in batches.graphs),
        )
    ]


@pytest.mark.parametrize("buckets", [1, 2, 3, 4, 20])
def test_no_other_shapes_have_less_padding(buckets, rng):
    nodes = rng.geometric(0.15, 40)
    graphs = [Graph(np.ones((count, 1)), np.zeros((count, 2), int)) for count in nodes]
    sizes = np.unique(nodes)

    def slots(limits):
        return sum(min(limit for limit in limits if limit >= n) for n in nodes)

    least = min(
        slots((*chosen, sizes[-1]))
        for chosen in combinations(sizes[:-1], min(buckets, len(sizes)) - 1)
    )
    shapes = GraphBatch(graphs, 8, buckets=buckets).shapes
    assert len(shapes) == min(buckets, len(sizes))
    assert slots([limit for limit, _ in shapes]) == least


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 23, 97])
def test_disjoint_batches_have_one_shape_with_little_padding(count):
    graphs = random_graphs(count)
    batches = GraphBatch(graphs, 8, "disjoint")
    largest = max(graph.num_nodes + graph.num_edges for graph in graphs)
    assert len(batches) == -(-count // 8) and len(batches.shapes) == 1
    totals = []
    for epoch in range(20):
        batches.set_epoch(epoch)
        assert {inputs["nodes"].shape[0] for inputs, *_ in batches} == {
            batches.shapes[0][0]
        }
        totals += [
            (inputs["graph_ids"] >= 0).sum() + (inputs["edges"][:, 1] >= 0).sum()
            for inputs, *_ in batches
        ]
    assert max(totals) - min(totals) <= 2 * largest
    # No more than the largest graph beyond the mean of all batches, for each size.
    mean = sum(g.num_nodes + g.num_edges for g in graphs) / len(batches)
    assert sum(batches.shapes[0]) <= mean + 3 * largest


def test_orders_depend_on_seed_and_epoch_alone():
    first, again, other = make(), make(), make(seed=8)
    epochs = []
    for epoch in range(3):
        assert numbers(first) == numbers(again)
        assert numbers(first) != numbers(other)
        epochs.append(numbers(first))
        first.on_epoch_end()
        again.set_epoch(epoch + 1)
    assert epochs[0] != epochs[1] != epochs[2]
    again.epoch_callback().on_epoch_begin(0, {})
    assert numbers(again) == epochs[0]


def test_graphs_meet_different_graphs_in_every_epoch():
    batches = make(mode="disjoint")
    neighbours = set()
    for epoch in range(30):
        batches.set_epoch(epoch)
        (home,) = (used for used in numbers(batches) if 10 in used)
        neighbours.update(home)
    assert len(neighbours) > 0.8 * COUNT


@pytest.mark.parametrize("mode", MODES)
def test_tables_replace_the_edges(mode):
    plain = make(mode=mode)
    (rows,) = {
        inputs["layout"]["senders"].shape
        for inputs, *_ in make(mode=mode, layout_width=2)
    }
    for (inputs, *_), (expected, *_) in zip(
        make(mode=mode, layout_width=2), plain, strict=True
    ):
        edges, layout = expected.pop("edges"), inputs.pop("layout")
        assert_equal_batches([(inputs,)], [(expected,)])
        num_nodes = inputs["nodes"].shape[-2]
        if mode == "disjoint":
            edges = edges[None]
            layout = {name: table[None] for name, table in layout.items()}
        for i, graph in enumerate(edges):
            table = neighbor_layout(graph, num_nodes, 2, rows[-2], rows[-2])
            for name, array in table.items():
                np.testing.assert_array_equal(layout[name][i], array)


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_rows_suffice_for_the_most_unfavourable_degrees(width):
    """All nodes of degree 1, or one more than fills a row, or all at one node."""
    for degrees in ([1] * 9, [width + 1] * 9, [40], [width, 1, 2 * width + 1]):
        receivers = np.repeat(np.arange(len(degrees)), degrees)
        graph = Graph(
            np.ones((len(degrees), 1)), np.stack([receivers * 0, receivers], 1)
        )
        for mode in MODES:
            ((inputs,),) = GraphBatch([graph], 1, mode, layout_width=width)
            owners = inputs["layout"]["receivers"]
            assert (owners >= 0).sum() == sum(-(-d // width) for d in degrees)


def test_what_has_no_target_weighs_nothing():
    graphs = [Graph([[1.0]], [], targets=t) for t in (1.0, np.nan, 3.0)]
    ((_, targets, weights),) = GraphBatch(graphs, 4, shuffle=False)
    np.testing.assert_array_equal(targets, [[1], [0], [3], [0]])
    np.testing.assert_array_equal(weights, [1, 0, 1, 0])


def test_a_target_of_several_values_keeps_its_gaps():
    nan = np.nan
    graphs = [Graph([[1.0]], [], targets=t) for t in ([1, nan], [nan, nan], [3.0, 4])]
    ((_, targets, weights),) = GraphBatch(graphs, 4, shuffle=False)
    np.testing.assert_array_equal(targets, [[1, nan], [0, 0], [3, 4], [0, 0]])
    np.testing.assert_array_equal(weights, [1, 0, 1, 0])


def test_classes_stay_integers():
    graphs = [
        Graph(np.ones((2, 1)), [], targets=[1, 2]),
        Graph([[1.0]], [], targets=[0]),
    ]
    ((_, targets, _),) = GraphBatch(graphs, 2, targets="node", shuffle=False)
    assert targets.dtype == np.int32
    np.testing.assert_array_equal(targets[..., 0], [[1, 2], [0, 0]])


def test_without_targets_there_are_inputs_only():
    bare = [Graph([[1.0]], [])] * 3
    assert {len(batch) for batch in GraphBatch(bare, 2)} == {1}
    assert {len(batch) for batch in make(targets=None)} == {1}


@pytest.mark.parametrize("mode", MODES)
def test_predictions_come_back_in_order(mode):
    batches = make(mode=mode, buckets=1 if mode == "disjoint" else 3, shuffle=False)
    predictions = np.concatenate([targets for _, targets, _ in batches])
    ordered = batches.in_order(predictions)
    np.testing.assert_array_equal(np.floor(ordered[:, 0]), range(COUNT))
    with pytest.raises(ValueError, match=r"`predictions` must have \d\d rows"):
        batches.in_order(predictions[:-1])
    with pytest.raises(ValueError, match="shuffled"):
        make(mode=mode).in_order(predictions)


def test_goes_to_other_processes():
    batches = make(mode="disjoint")
    assert_equal_batches(pickle.loads(pickle.dumps(batches)), batches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": [(5, 12), (8, 14)]}, r"Graph \d+ has \d nodes and \d+ edges"),
        ({"buckets": [(5, 12), (9, 12)]}, "both more from bucket to bucket"),
        ({"buckets": [(0, 12)]}, "at least 1 of each"),
        ({"buckets": []}, "`buckets` must be pairs"),
        ({"buckets": 0}, "`buckets` must be at least 1"),
        ({"mode": "disjoint", "buckets": 2}, "Disjoint.*buckets=2"),
        (
            {"mode": "disjoint", "buckets": [(30, 40)]},
            r"up to \(\d+, \d+\).*\(30, 40\)",
        ),
        ({"mode": "dense"}, "`mode` must be one of.*'dense'"),
        ({"batch_size": 0}, "`batch_size`.*batch_size=0"),
        ({"layout_width": 0}, "`layout_width`.*layout_width=0"),
        ({"targets": "nodes"}, "`targets` must be one of.*'nodes'"),
        ({"targets": "node"}, r"targets of graph 0.*each of its \d nodes.*shape=\(\)"),
    ],
)
def test_refuses_what_it_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_refuses_targets_that_differ():
    one, two = (Graph([[1.0]], [], targets=t) for t in (1.0, [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"one shape and kind.*for graph 1"):
        GraphBatch([one, two], 2)
    with pytest.raises(ValueError, match="Graph 1 has no targets"):
        GraphBatch([one, Graph([[1.0]], [])], 2)


def test_given_disjoint_shapes_hold_every_order():
    needed = make(mode="disjoint").shapes[0]
    batches = make(mode="disjoint", buckets=[needed, (needed[0] + 30, needed[1] + 30)])
    assert {inputs["nodes"].shape[0] for inputs, *_ in batches} == {needed[0]}
