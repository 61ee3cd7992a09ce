import numpy as np
import pytest

from keras_attn.data import scenes


@pytest.fixture
def drawn(rng):
    return [scenes.sample(rng) for _ in range(200)]


def test_things_are_where_their_boxes_are(drawn):
    for scene in drawn:
        assert scene.image.shape == (64, 64, 3) and scene.image.dtype == np.uint8
        assert 1 <= len(scene.things) == len({t.name for t in scene.things}) <= 3
        for thing in scene.things:
            color = scene.image[int(thing.y), int(thing.x)].astype(int)
            assert np.abs(color - scenes.COLORS[thing.color]).max() < 50
            assert 0 <= min(thing.box) and max(thing.box) <= 64


def test_captions_are_true(drawn, rng):
    relations = 0
    for scene in drawn:
        words, named = scenes.caption(scene, rng)
        assert len(words) == len(named)
        said = {(t.color, t.shape) for t in named if t}
        assert said == {(t.color, t.shape) for t in scene.things}
        for word, thing in zip(words, named, strict=True):
            assert thing is None or word in (thing.color, thing.shape)
        if len(scene.things) == 2:
            first, second = list(dict.fromkeys(t for t in named if t))
            text = " ".join(words)
            relations += 1
            holds = {
                "left of": first.x < second.x,
                "right of": first.x > second.x,
                "above": first.y < second.y,
                "below": first.y > second.y,
            }
            (relation,) = (name for name in holds if name in text)
            assert holds[relation]
    assert relations > 30


def test_questions_have_the_answer_that_is_true(drawn, rng):
    kinds = set()
    for scene in drawn:
        asked, answer, kind = scenes.question(scene, rng)
        kinds.add(kind)
        names = {thing.name: thing for thing in scene.things}
        words = asked.split()
        if kind == "count":
            assert answer == ("one", "two", "three")[len(names) - 1]
        elif kind == "exists":
            assert answer == ("yes" if " ".join(words[-2:]) in names else "no")
        elif kind in ("color", "shape"):
            colors = {t.color for t in names.values() if t.shape == words[-1]}
            shapes = {t.shape for t in names.values() if t.color == words[-1]}
            assert {answer} == (colors if kind == "color" else shapes)
        elif answer != "nothing":
            first, second = names[answer], names[" ".join(words[-2:])]
            axis = "x" if words[2] in ("left", "right") else "y"
            before = getattr(first, axis) < getattr(second, axis)
            assert before == (words[2] in ("left", "above"))
    assert kinds == {"count", "exists", "color", "shape", "relation"}


def test_a_seed_draws_the_same():
    one, other = (scenes.sample(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert one.things == other.things
