"""Spoken digits, spelled out: a pyramid listens, an attentive decoder writes.

`ListenAttendSpell` is trained on strings of one to three digits of one speaker, made of
the recordings of the Free Spoken Digit Dataset, and judged by word and character error
rates: on the official test recordings, on strings of test digits, four of them longer
than any of the training, and on a speaker who was left out of the training. A small
convolutional network that only tells ten classes apart is the baseline; published for
such networks on the official split: 97 %.

    python examples/spelling.py
    python examples/spelling.py --held-out theo   # all but one speaker

How much the attention moves forward is measured as the share of steps, between letters,
on which the mean place does not move back.
"""

import keras
import numpy as np
import writing_runs as runs

from keras_attn import ListenAttendSpell, LogMel
from keras_attn.data import Vocabulary, encode, spoken_digits

ROOM = 6400  # samples of a digit, 0.8 s; the few longer ones are not trained on
MOST_DIGITS = 3
LETTERS = 24  # of four digits, spaces and the end included
VOCABULARY = Vocabulary.of([*spoken_digits.WORDS, " "])


def join(recordings, chosen, room, rng=None):
    """Audio `(rows, room)`, lengths and texts of rows of recordings' numbers."""
    audio, lengths, texts = np.zeros((len(chosen), room), "float32"), [], []
    for row, numbers in zip(audio, chosen, strict=True):
        place = 0
        for number in numbers:
            sound = recordings.audio[number]
            if rng is not None:
                sound = sound * rng.uniform(0.5, 1.5)
                place += rng.integers(0, 400)
            sound = sound[: max(0, room - place)]
            row[place : place + len(sound)] = sound
            place += len(sound)
        lengths.append(min(place, room))
        words = [spoken_digits.WORDS[recordings.digits[n]] for n in numbers]
        texts.append(" ".join(words))
    if rng is not None:
        audio += rng.normal(scale=rng.uniform(0, 0.005), size=audio.shape)
    return {"audio": audio, "lengths": np.array(lengths, "int32")}, texts


def strings(recordings, count, digits, rng):
    """Numbers of recordings, so many of one speaker in each row."""
    speakers = [
        np.flatnonzero(recordings.speakers == name)
        for name in np.unique(recordings.speakers)
    ]
    return [
        rng.choice(speakers[rng.integers(len(speakers))], digits) for _ in range(count)
    ]


def make_batch(recordings, batch_size):
    short = np.array([len(sound) <= ROOM - 400 for sound in recordings.audio])
    recordings = recordings.at(short)

    def make(rng):
        digits = int(rng.integers(1, MOST_DIGITS + 1))
        chosen = strings(recordings, batch_size, digits, rng)
        inputs, texts = join(recordings, chosen, digits * ROOM, rng)
        labels = np.zeros((batch_size, 6 * digits), "int32")
        ids = encode(VOCABULARY, texts, 6 * digits)
        labels[:, : ids.shape[1]] = ids
        return runs.with_target(inputs, labels)

    return make


def judge(model, inputs, texts, search=None):
    """Word and character error rates, and the answers."""
    answer = runs.write(model, inputs, search)
    found = VOCABULARY.detokenize(answer["tokens"])
    words = [[text.split() for text in part] for part in (found, texts)]
    return runs.error_rate(*words), runs.error_rate(found, texts), found, answer


def forward_share(answer):
    """Share of the steps on which the attention's mean place does not move back."""
    weights, lengths = answer["attention_scores"], answer["lengths"]
    places = weights @ np.arange(weights.shape[-1])
    moves = np.diff(places, axis=1)
    inside = np.arange(1, places.shape[1]) < lengths[:, None] - 1  # not to the end
    return float((moves[inside] >= -0.5).mean())


def baseline(train, test, arguments):
    """Accuracy of convolutions over the same features of single digits."""
    keras.utils.set_random_seed(arguments.seed)
    parts = []
    for part in (train, test):
        inputs, _ = join(part, [[n] for n in range(len(part))], 8000)
        parts.append(np.array(LogMel()(inputs["audio"], inputs["lengths"])))
    layers = keras.layers
    model = keras.Sequential([keras.Input((*parts[0].shape[1:], 1))])
    for width in (16, 32, 64):
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=True)
    model.fit(
        parts[0][..., None],
        train.digits,
        batch_size=32,
        epochs=min(20, arguments.epochs),
        verbose=0,
    )
    return model.evaluate(parts[1][..., None], test.digits, verbose=0)[1]


def draw(answer, found, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from keras_attn.plotting import attention_map

    figure, axes = plt.subplots(figsize=(7, 5))
    weights = answer["attention_scores"][: len(found)]
    seconds = [
        "" if step % 10 else f"{0.04 * step:.1f}" for step in range(weights.shape[1])
    ]
    attention_map(weights, seconds, list(found.replace(" ", "_")), ax=axes)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main():
    parser = runs.make_parser(__doc__, "spelling", epochs=30, steps=150)
    parser.add_argument("--held-out", help="test on this speaker, train on the others")
    arguments = parser.parse_args()
    recordings = spoken_digits.load()
    is_test = recordings.takes < spoken_digits.TEST_TAKES
    if arguments.held_out is not None:
        is_test = recordings.speakers == arguments.held_out
    rng = np.random.default_rng(arguments.seed)
    # The next takes of each digit choose the epoch.
    is_validation = ~is_test & (recordings.takes % 10 == 9)
    train = recordings.at(~is_test & ~is_validation)
    validation, test = recordings.at(is_validation), recordings.at(is_test)
    print(f"{len(train)} recordings train, {len(validation)} choose, {len(test)} test")

    keras.utils.set_random_seed(arguments.seed)
    model = ListenAttendSpell(
        VOCABULARY.vocabulary_size(),
        listener_units=64,
        dropout=0.2,
        units=128,
        embedding_dim=32,
        max_length=LETTERS,
        name="spelling",
    )
    limit = arguments.limit or 300
    chosen = strings(validation, min(limit, 200), 2, rng)
    choosing = join(validation, chosen, 2 * ROOM)
    runs.train(
        model,
        make_batch(train, arguments.batch_size),
        lambda model: judge(model, *choosing)[1],
        arguments,
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    numbers = rng.permutation(len(test))[:limit]
    longest = max(len(sound) for sound in test.audio)
    sets = {"single": join(test, [[n] for n in numbers], longest)}
    for digits in (3, 4):
        chosen = strings(test, limit, digits, rng)
        sets[f"{digits} digits"] = join(test, chosen, digits * ROOM)
    print("| test | word error, greedy | word error | character error | forward |")
    print("|---|---|---|---|---|")
    search = {"beam_width": arguments.beam}
    for name, (inputs, texts) in sets.items():
        greedy, *_ = judge(model, inputs, texts)
        words, letters, found, answer = judge(model, inputs, texts, search)
        share = forward_share(answer)
        print(f"| {name} | {greedy:.1f} | {words:.1f} | {letters:.1f} | {share:.3f} |")
    print(f"baseline, single digits: {baseline(train, test, arguments):.1%} right")
    one = {name: value[0] for name, value in answer.items()}
    draw(one, found[0], arguments.output / "alignment.png")
    asked = {name: value[:20] for name, value in inputs.items()}
    card = {
        "description": "Spells spoken digits out, English, 8 kHz.",
        "data": "Free Spoken Digit Dataset (CC BY-SA 4.0).",
        "metrics": {"word error rate of 4 digits, %": words},
    }
    runs.serve(model, VOCABULARY, arguments.output, asked, found[:20], card, **search)


if __name__ == "__main__":
    main()
