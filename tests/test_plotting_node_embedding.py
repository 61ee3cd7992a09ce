"""Nodes as points, read back from the axes."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from keras_attn.plotting import node_embedding  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def colours(ax):
    """The colour of every drawn point, by its place."""
    return {
        tuple(point): tuple(group.get_facecolors()[0])
        for group in ax.collections
        if isinstance(group, matplotlib.collections.PathCollection)
        for point in group.get_offsets().tolist()
    }


def test_every_node_is_a_point_in_the_colour_of_its_class():
    points = np.array([[0.0, 0], [1, 0], [0, 1], [2, 2]])
    classes = np.array([1, 0, 1, -1])
    drawn = colours(node_embedding(points, classes))
    assert len(drawn) == 4
    cycle = matplotlib.colormaps["tab10"]
    for point, label in zip(points, classes, strict=True):
        expected = cycle(label) if label >= 0 else (0.6, 0.6, 0.6, 1.0)
        np.testing.assert_allclose(drawn[tuple(point)], expected)


def test_many_numbers_become_the_two_that_tell_most(rng):
    plane = rng.normal(size=(50, 2)) * [9, 3]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    hidden = np.concatenate([plane, rng.normal(size=(50, 4)) * 1e-3], axis=1) @ turn + 7
    drawn = np.array(list(colours(node_embedding(hidden, np.zeros(50, int)))))
    distances = np.linalg.norm(plane[:, None] - plane, axis=-1)
    found = np.linalg.norm(drawn[:, None] - drawn, axis=-1)
    np.testing.assert_allclose(found, distances, atol=0.05)
    assert np.ptp(drawn[:, 0]) > np.ptp(drawn[:, 1])


def test_edges_join_the_points_and_names_are_in_the_legend():
    points = np.array([[0.0, 0], [1, 0], [0, 1]])
    ax = node_embedding(points, np.array([0, 1, 1]), ["one", "two"], [[0, 1], [2, 0]])
    (lines,) = (
        group
        for group in ax.collections
        if isinstance(group, matplotlib.collections.LineCollection)
    )
    np.testing.assert_array_equal(
        lines.get_segments(), points[np.array([[0, 1], [2, 0]])]
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_draws_on_the_axes_given():
    _, ax = plt.subplots()
    assert node_embedding(np.zeros((1, 2)), np.array([0]), ax=ax) is ax


@pytest.mark.parametrize(
    ("embeddings", "classes", "message"),
    [
        (np.zeros((3, 1)), [0, 0, 0], r"`embeddings`.*at least 2.*\(3, 1\)"),
        (np.zeros((0, 2)), [], r"`embeddings`.*\(0, 2\)"),
        (np.full((2, 2), np.nan), [0, 0], "`embeddings` must be finite"),
        (np.zeros((3, 2)), [0, 1], r"`classes` must be 3 integers.*shape=\(2,\)"),
        (np.zeros((2, 2)), [0.0, 1.0], r"`classes`.*dtype=float64"),
    ],
)
def test_refuses_what_it_cannot_draw(embeddings, classes, message):
    with pytest.raises(ValueError, match=message):
        node_embedding(embeddings, classes)
