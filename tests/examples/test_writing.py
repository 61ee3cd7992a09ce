"""The examples that write about sound and images, in small."""

import argparse
import os
import sys

import numpy as np
import pytest

from keras_attn.data import scenes, spoken_digits
from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

pytest.importorskip("sacrebleu")
pytest.importorskip("matplotlib")

needs_data = pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the public files in the folder KERAS_ATTN_DATA",
)
SMALL = "--epochs 1 --steps 2 --batch-size 4 --beam 2".split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "picture", "lines"),
    [
        pytest.param(
            "spelling",
            ["--limit", "3"],
            "alignment.png",
            ["| 4 digits |", "baseline, single digits:"],
            marks=needs_data,
        ),
        (
            "captions",
            ["--limit", "6"],
            "scenes/scenes.png",
            ["| scenes |", "pointing game:"],
        ),
        pytest.param(
            "captions",
            ["--limit", "6", "--data", "emoji", "--attention", "hard"],
            "emoji/new_glyphs_other_style.png",
            ["| known glyphs, other style |", "| new glyphs, other style |"],
            marks=needs_data,
        ),
        pytest.param(
            "formulas",
            ["--limit", "6", "--formulas", "40", "--pieces", "30"],
            "test_formulas.png",
            ["test formulas, 36 formulas and", "real renderings, 36 formulas and"],
            marks=needs_data,
        ),
        ("questions", ["--limit", "8"], "answers.png", ["| all |"]),
    ],
)
def test_it_ends_in_numbers_a_picture_and_an_answer(
    example, monkeypatch, capsys, tmp_path, name, arguments, picture, lines
):
    arguments = [*SMALL, *arguments, "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    example(name).main()
    printed = capsys.readouterr().out
    for line in lines:
        assert line in printed
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    (served,) = (line for line in printed.splitlines() if "served" in line)
    same, _, asked = served.split()[-3:]
    assert same == asked


def test_distances_are_those_of_the_definition(example):
    runs = example("writing_runs")

    def slow(found, expected):
        if not found or not expected:
            return len(found) + len(expected)
        return min(
            slow(found[1:], expected) + 1,
            slow(found, expected[1:]) + 1,
            slow(found[1:], expected[1:]) + (found[0] != expected[0]),
        )

    rng = np.random.default_rng(0)
    for _ in range(30):
        pair = ["".join(rng.choice(list("abc"), rng.integers(0, 6))) for _ in "ab"]
        assert runs.edit_distance(*pair) == slow(*pair)
    assert runs.error_rate(["ab", "c"], ["ab", "cd"]) == 25.0


def test_strings_of_digits_hold_their_recordings(example, rng):
    spelling = example("spelling")
    recordings = spoken_digits.Recordings(
        [np.full(100 + n, 0.1 * (n + 1), "float32") for n in range(4)],
        np.array([3, 7, 0, 9], "int32"),
        np.array(["a", "a", "b", "b"]),
        np.arange(4, dtype="int32"),
    )
    inputs, texts = spelling.join(recordings, [[1, 0], [3]], 250)
    assert texts == ["seven three", "nine"]
    np.testing.assert_array_equal(inputs["lengths"], [201, 103])
    np.testing.assert_allclose(
        inputs["audio"][0, [0, 100, 101, 200, 201]], [0.2, 0.2, 0.1, 0.1, 0]
    )
    rows = spelling.strings(recordings, 20, 3, rng)
    assert {len(set(recordings.speakers[row])) for row in rows} == {1}
    (inputs, labels, weights) = spelling.make_batch(recordings, 5)(rng)
    np.testing.assert_array_equal(inputs["target"][:, 0], np.full(5, 2))
    np.testing.assert_array_equal(
        inputs["target"][:, 1:][labels[:, 1:] != 0], labels[:, :-1][labels[:, 1:] != 0]
    )
    np.testing.assert_array_equal(weights, labels != 0)


def test_attention_that_moves_on_is_told_from_one_that_jumps(example):
    spelling = example("spelling")
    forward = np.eye(4)[[0, 1, 1, 3, 3]]
    answer = {
        "attention_scores": np.stack([forward, forward[::-1]]),
        "lengths": np.array([5, 5]),
    }
    assert spelling.forward_share(answer) == (3 + 2) / 6


def test_powers_are_rendered_as_powers(example):
    formulas = example("formulas")
    tokens = r"\alpha x ^ { 2 } \left( a _ { i j } \right) b"
    assert formulas.joined(tokens) == r"\alpha x^{2}\left(a_{ij}\right)b"
    render = formulas.Renderer()
    assert (render("x ^ { 2 }") != render("x { 2 }")).any()
    assert (render("x ^ { 2 }") != render("x _ { 2 }")).any()
    assert formulas.joined(r"x \ y \frac { a } { b }") == r"x\ y\dfrac{a}{b}"


def test_formulas_that_people_wrote_are_tokens_of_the_lists(example):
    normalized = example("formulas").normalized
    assert normalized(r"x^2 \label{eq:1}") == "x ^ { 2 }"
    assert normalized(r"T^{ab}_{c \mu}") == r"T _ { c \mu } ^ { a b }"
    assert normalized(r"A_\mu^2\ \alpha^{*}") == r"A _ { \mu } ^ { 2 } \ \alpha ^ { * }"
    assert normalized(r"\left (x\right\}\{") == r"\left( x \right\} \{"


def test_pieces_are_all_that_can_be_cut_out_and_rendered(example, rng):
    formulas = example("formulas")
    text, render = "a _ { 1 } + \\frac { b } { 2 }", formulas.Renderer()
    tokens = text.split()
    spans = [" ".join(tokens[i:j]) for j in range(14) for i in range(j)]
    closed = [span for span in spans if span.count("{") == span.count("}")]
    expected = {span for span in closed if render(span) is not None} - {"a", text}
    pieces, pictures = formulas.cut([text], render, 1000, rng, {"a", text})
    assert len(pieces) == len(pictures) and set(pieces) == expected
    assert {"1", "+", "a _ { 1 }", "\\frac { b } { 2 }"} < expected
    np.testing.assert_array_equal(pictures[pieces.index("+")], render("+"))
    assert len(formulas.cut(["1 2 3 4"], render, 3, rng, ())[0]) == 3


def test_pointing_is_right_on_the_thing_only(example):
    captions = example("captions")
    thing = scenes.Thing("circle", "red", 12.0, 52.0, 8.0)
    scene = scenes.Scene(np.zeros((64, 64, 3), "uint8"), [thing])
    vocabulary = captions.Vocabulary(["a", "red", "circle"], " ")
    looks = np.zeros((1, 4, 8, 8))
    looks[0, 0, 0, 0] = looks[0, 1, 6, 1] = looks[0, 2, 0, 7] = 1.0
    answer = {"tokens": np.array([[4, 5, 6, 3]]), "attention_scores": looks}
    hits, chance = captions.pointing_game(
        answer, vocabulary, [(None, None, None, scene)]
    )
    assert hits == 50.0
    np.testing.assert_allclose(chance, 100 * 24**2 / 64**2)
    silent = {**answer, "tokens": np.zeros((1, 4), "int32")}
    rows = [(None, None, None, scene)]
    assert captions.pointing_game(silent, vocabulary, rows) == (0.0, 0.0)


@pytest.mark.slow
def test_the_rival_of_spelling_is_right_on_a_share(example):
    digits = np.arange(40, dtype="int32") % 10
    tones = np.sin(np.arange(3000) * (0.1 + 0.2 * digits[:, None]))
    recordings = spoken_digits.Recordings(
        list(tones.astype("float32")), digits, np.array(["a"] * 40), np.arange(40)
    )
    arguments = argparse.Namespace(seed=0, epochs=1)
    right = 40 * example("spelling").baseline(recordings, recordings, arguments)
    assert 0 <= right <= 40 and abs(right - round(right)) < 1e-4
