"""Attention maps, read back from the axes and from the pixels."""

import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from keras_attn.plotting import attention_heads, attention_map  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def scores():
    return np.random.default_rng(0).dirichlet(np.ones(5), size=3)


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_shows_the_scores_with_source_across_and_target_down(scores):
    ax = attention_map(scores, "abcde", "xyz")
    ax.figure.canvas.draw()
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), scores)
    assert image.get_clim() == (0.0, 1.0)
    assert labels(ax.xaxis) == list("abcde")
    assert labels(ax.yaxis) == list("xyz")
    np.testing.assert_array_equal(ax.get_xticks(), range(5))
    left_to_right = ax.transData.transform([(0, 0), (4, 0)])[:, 0]
    top_to_bottom = ax.transData.transform([(0, 0), (0, 2)])[:, 1]
    assert left_to_right[0] < left_to_right[1]
    assert top_to_bottom[0] > top_to_bottom[1]
    tops = [label.get_window_extent().y0 for label in ax.get_xticklabels()]
    assert min(tops) >= ax.get_window_extent().y1


def assert_lit(ax, scores):
    """Each cell of the map has the colour of its score, in the pixels."""
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3]
    for (row, column), score in np.ndenumerate(scores):
        x, y = ax.transData.transform((column, row)).astype(int)
        found = pixels[pixels.shape[0] - 1 - y, x] / 255
        expected = matplotlib.colormaps["viridis"](score)[:3]
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_brightest_pixels_are_where_the_score_is():
    scores = np.zeros((3, 5))
    scores[2, 1] = 1.0
    ax = attention_map(scores, "abcde", "xyz")
    ax.figure.canvas.draw()
    assert_lit(ax, scores)


def test_draws_on_the_axes_it_is_given(scores):
    _, (left, right) = plt.subplots(1, 2)
    assert attention_map(scores, "abcde", "xyz", ax=right) is right
    assert len(right.images) == 1 and not left.images


def test_figure_grows_with_the_tokens():
    small = attention_map(np.ones((2, 3)), "abc", "xy").figure.get_size_inches()
    wide = attention_map(np.ones((2, 30)), "a" * 30, "xy").figure.get_size_inches()
    assert wide[0] > 3 * small[0] and wide[1] == small[1]


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" ", "␣"),
        ("\u202f", "␣"),
        ("\u200f", "U+200F"),
        ("日", "U+65E5"),
        ("मई", "U+092EU+0908"),
        ("мая", "мая"),
        ("▁Ein", "▁Ein"),
        ("$5$", "$5$"),
        ("", ""),
    ],
)
def test_every_token_is_drawn_without_a_warning(token, shown):
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"]}):
        ax = attention_map(np.eye(2), ["a", token], [token, "b"])
        ax.figure.canvas.draw()
    assert labels(ax.xaxis)[1] == shown
    assert labels(ax.yaxis)[0] == shown


def test_a_font_that_is_not_installed_is_passed_over():
    with matplotlib.rc_context({"font.family": ["No Such Font", "DejaVu Sans"]}):
        ax = attention_map(np.ones((1, 1)), ["é"], ["日"])
    assert labels(ax.xaxis) == ["é"]


def test_long_labels_stand_upright(scores):
    ax = attention_map(scores, ["a", "long", "c", "d", "e"], "xyz")
    ax.figure.canvas.draw()
    rotations = [label.get_rotation() for label in ax.get_xticklabels()]
    assert rotations == [0, 90, 0, 0, 0]


@pytest.mark.parametrize("shape", [(5, 3), (3, 4), (3,), (1, 3, 5)])
def test_refuses_scores_that_do_not_match_the_tokens(shape):
    with pytest.raises(ValueError, match=r"scores.*3 target tokens, 5 source tokens"):
        attention_map(np.ones(shape), "abcde", "xyz")


def test_refuses_an_empty_map_and_scores_that_are_not_numbers(scores):
    with pytest.raises(ValueError, match="at least one of each"):
        attention_map(np.ones((0, 5)), "abcde", "")
    scores[1, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        attention_map(scores, "abcde", "xyz")


@pytest.fixture
def heads():
    """Each head looks elsewhere."""
    return np.random.default_rng(1).dirichlet(np.full(5, 0.3), size=(8, 3))


def test_every_head_has_its_map_and_its_number(heads):
    axes = attention_heads(heads, "abcde", "xyz")
    axes.flat[0].figure.canvas.draw()
    assert axes.shape == (2, 4)
    for head, ax in enumerate(axes.flat):
        assert ax.get_title() == f"head {head}"
        assert_lit(ax, heads[head])


def test_the_tokens_stand_beside_the_outer_maps_alone(heads):
    axes = attention_heads(heads, "abcde", "xyz")
    axes.flat[0].figure.canvas.draw()
    for (row, column), ax in np.ndenumerate(axes):
        across = [label.get_text() for label in ax.get_xticklabels() if shown(label)]
        down = [label.get_text() for label in ax.get_yticklabels() if shown(label)]
        assert across == (list("abcde") if row == 0 else [])
        assert down == (list("xyz") if column == 0 else [])


def shown(label):
    return label.get_visible() and label.get_text() != ""


def test_nothing_of_the_heads_lies_over_one_another(heads):
    axes = attention_heads(heads, ["some", "long", "words", "stand", "here"], "xyz")
    figure = axes.flat[0].figure
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in axes.flat]
    for first, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:first])
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("count", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (4, (2, 2)), (6, (2, 3)), (7, (1, 7))],
)
def test_no_place_among_the_heads_stays_empty(count, shape):
    assert attention_heads(np.ones((count, 2, 2)), "ab", "xy").shape == shape


def test_heads_are_drawn_on_the_axes_they_are_given(heads):
    figure, (top, bottom) = plt.subplots(2, 4)
    axes = attention_heads(heads[:4], "abcde", "xyz", axes=bottom)
    assert axes.tolist() == bottom.tolist()
    assert len(plt.get_fignums()) == 1 and bottom[0].figure is figure
    assert all(ax.images for ax in bottom) and not any(ax.images for ax in top)
    with pytest.raises(
        ValueError, match=r"`axes` must be one for each of the 8 heads.*4"
    ):
        attention_heads(heads, "abcde", "xyz", axes=top)


@pytest.mark.parametrize("shape", [(3, 5), (0, 3, 5), (2, 5, 3), (1, 2, 3, 5)])
def test_refuses_heads_that_do_not_match_the_tokens(shape):
    with pytest.raises(
        ValueError, match=r"\(heads, target .*3 target tokens, 5 source"
    ):
        attention_heads(np.ones(shape), "abcde", "xyz")


def test_says_how_to_install_matplotlib():
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from keras_attn.plotting import attention_map\n"
        "try:\n    attention_map([[1.0]], 'a', 'b')\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 'pip install "keras_attn[plot]"' in done.stdout
