"""Captions of pictures: soft attention says a word and looks at a place for it.

`ImageCaptioner` (Show, Attend and Tell, with gate and doubly stochastic attention) is
trained on rendered scenes of coloured shapes, where it is known which word names which
place, or on emoji: on the glyphs of one drawing style, tested on the same glyphs drawn
by others, and on glyphs never seen. The baseline has the caption of the nearest picture
of the training.

    python examples/captions.py --data scenes
    python examples/captions.py --data emoji --epochs 50
    python examples/captions.py --attention hard --output outputs/captions_hard

Prints BLEU and exact match, and for scenes the pointing game: how often the place with
the most attention lies on the thing that the word names, where a blind guess is right
as often as the things are large.
"""

from typing import ClassVar

import keras
import numpy as np
import sacrebleu
import writing_runs as runs

from keras_attn import ImageCaptioner, SmoothedCrossentropy
from keras_attn.data import Vocabulary, emoji_captions, encode, scenes

MOST_WORDS = 14


class Scenes:
    """Scenes that are drawn when needed; each may be told in several ways."""

    network: ClassVar = {}

    def __init__(self, arguments):
        rng = np.random.default_rng(12345)
        self.vocabulary = Vocabulary.of(
            [" ".join(self.draw(rng)[1]) for _ in range(500)], " "
        )
        count = arguments.limit or 1000
        self.tests = {"scenes": [self.draw(rng) for _ in range(count)]}
        self.validation = [self.draw(rng) for _ in range(300)]
        self.known = [self.draw(rng) for _ in range(3000)]  # of the baseline

    def draw(self, rng):
        scene = scenes.sample(rng)
        words, named = scenes.caption(scene, rng)
        return scene.image, words, named, scene

    def make_batch(self, batch_size):
        def make(rng):
            return _batch([self.draw(rng) for _ in range(batch_size)], self.vocabulary)

        return make


class Emoji:
    """Glyphs of one style; the test is another style, or other glyphs."""

    # A place sees 46 of the 64 pixels along a side, where three levels see 22.
    network: ClassVar = {"widths": (24, 48, 96, 160), "dropout": 0.2}

    def __init__(self, arguments):
        def rows(split, style):
            loaded = emoji_captions.load(split, style)
            rows = [(i, c.split(), None, None) for i, c in zip(*loaded, strict=True)]
            return rows[: arguments.limit]

        self.known = rows("train", "google")
        self.validation = rows("validation", "google")
        self.tests = {
            "known glyphs, other style": rows("train", "twitter"),
            "new glyphs, same style": rows("test", "google"),
            "new glyphs, other style": rows("test", "twitter"),
        }
        captions = [" ".join(row[1]) for row in self.known]
        self.vocabulary = Vocabulary.of(captions, " ")

    def make_batch(self, batch_size):
        def make(rng):
            rows = [
                self.known[i] for i in rng.integers(len(self.known), size=batch_size)
            ]
            return _batch(
                [(_moved(row[0], rng), *row[1:]) for row in rows], self.vocabulary
            )

        return make


def _moved(image, rng):
    """The picture somewhere else, turned, in another size, in other colours."""
    from PIL import Image

    angle, zoom = np.radians(rng.uniform(-10, 10)), rng.uniform(0.85, 1.15)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turn /= zoom
    center = np.array(image.shape[1::-1]) / 2
    offset = center - turn @ (center + rng.uniform(-4, 4, 2))
    image = Image.fromarray(image).transform(
        image.shape[1::-1],
        Image.Transform.AFFINE,
        tuple(np.column_stack([turn, offset]).ravel()),
        Image.Resampling.BILINEAR,
        fillcolor="white",
    )
    image = 255 - (255 - np.asarray(image, "float32")) * rng.uniform(0.6, 1.2, 3)
    return np.clip(image + rng.normal(scale=8), 0, 255)


def _batch(rows, vocabulary):
    labels = np.zeros((len(rows), MOST_WORDS), "int32")
    texts = [" ".join(row[1]) for row in rows]
    ids = encode(vocabulary, texts, MOST_WORDS, truncate=True)
    labels[:, : ids.shape[1]] = ids
    return runs.with_target(_pictures(rows), labels)


def _pictures(rows):
    return {"image": np.stack([row[0] for row in rows]).astype("float32") / 255}


def judge(model, rows, vocabulary, search):
    """BLEU, exact match, captions and the whole answer."""
    answer = runs.write(model, _pictures(rows), search)
    found = vocabulary.detokenize(answer["tokens"])
    return (*scores(found, rows), found, answer)


def scores(found, rows):
    expected = [" ".join(row[1]) for row in rows]
    bleu = sacrebleu.corpus_bleu(found, [expected], tokenize="none").score
    exact = 100 * np.mean([f == e for f, e in zip(found, expected, strict=True)])
    return bleu, exact


def sense(found, rows):
    """Share of captions that are true of the scene, in whatever order."""
    true = []
    for text, (*_, scene) in zip(found, rows, strict=True):
        names = sorted(thing.name for thing in scene.things)
        words = text.split()
        said = [
            " ".join(words[i : i + 2])
            for i, w in enumerate(words)
            if w in scenes.COLORS
        ]
        true.append(sorted(said) == names)
    return 100 * float(np.mean(true))


def nearest(rows, known):
    """Captions of the known pictures with the most similar pixels."""
    small = [
        np.stack([r[0][::2, ::2].ravel() for r in part]).astype("float32") / 255
        for part in (rows, known)
    ]
    squares = [(part**2).sum(axis=1) for part in small]
    distances = squares[0][:, None] - 2 * small[0] @ small[1].T + squares[1]
    return [" ".join(known[i][1]) for i in distances.argmin(axis=1)]


def pointing_game(answer, vocabulary, rows):
    """How often a colour or shape is written while looking at a thing it names.

    Returns:
        The share of right words that point right, and the share of the image that
        things of that name take up: what a blind guess has. Both 0 without such words.
    """
    hits, chances = [], []
    for tokens, weights, (*_, scene) in zip(
        answer["tokens"], answer["attention_scores"], rows, strict=True
    ):
        for token, places in zip(tokens, weights, strict=True):
            word = vocabulary.id_to_token(int(token))
            named = [t for t in scene.things if word in (t.color, t.shape)]
            if not named:
                continue
            cell = scenes.SIZE / places.shape[0]
            row, column = np.unravel_index(places.argmax(), places.shape)
            x, y = (column + 0.5) * cell, (row + 0.5) * cell
            half = cell / 2  # a place is as large as a cell of the grid
            boxes = [thing.box for thing in named]
            hits.append(
                any(
                    left - half <= x <= right + half and top - half <= y <= low + half
                    for left, top, right, low in boxes
                )
            )
            areas = [(b[2] - b[0] + cell) * (b[3] - b[1] + cell) for b in boxes]
            chances.append(min(1.0, sum(areas) / scenes.SIZE**2))
    if not hits:
        return 0.0, 0.0
    return 100 * float(np.mean(hits)), 100 * float(np.mean(chances))


def draw(rows, answer, found, path):
    """The picture, and where each word looked."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    words = max(len(text.split()) for text in found[:4])
    figure, axes = plt.subplots(
        4, words + 1, figsize=(1.2 * (words + 1), 5.5), squeeze=False
    )
    for line, row, text, weights in zip(
        axes, rows, found, answer["attention_scores"], strict=False
    ):
        for place in line:
            place.axis("off")
        line[0].imshow(row[0].astype("uint8"))
        for place, word, look in zip(line[1:], text.split(), weights, strict=False):
            place.imshow(row[0].astype("uint8"))
            extent = (0, row[0].shape[1], row[0].shape[0], 0)
            place.imshow(look, cmap="inferno", alpha=0.6, extent=extent)
            place.set_title(word, fontsize=8)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main():
    parser = runs.make_parser(__doc__, "captions", epochs=30, steps=150)
    parser.add_argument("--data", choices=("scenes", "emoji"), default="scenes")
    parser.add_argument("--attention", choices=("soft", "hard"), default="soft")
    arguments = parser.parse_args()
    data = {"scenes": Scenes, "emoji": Emoji}[arguments.data](arguments)
    vocabulary = data.vocabulary
    keras.utils.set_random_seed(arguments.seed)
    model = ImageCaptioner(
        vocabulary.vocabulary_size(),
        attention=arguments.attention,
        units=192,
        embedding_dim=96,
        coverage=0.01,
        max_length=MOST_WORDS,
        **data.network,
        name=f"captions_{arguments.data}",
    )
    runs.train(
        model,
        data.make_batch(arguments.batch_size),
        lambda model: -judge(model, data.validation, vocabulary, None)[0],
        arguments,
        loss=SmoothedCrossentropy(0.1, reduction="mean_with_sample_weight"),
    )
    search = {"beam_width": arguments.beam, "length_penalty": 0.6}
    folder = arguments.output / arguments.data
    folder.mkdir(parents=True, exist_ok=True)
    print(
        "| test | BLEU | exact | nearest picture: BLEU | exact |\n|---|---|---|---|---|"
    )
    figures = {}
    for name, rows in data.tests.items():
        bleu, exact, found, answer = judge(model, rows, vocabulary, search)
        rival = scores(nearest(rows, data.known), rows)
        print(
            f"| {name} | {bleu:.1f} | {exact:.1f} | {rival[0]:.1f} | {rival[1]:.1f} |"
        )
        figures |= {f"BLEU, {name}": bleu, f"exact match, {name}, %": exact}
        picture = name.replace(",", "").replace(" ", "_")
        draw(rows, answer, found, folder / f"{picture}.png")
    if arguments.data == "scenes":
        hits, chance = pointing_game(answer, vocabulary, rows)
        figures["pointing game, %"] = hits
        true = sense(found, rows), sense(nearest(rows, data.known), rows)
        print(f"names every thing rightly: {true[0]:.1f} %, nearest: {true[1]:.1f} %")
        print(f"pointing game: {hits:.1f} %, by chance {chance:.1f} %")
    card = {
        "description": "Says what a picture of 64 x 64 pixels shows.",
        "data": {
            "scenes": "Rendered scenes of coloured shapes.",
            "emoji": "emoji-datasource 16.0.0: Noto (Apache 2.0), Twemoji (CC BY 4.0).",
        }[arguments.data],
        "metrics": figures,
    }
    asked = _pictures(rows[:20])
    runs.serve(model, vocabulary, folder, asked, found[:20], card, **search)


if __name__ == "__main__":
    main()
