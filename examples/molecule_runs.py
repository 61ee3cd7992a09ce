"""What the examples on molecules share: training, the rival, serving, pictures."""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_attn import KnownLabelsLoss, MolecularGraphNet
from keras_attn.data import GraphBatch, pad_graphs
from keras_attn.data.molecules import featurize, featurize_all, serving_inputs
from keras_attn.data.splits import random_split, scaffold_split
from keras_attn.serving import Client, Server, export

BUCKETS = 3  # more would pad less, and compile longer
AVERAGED_STEPS = 100  # of the moving averages of the weights, which are what is kept
TREES = 300
FINGERPRINT_BITS = 2048


def parse_arguments(description, name, epochs):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--splits", nargs="+", choices=("random", "scaffold"), default=None
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each split")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--limit", type=int, help="use so many molecules only")
    parser.add_argument("--output", type=Path, default=Path("outputs") / name)
    arguments = parser.parse_args()
    arguments.splits = arguments.splits or ["random", "scaffold"]
    return arguments


class Data:
    """A data set of MoleculeNet: SMILES, targets and graphs of equal length.

    All batches have one of a few shapes, whichever part they are of.
    """

    def __init__(self, smiles, targets, tasks, limit=None):
        self.graphs, rows, errors = featurize_all(smiles, targets, on_error="skip")
        for row, reason in errors.items():
            print(f"Left out row {row}: {reason}")
        if limit is not None:
            chosen = np.random.default_rng(0).permutation(len(rows))[:limit]
            self.graphs = [self.graphs[place] for place in chosen]
            rows = rows[chosen]
        self.smiles = [smiles[row] for row in rows]
        self.targets = targets[rows]
        self.tasks = tasks
        self.shapes = GraphBatch(self.graphs, len(rows), buckets=BUCKETS).shapes

    def split(self, kind, seed):
        """A split by scaffolds is that of MoleculeNet, whatever the seed."""
        if kind == "random":
            return random_split(len(self.smiles), seed=seed)
        return scaffold_split(self.smiles)

    def batches(self, rows, batch_size, **options):
        chosen = [self.graphs[row] for row in rows]
        return GraphBatch(chosen, batch_size, buckets=self.shapes, **options)


class BestEpoch(keras.callbacks.Callback):
    """Scores each epoch on the validation part and goes back to the best at the end.

    Args:
        batches: Batches of the validation part, in order.
        labels: Their targets.
        score: Function of labels and predictions. The larger, the better.
    """

    def __init__(self, batches, labels, score):
        super().__init__()
        self.batches, self.labels, self.score = batches, labels, score
        self.best, self.weights = -np.inf, None

    def on_epoch_end(self, epoch, logs=None):
        score = self.score(self.labels, predict(self.model, self.batches))
        logs["val_score"] = score
        if score > self.best:
            self.best, self.weights = score, self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)


def predict(model, batches):
    # `predict` would set up a data pipeline each time, which takes longer than this.
    answers = [model.predict_on_batch(batch[0]) for batch in batches]
    return batches.in_order(np.concatenate(answers))


def train(data, split, task, score, loss, first_bias, arguments, seed, **options):
    """Trains a network, chosen by the validation part; returns it and its answers.

    What is scored, and kept, are the moving averages of the weights.

    Args:
        first_bias: The constant answer that the network starts from, one a task.
        **options: `batch_size`, `learning_rate`, and arguments of the network.
    """
    keras.utils.set_random_seed(seed)
    batch_size, rate = options.pop("batch_size"), options.pop("learning_rate")
    model = MolecularGraphNet(len(data.tasks), task, **options)
    model.network.outputs.bias.assign(first_bias)
    batches = data.batches(split.train, batch_size, seed=seed)
    steps = len(batches) * arguments.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10, steps - steps // 10, warmup_target=rate, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.AdamW(
            schedule,
            weight_decay=1e-4,
            global_clipnorm=1.0,
            use_ema=True,
            ema_momentum=1 - 1 / max(1, min(AVERAGED_STEPS, steps / 10)),
        ),
        KnownLabelsLoss(loss),
        jit_compile=True,
    )
    validation = data.batches(split.validation, batch_size, shuffle=False)
    started = time.perf_counter()
    model.fit(
        batches,
        epochs=arguments.epochs,
        shuffle=False,  # the batches shuffle themselves, reproducibly
        verbose=0,
        callbacks=[
            batches.epoch_callback(),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            BestEpoch(validation, data.targets[split.validation], score),
        ],
    )
    print(f"fit took {time.perf_counter() - started:.0f} s in this run", flush=True)
    test = data.batches(split.test, batch_size, shuffle=False)
    return model, predict(model, test)


def fingerprints(smiles):
    """Morgan fingerprints: which neighbourhoods of two bonds a molecule has."""
    from rdkit.Chem import rdFingerprintGenerator

    from keras_attn.data.molecules import parse

    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=FINGERPRINT_BITS)
    rows = [generator.GetFingerprintAsNumPy(parse(text)) for text in smiles]
    return np.array(rows, "float32")


def forest_answers(forest, data, split):
    """Answers of a random forest on fingerprints for the test part, task by task.

    Args:
        forest: Function of a seed that makes a forest of scikit-learn.
    """
    features = fingerprints(data.smiles)
    known = ~np.isnan(data.targets)
    columns = []
    for task in range(len(data.tasks)):
        rows = split.train[known[split.train, task]]
        fitted = forest().fit(features[rows], data.targets[rows, task])
        if hasattr(fitted, "predict_proba"):
            columns.append(fitted.predict_proba(features[split.test])[:, -1])
        else:
            columns.append(fitted.predict(features[split.test]))
    return np.stack(columns, axis=1)


def serve(model, name, data, rows, arguments, card):
    """Exports the network and asks it over gRPC about molecules of the test part."""
    asked = serving_inputs([data.graphs[row] for row in rows])
    version = export(
        model,
        arguments.output / "saved_models" / name,
        examples={"serving_default": asked},
        card=card,
    )
    with Server(version.parent) as server, Client(server.address, name) as client:
        answer = client.predict(asked)
    expected = model.explain(pad_graphs([data.graphs[row] for row in rows]))
    worst = max(
        float(np.abs(answer[name] - np.asarray(value)).max())
        for name, value in expected.items()
    )
    print(f"{version}: served answers differ from those in process by {worst:.1e}")
    return answer


def attributions(model, smiles, task=0):
    """What each atom contributes to an answer: gradient times input.

    To the logarithm of the odds, where the answer is a probability.
    """
    graph = pad_graphs([featurize(smiles)])
    inputs = {name: tf.constant(value) for name, value in graph.items()}
    with tf.GradientTape() as tape:
        tape.watch(inputs["nodes"])
        answer = model(inputs)[0, task]
    gradient = tape.gradient(answer, inputs["nodes"])
    return np.sum(gradient[0] * graph["nodes"][0], axis=-1)


def draw(model, titles, path, task=0):
    """Draws molecules, `{smiles: title}`, with what their atoms contribute."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from keras_attn.plotting import molecule_map

    size = (4 * len(titles), 4.4)
    figure, axes = plt.subplots(1, len(titles), figsize=size, squeeze=False)
    for ax, (smiles, title) in zip(axes.flat, titles.items(), strict=True):
        molecule_map(smiles, attributions(model, smiles, task), ax=ax)
        ax.set_title(title)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def report(figures, unit, arguments):
    """Prints and keeps `{(split, model): [score of each seed]}` as a table."""
    print(f"| split | model | {unit}, mean ± deviation | of each seed |")
    print("|---|---|---|---|")
    for (split, model), scores in figures.items():
        each = ", ".join(f"{score:.3f}" for score in scores)
        mean, deviation = np.mean(scores), np.std(scores)
        print(f"| {split} | {model} | {mean:.3f} ± {deviation:.3f} | {each} |")
    rows = {" ".join(names): scores for names, scores in figures.items()}
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "test.json").write_text(json.dumps(rows, indent=1))
