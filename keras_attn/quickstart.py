"""The main job: read human-written dates, from training to an answer over gRPC.

Dates as people write them in many languages become ISO dates. A `Seq2Seq` with
attention is trained under XLA, judged on dates it has never seen, exported, served and
asked, and the picture of one answer's alignment is saved.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_attn.data import dates, encode, train_tokenizer

ISO_LENGTH = len("1997-05-03") + 1  # and the end token
MONTH_DIGITS = slice(5, 7)
MAX_SOURCE = 72  # the longest date of all languages has 66 characters
BATCH_SIZE = 128
QUESTIONS = (
    "Saturday, May 3, 1997",
    "3 mai 1997",
    "3. Mai 1997",
    "Σάββατο 3 Μαΐου 1997",
    "суббота, 3 мая 1997 г.",  # noqa: RUF001 - Russian
    "1997年5月3日",
)


class Reader(NamedTuple):
    """A trained model with the tokenizers that make its ids."""

    model: Any
    source_tokenizer: Any
    target_tokenizer: Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the main job; returns the exit code."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    begun = time.perf_counter()
    try:
        languages = choose_languages(parsed.languages)
    except ValueError as error:
        parser.error(str(error))
    if parsed.samples < BATCH_SIZE:
        parser.error(f"--samples must be at least {BATCH_SIZE}: {parsed.samples}")
    print(f"Dates in {len(languages)} languages: {', '.join(languages)}", flush=True)

    reader = train(languages, parsed.samples, parsed.epochs, parsed.seed)
    report(evaluate(reader, languages, seed=parsed.seed))

    from keras_attn.serving import export

    model, *tokenizers = reader
    version = export(
        model,
        parsed.output / "saved_models" / "dates",
        signatures=model.serving_signatures(*tokenizers),
        examples={"serving_default": {"text": list(QUESTIONS)}},
        card={
            "description": "Reads human-written dates; answers ISO 8601 dates.",
            "data": "Unicode CLDR date formats by Babel (Unicode License v3).",
            "languages": list(languages),
        },
    )
    print(f"Exported to {version}")
    answer = serve_and_ask(version.parent, QUESTIONS)
    picture = draw(answer, parsed.output / "alignment.png")
    print(f"Where each digit looked: {picture}")
    print(
        f"The whole job took {time.perf_counter() - begun:.0f} s. Serve it again with"
    )
    print(f"  keras-attn serve --model_name=dates --model_base_path={version.parent}")
    print('  keras-attn ask --model dates "3 mai 1997"')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keras-attn quickstart", description=__doc__)
    parser.add_argument(
        "--languages",
        type=int,
        default=len(dates.LANGUAGES),
        metavar="N",
        help="how many languages to read (default: %(default)s)",
    )
    parser.add_argument("--samples", type=int, default=48_000, help="dates to train on")
    parser.add_argument("--epochs", type=int, default=2, help="passes over them")
    parser.add_argument(
        "--output", type=Path, default=Path("."), help="folder for model and picture"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def choose_languages(count: int) -> tuple[str, ...]:
    """The first `count` languages: the two dozen, then all others that were not kept.

    Raises:
        ValueError: If there are not so many.
    """
    others = set(dates.all_languages()) - {*dates.LANGUAGES, *dates.UNSEEN_LANGUAGES}
    known = (*dates.LANGUAGES, *sorted(others))
    if not 1 <= count <= len(known):
        raise ValueError(
            f"`languages` must be between 1 and {len(known)}. Received: {count}"
        )
    return known[:count]


def train(
    languages: Sequence[str],
    samples: int,
    epochs: int,
    seed: int,
    units: int = 128,
    callbacks: Sequence[Any] = (),
) -> Reader:
    """Trains a `Seq2Seq` with attention on sampled dates, compiled by XLA."""
    import keras

    from keras_attn import Seq2Seq

    keras.utils.set_random_seed(seed)
    written = dates.sample(samples, languages, seed, split="train")
    source_tokenizer = train_tokenizer(written.text, model_type="char")
    target_tokenizer = train_tokenizer(written.iso[:1000], model_type="char")
    source = encode(source_tokenizer, written.text, MAX_SOURCE)
    labels = encode(target_tokenizer, written.iso, ISO_LENGTH)
    model = Seq2Seq(
        source_tokenizer.vocabulary_size(),
        target_tokenizer.vocabulary_size(),
        units=units,
        embedding_dim=64,
        max_length=ISO_LENGTH,
        name="dates",
    )
    steps = samples // BATCH_SIZE * epochs
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(4e-3, steps), global_clipnorm=1.0
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    shifted = np.full_like(labels, model.start_token_id)
    shifted[:, 1:] = labels[:, :-1]
    whole = samples // BATCH_SIZE * BATCH_SIZE  # one shape, one compilation
    model.fit(
        {"source": source[:whole], "target": shifted[:whole]},
        labels[:whole],
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=list(callbacks),
    )
    return Reader(model, source_tokenizer, target_tokenizer)


def evaluate(
    reader: Reader, languages: Sequence[str], count: int = 8192, seed: int = 0
) -> dict[str, float]:
    """Judges a reader on dates that no training date equals.

    Returns:
        Dict of exact-match shares: `seen`, on strings of the trained languages that
        have one reading; `ambiguous`, on those that have several, beside
        `ambiguous_best`, what the best possible reader expects; `unseen`, on
        strings with one reading in languages never trained on; and `month_mass`, the
        mean attention on the written month while the month's two digits are written.
    """
    decoder = _compiled_decoder(reader)
    written = dates.sample(count, languages, seed + 1, split="test")
    seen, ambiguous = _by_readings(written, languages)
    right, scores = _read(reader, decoder, seen)
    figures = {
        "seen": float(right.mean()),
        "month_mass": month_mass(scores, seen.spans),
    }
    if ambiguous.text:
        right, _ = _read(reader, decoder, ambiguous)
        best = dates.best_reader_accuracy(ambiguous.text, languages)
        figures |= {"ambiguous": float(right.mean()), "ambiguous_best": best}
    written = dates.sample(count, dates.UNSEEN_LANGUAGES, seed + 2, split="test")
    unseen, _ = _by_readings(written, (*languages, *dates.UNSEEN_LANGUAGES))
    figures["unseen"] = float(_read(reader, decoder, unseen)[0].mean())
    return figures


def _by_readings(
    written: dates.DateSample, languages: Sequence[str]
) -> tuple[dates.DateSample, dates.DateSample]:
    """Divides a sample into the strings with one reading and those with several."""
    several = np.array([dates.is_ambiguous(text, languages) for text in written.text])

    def rows(chosen: np.ndarray) -> dates.DateSample:
        kept = np.flatnonzero(chosen)
        lists = {
            name: [getattr(written, name)[i] for i in kept]
            for name in ("text", "iso", "locale", "style")
        }
        return dates.DateSample(**lists, spans=written.spans[kept])

    return rows(~several), rows(several)


def month_mass(scores: np.ndarray, spans: np.ndarray) -> float:
    """Mean attention on the month's characters while the month's digits are written.

    Args:
        scores: Attention `(samples, target steps, source steps)`, a step a character.
        spans: Spans of the fields, as in `dates.DateSample`.
    """
    begin, end = spans[:, dates.FIELDS.index("month")].T[..., None]
    steps = np.arange(scores.shape[-1])
    inside = (begin <= steps) & (steps < end)
    mass = np.where(inside[:, None], scores[:, MONTH_DIGITS], 0.0).sum(axis=-1)
    return float(mass.mean())


def _compiled_decoder(reader: Reader) -> Any:
    from keras_attn import Decoder

    decoder = Decoder(reader.model)
    decoder.compile(jit_compile=True)
    return decoder


def _read(
    reader: Reader, decoder: Any, written: dates.DateSample
) -> tuple[np.ndarray, np.ndarray]:
    """Which dates are read right, and the attention scores."""
    ids = encode(reader.source_tokenizer, written.text, MAX_SOURCE)
    source = np.zeros((-(-len(ids) // BATCH_SIZE) * BATCH_SIZE, MAX_SOURCE), "int32")
    source[: len(ids), : ids.shape[1]] = ids  # one shape, one compilation
    answer = decoder.predict(source, batch_size=BATCH_SIZE, verbose=0)
    labels = encode(reader.target_tokenizer, written.iso, ISO_LENGTH)
    right = (answer["tokens"][: len(ids)] == labels).all(axis=1)
    return right, answer["attention_scores"][: len(ids)]


def report(figures: dict[str, float]) -> None:
    """Prints what `evaluate` found."""
    print("Exact match on dates never trained on:")
    print(f"  trained languages, one reading      {figures['seen']:7.2%}")
    if "ambiguous" in figures:
        print(
            f"  trained languages, several readings {figures['ambiguous']:7.2%}"
            f"  (best possible reader: {figures['ambiguous_best']:.2%})"
        )
    print(f"  languages never seen, one reading   {figures['unseen']:7.2%}")
    mass = figures["month_mass"]
    print(f"Attention on the written month while its digits are written: {mass:.2f}")


def serve_and_ask(folder: Path, questions: Sequence[str]) -> dict[str, np.ndarray]:
    """Serves a model folder, asks it over gRPC, prints and returns the last answer."""
    from keras_attn.serving import Client, Server

    with (
        Server(folder) as server,
        Client(server.address, model=folder.name, timeout=30.0) as client,
    ):
        print(f"Serving at {server.address} (gRPC, TensorFlow Serving's API)")
        answers = []
        for question in questions:
            begun = time.perf_counter()
            answer = client.predict({"text": [question]})
            milliseconds = (time.perf_counter() - begun) * 1000
            answers.append(answer)
            print(f"  {question:<28} -> {answer['text'][0]}  {milliseconds:5.1f} ms")
    return answers[0]


def draw(answer: dict[str, np.ndarray], path: Path) -> Path:
    """Saves the alignment of the answer's first row as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from keras_attn.plotting import attention_map

    source, target = (
        [str(piece).replace("▁", " ") for piece in answer[name][0]]
        for name in ("source_tokens", "target_tokens")
    )
    axes = attention_map(answer["attention_scores"][0], source, target)
    path.parent.mkdir(parents=True, exist_ok=True)
    axes.figure.savefig(path, dpi=120, bbox_inches="tight")
    return path
