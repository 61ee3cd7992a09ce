"""English to German on Multi30k: three recurrent contexts and a Transformer.

The same `Seq2Seq` is trained with the encoder's last state only, with that state at
every step, and with attention; `--model transformer` trains a small `Transformer` on
the same data instead. Every epoch is scored by BLEU on the validation split, the best
epoch is kept, and the test split (test2016) is translated once at the end: cased,
detokenised BLEU of sacrebleu, over all sentences and by their length.

    python examples/translation.py                       # all three contexts
    python examples/translation.py --contexts attention  # one of them
    python examples/translation.py --model transformer --epochs 40
    python examples/translation.py --beam 5              # with a beam at the end

With a beam the validation split chooses its penalties too, or greedy decoding where
that is better. An interrupted run goes on where it stopped when started again with the
same `--output`. Expect BLEU above 30 with attention, and much less without.
"""

import argparse
import csv
import itertools
import json
import time
from pathlib import Path

import keras
import numpy as np
import sacrebleu

from keras_attn import Decoder, Seq2Seq, Transformer
from keras_attn.data import BucketedPairs, encode, multi30k, train_tokenizer
from keras_attn.models.seq2seq import CONTEXTS
from keras_attn.serving import Client, Server, export

VOCABULARY_SIZE = 4000
MAX_TOKENS = 64  # longer sentences, a handful, are cut in training
BOUNDARIES = (13, 17, 24, MAX_TOKENS)
PENALTIES = (0.0, 0.6, 1.0)  # exponents of the length penalty
COVERAGES = (0.0, 0.2)  # weights of the coverage penalty
LENGTHS = (9, 12, 15, 19)  # upper limits of the groups, in English words


def make_model(variant, seed):
    keras.utils.set_random_seed(seed)
    if variant == "transformer":
        return Transformer(
            VOCABULARY_SIZE,
            VOCABULARY_SIZE,
            num_layers=4,
            model_dim=128,
            num_heads=4,
            intermediate_dim=256,
            dropout=0.2,
            max_length=MAX_TOKENS,
            name="translation_transformer",
        )
    return Seq2Seq(
        VOCABULARY_SIZE,
        VOCABULARY_SIZE,
        units=256,
        embedding_dim=256,
        context=variant,
        dropout=0.3,
        max_length=MAX_TOKENS,
        name=f"translation_{variant}",
    )


class Translator:
    """Translates lists of sentences with a model, its tokenizers and a search."""

    def __init__(self, model, tokenizers, search=None, batch_size=128):
        self.decoder = Decoder(model, search)
        self.decoder.compile(jit_compile=True)
        self.tokenizers = tokenizers
        self.batch_size = batch_size

    def __call__(self, sentences):
        """Returns the translations."""
        source, target = self.tokenizers
        ids = encode(source, sentences, MAX_TOKENS, end=True, truncate=True)
        # One fixed shape is compiled once; empty rows fill the last batch.
        rows = -(-len(ids) // self.batch_size) * self.batch_size
        padded = np.zeros((rows, MAX_TOKENS), "int32")
        padded[: len(ids), : ids.shape[1]] = ids
        tokens = self.decoder.predict(padded, self.batch_size, verbose=0)["tokens"]
        kept = np.where(tokens[: len(ids)] == 3, 0, tokens[: len(ids)])
        return [target.detokenize(row[row > 0]) for row in kept]


class ValidationBleu(keras.callbacks.Callback):
    """Puts the BLEU of the validation split into the logs of every epoch."""

    def __init__(self, translator, source, references):
        super().__init__()
        self.translator, self.source, self.references = translator, source, references

    def on_epoch_end(self, epoch, logs=None):
        translations = self.translator(self.source)
        logs["val_bleu"] = sacrebleu.corpus_bleu(translations, [self.references]).score


def best_so_far(history):
    """Returns the best validation BLEU of an earlier run's history, or zero."""
    rows = csv.DictReader(history.open()) if history.exists() else ()
    return max((float(row["val_bleu"]) for row in rows), default=0.0)


def train(variant, folder, tokenizers, arguments):
    """Trains one variant, or goes on with it, and returns the best epoch's model."""
    folder.mkdir(parents=True, exist_ok=True)
    best, history = folder / "best.weights.h5", folder / "history.csv"
    model = make_model(variant, arguments.seed)
    english, german = multi30k.load("train")
    if arguments.limit:
        english, german = english[: arguments.limit], german[: arguments.limit]
    batches = BucketedPairs(
        encode(tokenizers[0], english, MAX_TOKENS, truncate=True),
        encode(tokenizers[1], german, MAX_TOKENS, truncate=True),
        arguments.batch_size,
        boundaries=BOUNDARIES,
        seed=arguments.seed,
    )
    steps = len(batches) * arguments.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 20, warmup_target=2e-3, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        jit_compile=True,
    )
    started = time.perf_counter()
    model.fit(
        batches,
        epochs=arguments.epochs,
        shuffle=False,  # the batches shuffle themselves, reproducibly
        callbacks=[
            batches.epoch_callback(),
            ValidationBleu(Translator(model, tokenizers), *multi30k.load("val")),
            keras.callbacks.ModelCheckpoint(
                str(best),
                monitor="val_bleu",
                mode="max",
                save_best_only=True,
                save_weights_only=True,
                initial_value_threshold=best_so_far(history),
            ),
            keras.callbacks.CSVLogger(str(history), append=True),
            keras.callbacks.BackupAndRestore(
                str(folder / "backup"), delete_checkpoint=False
            ),
        ],
        verbose=2,
    )
    minutes = (time.perf_counter() - started) / 60
    print(f"{variant}: fit took {minutes:.1f} minutes in this run")
    model.load_weights(str(best))
    return model


def choose_search(model, tokenizers, beam_width):
    """Returns the search with the best BLEU on the validation split."""
    english, german = multi30k.load("val")
    attends = getattr(model, "context", "attention") == "attention"
    searches = [{}]
    for length, coverage in itertools.product(
        PENALTIES, COVERAGES if attends else (0.0,)
    ):
        penalties = {"length_penalty": length, "coverage_penalty": coverage}
        searches.append({"beam_width": beam_width, **penalties})
    scores = []
    for search in searches:
        translations = Translator(model, tokenizers, search)(english)
        scores.append(sacrebleu.corpus_bleu(translations, [german]).score)
        print(f"validation {scores[-1]:.2f} {search or 'greedy'}", flush=True)
    return searches[int(np.argmax(scores))]


def evaluate(model, tokenizers, search):
    """Translates the test split and returns translations and figures."""
    english, german = multi30k.load("test_2016_flickr")
    translations = Translator(model, tokenizers, search)(english)
    metric = sacrebleu.BLEU()
    figures = {"bleu": metric.corpus_score(translations, [german]).score}
    words = np.array([len(sentence.split()) for sentence in english])
    groups = np.searchsorted(LENGTHS, words)
    for group in range(len(LENGTHS) + 1):
        rows = np.flatnonzero(groups == group)
        score = sacrebleu.corpus_bleu(
            [translations[row] for row in rows], [[german[row] for row in rows]]
        )
        figures[group_name(group)] = score.score
    figures["search"] = search
    figures["signature"] = str(metric.get_signature())
    figures["parameters"] = model.count_params()
    return translations, figures


def group_name(group):
    if group == len(LENGTHS):
        return f">{LENGTHS[-1]} words"
    return f"<={LENGTHS[group]} words"


def serve(model, tokenizers, search, folder, figures, translations):
    """Exports the model and asks it over gRPC what `evaluate` asked in process."""
    english, _ = multi30k.load("test_2016_flickr")
    asked = english[:100]
    version = export(
        model,
        folder / "saved_models" / model.name,
        signatures=model.serving_signatures(*tokenizers, **search),
        examples={"serving_default": {"text": asked[:8]}},
        card={
            "description": "Translates English captions to German.",
            "data": "Multi30k, task 1 (published without a licence; research use).",
            "metrics": figures,
        },
    )
    with (
        Server(version.parent) as server,
        Client(server.address, model=model.name) as client,
    ):
        answers = client.predict({"text": asked})["text"]
    same = sum(map(str.__eq__, answers, translations))
    print(f"{version}: served = in process for {same} of {len(asked)} sentences")


def draw_alignment(model, tokenizers, search, sentence, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from keras_attn.plotting import attention_map

    source = encode(tokenizers[0], [sentence], MAX_TOKENS)
    answer = {k: np.asarray(v)[0] for k, v in model.decode(source, **search).items()}
    tokens = answer["tokens"][: answer["lengths"]]
    labels = [
        [tokenizer.id_to_token(int(i)) for i in ids]
        for tokenizer, ids in zip(tokenizers, (source[0], tokens), strict=True)
    ]
    figure, axes = plt.subplots(figsize=(7, 7))
    attention_map(answer["attention_scores"][: len(tokens)], *labels, ax=axes)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", choices=("seq2seq", "transformer"), default="seq2seq"
    )
    parser.add_argument("--contexts", nargs="+", choices=CONTEXTS, default=CONTEXTS)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="train on so many pairs only")
    parser.add_argument(
        "--beam", type=int, default=1, help="width of the beam (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("outputs/translation"))
    arguments = parser.parse_args()

    english, german = multi30k.load("train")
    tokenizers = [train_tokenizer(text, VOCABULARY_SIZE) for text in (english, german)]
    table = {}
    variants = arguments.contexts
    if arguments.model == "transformer":
        variants = ["transformer"]
    for variant in variants:
        folder = arguments.output / variant
        model = train(variant, folder, tokenizers, arguments)
        search = {}
        if arguments.beam > 1:
            search = choose_search(model, tokenizers, arguments.beam)
        translations, table[variant] = evaluate(model, tokenizers, search)
        (folder / "test_2016.de").write_text("\n".join(translations) + "\n")
        (folder / "test_2016.json").write_text(json.dumps(table[variant], indent=1))
        served = {**search, "n_best": arguments.beam} if search else {}
        serve(model, tokenizers, served, folder, table[variant], translations)
        if variant in ("attention", "transformer"):
            sentence = multi30k.load("test_2016_flickr")[0][0]
            picture = folder / "alignment.png"
            draw_alignment(model, tokenizers, search, sentence, picture)
        keras.backend.clear_session()

    columns = [
        name
        for name in next(iter(table.values()))
        if name not in ("search", "signature")
    ]
    print("| model | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for variant, figures in table.items():
        cells = [f"{figures[name]:,.1f}".removesuffix(".0") for name in columns]
        print(f"| {variant} | " + " | ".join(cells) + " |")
    print(next(iter(table.values()))["signature"])


if __name__ == "__main__":
    main()
