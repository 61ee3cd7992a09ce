"""Questions about scenes: one attention layer over words and places, and an answer.

`AskAttendAnswer` is trained on rendered scenes of coloured shapes and questions about
them: how many, is there, what color, what shape, what is left of. The baseline has the
answer that is the most frequent for the same kind of question.

    python examples/questions.py
"""

from collections import Counter

import keras
import numpy as np
import writing_runs as runs

from keras_attn import AskAttendAnswer
from keras_attn.data import Vocabulary, encode, scenes

MOST_WORDS = 8  # of a question
ANSWER = 3  # two words and the end


def sample(rng):
    scene = scenes.sample(rng)
    return (scene.image, *scenes.question(scene, rng))


def as_inputs(rows, vocabulary):
    questions = np.zeros((len(rows), MOST_WORDS), "int32")
    ids = encode(vocabulary, [row[1] for row in rows], MOST_WORDS, end=False)
    questions[:, : ids.shape[1]] = ids
    images = np.stack([row[0] for row in rows]).astype("float32") / 255
    return {"image": images, "question": questions}


def make_batch(vocabularies, batch_size):
    def make(rng):
        rows = [sample(rng) for _ in range(batch_size)]
        labels = np.zeros((batch_size, ANSWER), "int32")
        ids = encode(vocabularies[1], [row[2] for row in rows], ANSWER)
        labels[:, : ids.shape[1]] = ids
        return runs.with_target(as_inputs(rows, vocabularies[0]), labels)

    return make


def judge(model, rows, vocabularies, search):
    """Which answers are right, the answers, and all that came with them."""
    answer = runs.write(model, as_inputs(rows, vocabularies[0]), search)
    found = vocabularies[1].detokenize(answer["tokens"])
    right = [f == row[2] for f, row in zip(found, rows, strict=True)]
    return np.array(right), found, answer


def draw(rows, found, answer, path):
    """The scene, where the first word of the answer looked, and at which words."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(12, 6))
    for place, row, text, weights in zip(
        axes.flat, rows, found, answer["attention_scores"], strict=False
    ):
        words, grid = weights[0, :MOST_WORDS], weights[0, MOST_WORDS:]
        side = int(len(grid) ** 0.5)
        place.imshow(row[0])
        extent = (0, scenes.SIZE, scenes.SIZE, 0)
        place.imshow(grid.reshape(side, side), cmap="inferno", alpha=0.6, extent=extent)
        place.set_title(f"{row[1]}?\n{text}; words: {words.sum():.2f}", fontsize=8)
        place.axis("off")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main():
    parser = runs.make_parser(__doc__, "questions", epochs=30, steps=150)
    parser.set_defaults(batch_size=64)  # by half of that the image is hardly looked at
    arguments = parser.parse_args()
    rng = np.random.default_rng(54321)
    test = [sample(rng) for _ in range(arguments.limit or 1000)]
    validation, known = ([sample(rng) for _ in range(n)] for n in (300, 2000))
    vocabularies = [Vocabulary.of([row[part] for row in known], " ") for part in (1, 2)]
    keras.utils.set_random_seed(arguments.seed)
    model = AskAttendAnswer(
        vocabularies[1].vocabulary_size(),
        vocabularies[0].vocabulary_size(),
        widths=(16, 32, 64),
        units=128,
        embedding_dim=64,
        max_length=ANSWER,
        name="questions",
    )
    runs.train(
        model,
        make_batch(vocabularies, arguments.batch_size),
        lambda model: 1 - judge(model, validation, vocabularies, None)[0].mean(),
        arguments,
        learning_rate=1e-3,
    )
    search = {"beam_width": arguments.beam}
    right, found, answer = judge(model, test, vocabularies, search)
    kinds = np.array([row[3] for row in test])
    print("| question | right, % | the most frequent answer, % |\n|---|---|---|")
    for kind in ("all", *sorted(set(kinds))):
        inside = (kinds == kind) | (kind == "all")
        frequent = [
            row[2]
            == Counter(k[2] for k in known if k[3] == row[3]).most_common(1)[0][0]
            for row, chosen in zip(test, inside, strict=True)
            if chosen
        ]
        share, rival = 100 * right[inside].mean(), 100 * np.mean(frequent)
        print(f"| {kind} | {share:.1f} | {rival:.1f} |")
    arguments.output.mkdir(parents=True, exist_ok=True)
    draw(test, found, answer, arguments.output / "answers.png")
    card = {
        "description": "Answers questions about scenes of coloured shapes.",
        "data": "Rendered scenes.",
        "metrics": {"right answers, %": float(100 * right.mean())},
    }
    asked = as_inputs(test[:20], vocabularies[0])
    asked["question"] = np.array([row[1] for row in test[:20]], object)
    search["question_vocabulary"] = vocabularies[0]
    runs.serve(
        model, vocabularies[1], arguments.output, asked, found[:20], card, **search
    )


if __name__ == "__main__":
    main()
