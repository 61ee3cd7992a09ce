import numpy as np
import pytest

from keras_attn.data import DigitScenes


@pytest.fixture
def digits(rng):
    """Each is of one brightness of its own, so that one sees where it went."""
    brightness = rng.permutation(np.arange(100, 250))[:20].astype("uint8")
    images = np.ones((20, 6, 5, 1), "uint8") * brightness[:, None, None, None]
    return images, brightness.astype("int32")


def test_a_digit_lies_whole_somewhere_on_its_canvas(digits):
    scenes = DigitScenes(*digits, batch_size=8, size=10)
    corners, seen = set(), []
    for epoch in range(6):
        scenes.set_epoch(epoch)
        for index in range(len(scenes)):
            canvas, labels = scenes[index]
            assert canvas.dtype == np.uint8 and canvas.shape[1:] == (10, 10, 1)
            seen += labels.tolist()
            for picture, label in zip(canvas[..., 0], labels, strict=True):
                rows, columns = np.nonzero(picture)
                top, left = rows.min(), columns.min()
                expected = np.zeros((10, 10))
                expected[top : top + 6, left : left + 5] = label
                np.testing.assert_array_equal(picture, expected)
                corners.add((int(top), int(left)))
    assert sorted(seen) == sorted(6 * digits[1].tolist())
    assert {row for row, _ in corners} == set(range(5))
    assert {column for _, column in corners} == set(range(6))


def test_clutter_is_pieces_of_other_digits(digits):
    scenes = DigitScenes(*digits, batch_size=20, size=40, clutter=3, clutter_size=4)
    canvas, labels = scenes[0]
    most = 0
    for picture, label in zip(canvas[..., 0], labels, strict=True):
        values, counts = np.unique(picture[picture > 0], return_counts=True)
        found = dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert found.pop(label) > 0
        assert len(found) <= 3 and set(found) <= set(digits[1].tolist())
        assert all(count <= 3 * 16 for count in found.values())
        most = max(most, len(found))
    assert most == 3


def test_each_batch_has_places_of_its_own(digits):
    images = np.full((40, 6, 5, 1), 200, "uint8")
    scenes = DigitScenes(images, np.zeros(40), 20, size=20, shuffle=False)
    assert not np.array_equal(scenes[0][0], scenes[1][0])


def test_clutter_is_whole_and_never_of_the_digit_itself(digits):
    images, labels = digits
    scenes = DigitScenes(images, labels, 20, size=60, clutter=1, clutter_size=4)
    larger = DigitScenes(images, labels, 20, size=60, clutter=30, clutter_size=4)
    sizes = set()
    for picture, label in zip(scenes[0][0], scenes[0][1], strict=True):
        (piece,) = {*np.unique(picture).tolist()} - {0, int(label)} or {0}
        sizes.add(int((picture == piece).sum()) if piece else 0)
    assert max(sizes) == 16
    for picture, label in zip(*larger[0], strict=True):
        assert (picture == label).sum() <= 30


def test_the_brighter_pixel_shows_where_things_overlap(digits):
    images, labels = digits
    scenes = DigitScenes(images, labels, 20, size=6, clutter=4, clutter_size=5)
    canvas, shown = scenes[0]
    for picture, label in zip(canvas[:, :, :, 0], shown, strict=True):
        assert set(picture[picture < label].ravel().tolist()) <= {0, *labels.tolist()}
        assert (picture >= label).sum() >= 30


def test_scenes_depend_on_seed_epoch_and_place_alone(digits):
    def all_of(seed, epoch, shuffle=True):
        scenes = DigitScenes(
            *digits, 6, 12, clutter=2, shuffle=shuffle, seed=seed, clutter_size=3
        )
        scenes.set_epoch(epoch)
        batches = [scenes[i] for i in reversed(range(len(scenes)))]
        assert sorted(len(labels) for _, labels in batches) == [2, 6, 6, 6]
        return np.concatenate([canvas for canvas, _ in batches])

    np.testing.assert_array_equal(all_of(1, 2), all_of(1, 2))
    assert not np.array_equal(all_of(1, 2), all_of(1, 3))
    assert not np.array_equal(all_of(1, 2), all_of(2, 2))


def test_without_shuffling_the_scenes_stay(digits):
    scenes = DigitScenes(*digits, 20, 12, shuffle=False)
    canvas, labels = scenes[0]
    np.testing.assert_array_equal(labels, digits[1])
    scenes.on_epoch_end()
    np.testing.assert_array_equal(scenes[0][0], canvas)


def test_a_canvas_of_the_size_of_a_digit_is_the_digit(digits):
    square = np.tile(digits[0], (1, 1, 2, 1))[:, :, :6]
    canvas, _ = DigitScenes(square, digits[1], 20, size=6, shuffle=False)[0]
    np.testing.assert_array_equal(canvas, square)


def test_a_digit_is_moved_within_its_image(rng):
    images = rng.integers(1, 256, (200, 6, 6, 1)).astype("uint8")
    scenes = DigitScenes(images, np.zeros(200), 200, size=6, shift=1, shuffle=False)
    ways = set()
    for digit, moved in zip(images, scenes[0][0], strict=True):
        wide = np.pad(digit, [(1, 1), (1, 1), (0, 0)])
        same = [
            (row, column)
            for row, column in np.ndindex(3, 3)
            if np.array_equal(moved, wide[row : row + 6, column : column + 6])
        ]
        assert len(same) == 1
        ways.update(same)
    assert len(ways) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((2, 4, 4), "uint8")}, "`images` must be a uint8 array"),
        ({"images": np.zeros((2, 4, 4, 1))}, "dtype=float64"),
        ({"labels": np.zeros(3)}, "2 and 3 rows"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"size": 3}, "`size` must be at least that of a digit.*size=3"),
        ({"clutter": -1}, "clutter=-1"),
        ({"clutter_size": 5}, "clutter_size=5"),
        ({"shift": -1}, "shift=-1"),
        ({"shift": 4}, "shift=4"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    sound = {"images": np.zeros((2, 4, 4, 1), "uint8"), "labels": np.zeros(2)}
    sound |= {"batch_size": 1, "size": 8, "clutter": 1, "clutter_size": 2}
    with pytest.raises(ValueError, match=message):
        DigitScenes(**{**sound, **arguments})
