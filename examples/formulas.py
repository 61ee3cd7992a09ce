"""Pictures of formulas, written as LaTeX again.

`ImageToMarkup` (Deng et al., 2017: convolutions, a row encoder, an attentive decoder)
is trained on formulas of physics papers, those of the im2latex lists that matplotlib
can render onto a small canvas, and on pieces cut out of them, of which the short ones
teach it where to look. They are judged by the BLEU of their tokens, by edit distance,
and by rendering again what was written: two ways to write one formula look the same.

    python examples/formulas.py

The full im2latex-100k has ten times as many formulas, and pictures of whole lines; its
figures are no measure of these. Real renderings by LaTeX, on which nothing was trained,
are judged too.
"""

import re

import keras
import numpy as np
import sacrebleu
import writing_runs as runs

from keras_attn import ImageToMarkup
from keras_attn.data import Vocabulary, encode, im2latex

CANVAS = (48, 256)
MOST_TOKENS = 48
LENGTHS = (12, 24, MOST_TOKENS)
SIZE, DPI, SHRINK = 12, 200, 2  # as the real renderings have been made
COMMAND = r"\\[a-zA-Z]+"


class Renderer:
    """Formulas as pictures, uint8 of `CANVAS`, ink on nothing.

    The font and the size are those of the real renderings.
    """

    def __init__(self):
        from matplotlib.font_manager import FontProperties
        from matplotlib.mathtext import MathTextParser

        self.parser = MathTextParser("agg")
        self.font = FontProperties(size=SIZE, math_fontfamily="cm")

    def __call__(self, formula):
        """The picture, or `None` where it cannot be rendered or does not fit."""
        try:
            parsed = self.parser.parse(f"${joined(formula)}$", DPI, self.font)
        except (ValueError, RuntimeError):
            return None
        image = np.asarray(parsed.image)
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        ink = np.pad(ink, [(0, -size % SHRINK) for size in ink.shape])
        height, width = (size // SHRINK for size in ink.shape)
        parts = ink.reshape(height, SHRINK, width, SHRINK)
        return on_canvas(parts.mean(axis=(1, 3)).astype("uint8"))


def joined(formula):
    """The formula as matplotlib shows it as LaTeX would on a line of its own.

    Spaces are left only where a command would run into a letter, and where they are
    commands: with more of them matplotlib writes indices and powers on the line.
    """
    text = re.sub(rf"({COMMAND} (?=[a-zA-Z])|\\ )| ", r"\1", formula)
    return re.sub(r"\\frac(?![a-zA-Z])", r"\\dfrac", text)


def normalized(formula):
    """Tokens of LaTeX as people write it, in the form of the lists.

    Scripts are in braces, the lower one first, and delimiters belong to their `\\left`.
    """
    formula = re.sub(r"\\label\{[^}]*\}", "", formula)
    formula = re.sub(r"(\\left|\\right) *(\\?\S)", r"\1\2", formula)
    piece = rf"\\(?:left|right)\\?[^\sa-zA-Z]|{COMMAND}|\\\S|\\|\S"
    text = " ".join(re.findall(piece, formula))
    text = re.sub(rf"([_^]) ({COMMAND}|[^{{}}\\\s])(?= |$)", r"\1 { \2 }", text)
    flat = r"\{ [^{}]* \}"
    return re.sub(rf"(\^ {flat}) (_ {flat})", r"\2 \1", text)


def on_canvas(ink):
    """The picture in the middle of the left edge, or `None` where it does not fit."""
    height, width = ink.shape
    if height > CANVAS[0] - 4 or width > CANVAS[1] - 4:
        return None
    canvas = np.zeros(CANVAS, "uint8")
    top = (CANVAS[0] - height) // 2
    canvas[top : top + height, 2 : 2 + width] = ink
    return canvas


def load(render, split, limit, known=()):
    """Formulas that can be rendered, without repetitions, and their pictures."""
    rows = {}
    for formula in im2latex.load(split):
        if formula in rows or formula in known:
            continue
        if len(formula.split()) < MOST_TOKENS:
            picture = render(formula)
            if picture is not None:
                rows[formula] = picture
        if len(rows) == limit:
            break
    return list(rows), np.stack(list(rows.values()))


def cut(texts, render, count, rng, known):
    """Up to `count` new pieces of the formulas that can be rendered, and pictures."""
    rows = {}
    for _ in range(4 * count):  # of these about a third can be rendered
        tokens = texts[rng.integers(len(texts))].split()
        size = rng.integers(1, len(tokens) + 1)
        first = rng.integers(len(tokens) - size + 1)
        piece = tokens[first : first + size]
        text = " ".join(piece)
        if text in rows or text in known or not is_balanced(piece):
            continue
        picture = render(text)
        if picture is not None:
            rows[text] = picture
        if len(rows) >= count:
            break
    return list(rows), np.array(list(rows.values()), "uint8").reshape(-1, *CANVAS)


def is_balanced(tokens):
    """Whether every brace that opens is closed."""
    depths = np.cumsum([(token == "{") - (token == "}") for token in tokens])
    return depths.min() == depths[-1] == 0


def load_real(known):
    """Real renderings that fit, and their formulas in tokens."""
    real = im2latex.load_renderings()
    texts, pictures = [], []
    for image, formula in zip(real.images, real.formulas, strict=True):
        picture = on_canvas(255 - image)
        text = normalized(formula)
        short = len(text.split()) < MOST_TOKENS
        if picture is not None and short and text not in known:
            texts.append(text)
            pictures.append(picture)
    return texts, np.stack(pictures)


def make_batch(texts, pictures, vocabulary, batch_size):
    """Batches of formulas of about one length, so that little of them is padding."""
    ids = [encode(vocabulary, [text], MOST_TOKENS)[0] for text in texts]
    sizes = np.searchsorted(LENGTHS, [len(row) for row in ids])
    rows_of = [np.flatnonzero(sizes == size) for size in range(len(LENGTHS))]

    def make(rng):
        size = sizes[rng.integers(len(sizes))]  # each length as often as there are such
        rows = rng.choice(rows_of[size], batch_size)
        labels = np.zeros((batch_size, LENGTHS[size]), "int32")
        for label, row in zip(labels, rows, strict=True):
            label[: len(ids[row])] = ids[row]
        moved = np.roll(pictures[rows], rng.integers(-1, 2, 2), axis=(1, 2))
        return runs.with_target(as_inputs(moved), labels)

    return make


def as_inputs(pictures):
    return {"image": pictures[..., None].astype("float32") / 255}


def judge(model, texts, pictures, vocabulary, search, render=None):
    """Figures in percent, and what was written."""
    answer = runs.write(model, as_inputs(pictures), search)
    found = vocabulary.detokenize(answer["tokens"])
    pieces = [[text.split() for text in part] for part in (found, texts)]
    figures = {
        "BLEU": sacrebleu.corpus_bleu(
            found, [texts], tokenize="none", force=True
        ).score,
        "edit": 100 - runs.error_rate(*pieces),
        "exact": 100 * np.mean([f == e for f, e in zip(found, texts, strict=True)]),
    }
    if render is not None:
        again = [render(text) for text in found]
        same = [
            a is not None and (a == picture).all()
            for a, picture in zip(again, pictures, strict=True)
        ]
        figures["image"] = 100 * np.mean(same)
    return figures, found, answer


def draw(picture, tokens, weights, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    number = min(len(tokens), 24)
    figure, axes = plt.subplots(-(-number // 3), 3, figsize=(10, 0.5 * number + 1))
    for place in axes.flat:
        place.axis("off")
    for place, token, look in zip(axes.flat, tokens[:number], weights, strict=False):
        place.imshow(255 - picture, cmap="gray")
        extent = (0, CANVAS[1], CANVAS[0], 0)
        place.imshow(look, cmap="Reds", alpha=0.5, extent=extent)
        place.set_title(token.replace("$", r"\$"), fontsize=7, parse_math=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main():
    parser = runs.make_parser(__doc__, "formulas", epochs=30, steps=200)
    parser.add_argument("--formulas", type=int, help="train on so many formulas only")
    parser.add_argument("--pieces", type=int, default=12_000, help="cut out of these")
    arguments = parser.parse_args()
    render = Renderer()
    texts, pictures = load(render, "val", arguments.formulas)
    choosing = max(1, min(300, len(texts) // 10))
    chosen = texts[:choosing], pictures[:choosing]
    texts, pictures = texts[choosing:], pictures[choosing:]
    rng = np.random.default_rng(arguments.seed)
    known = {*texts, *chosen[0]}
    pieces, cuts = cut(texts, render, arguments.pieces, rng, known)
    size = f"{len(texts)} formulas and {len(pieces)} pieces of them"
    texts, pictures = [*texts, *pieces], np.concatenate([pictures, cuts])
    limit = arguments.limit or 1000
    known |= set(pieces)
    tests = {"test formulas": (*load(render, "test", limit, known), render)}
    real_texts, real_pictures = load_real(known)
    tests["real renderings"] = (real_texts[:limit], real_pictures[:limit], None)
    vocabulary = Vocabulary.of(texts, " ", min_count=2)
    print(
        f"{size} train, {choosing} choose, "
        f"{', '.join(f'{len(rows[0])} {name}' for name, rows in tests.items())}; "
        f"{vocabulary.vocabulary_size()} ids",
        flush=True,
    )
    keras.utils.set_random_seed(arguments.seed)
    model = ImageToMarkup(
        vocabulary.vocabulary_size(),
        (*CANVAS, 1),
        widths=(16, 32, 64, 128),
        units=256,
        dropout=0.2,
        max_length=MOST_TOKENS,
        name="formulas",
    )
    runs.train(
        model,
        make_batch(texts, pictures, vocabulary, arguments.batch_size),
        lambda model: -judge(model, *chosen, vocabulary, None)[0]["edit"],
        arguments,
    )
    metrics = {}
    search = {"beam_width": arguments.beam, "length_penalty": 0.6}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, (texts, pictures, again) in tests.items():
        figures, found, answer = judge(
            model, texts, pictures, vocabulary, search, again
        )
        line = ", ".join(f"{key} {value:.1f}" for key, value in figures.items())
        print(f"{name}, {size}: {line}", flush=True)
        metrics |= {f"{key}, {name}": value for key, value in figures.items()}
        tokens = [vocabulary.id_to_token(int(i)) for i in answer["tokens"][0] if i]
        path = arguments.output / f"{name.replace(' ', '_')}.png"
        draw(pictures[0], tokens, answer["attention_scores"][0], path)
    card = {
        "description": "Writes pictures of formulas as LaTeX.",
        "data": f"im2latex-100k (formulas from arXiv), rendered; {size} train.",
        "metrics": metrics,
    }
    asked = as_inputs(pictures[:10])
    runs.serve(model, vocabulary, arguments.output, asked, found[:10], card, **search)


if __name__ == "__main__":
    main()
