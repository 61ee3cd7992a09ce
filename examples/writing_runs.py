"""What the examples share whose models write about sound and images."""

import argparse
import itertools
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_attn import Decoder
from keras_attn.serving import Client, Server, export


def make_parser(description, name, epochs, steps):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--steps", type=int, default=steps, help="steps of an epoch")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--beam", type=int, default=5, help="width of the beam")
    parser.add_argument("--limit", type=int, help="judge so many answers only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("outputs") / name)
    return parser


def batches(make, steps, seed):
    """Batches without end, each made by a generator of its own when it is needed.

    Args:
        make: Function of a generator that returns a batch, `(inputs, labels, weights)`;
            texts and sounds may be of another length in each.
        steps: Int, batches of an epoch.
        seed: Int.
    """

    def run():
        for epoch in itertools.count():
            for index in range(steps):
                yield make(np.random.default_rng([seed, epoch, index]))

    def spec(array):
        shape = (None, None) if array.ndim == 2 else (None, *array.shape[1:])
        return tf.TensorSpec(shape, array.dtype)

    specs = keras.tree.map_structure(spec, next(run()))
    return tf.data.Dataset.from_generator(run, output_signature=specs).prefetch(2)


def with_target(inputs, labels):
    """A batch for teacher forcing, of padded labels with their end token."""
    target = np.pad(labels[:, :-1], ((0, 0), (1, 0)), constant_values=2)
    target = np.where(labels != 0, target, 0)
    weights = (labels != 0).astype("float32")
    return {**inputs, "target": target}, labels, weights


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the epoch whose validation error is the lowest."""

    def __init__(self, error, every):
        super().__init__()
        self.error, self.every = error, every
        self.lowest, self.weights = float("inf"), None

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 < self.params["epochs"]:
            return
        logs["val_error"] = self.error(self.model)
        if logs["val_error"] < self.lowest:
            self.lowest, self.weights = logs["val_error"], self.model.get_weights()

    def on_train_end(self, logs=None):
        if self.weights is not None:
            self.model.set_weights(self.weights)


def train(model, make, error, arguments, learning_rate=2e-3, loss=None):
    """Trains under XLA and keeps the epoch with the lowest `error(model)`.

    `make` makes a batch, see `batches`.
    """
    steps = arguments.epochs * arguments.steps
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4,
        steps - steps // 20,
        warmup_target=learning_rate,
        warmup_steps=max(1, steps // 20),
    )
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        loss
        or keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        jit_compile=True,
    )
    started = time.perf_counter()
    model.fit(
        batches(make, arguments.steps, 1),
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps,
        shuffle=False,  # each batch is random anyway
        callbacks=[KeepBest(error, every=max(1, arguments.epochs // 10))],
        verbose=2,
    )
    minutes = (time.perf_counter() - started) / 60
    print(f"{model.name}: fit took {minutes:.1f} minutes", flush=True)


def write(model, inputs, search=None, batch_size=50):
    """Answers of `decode` for arrays of inputs, in batches of one shape."""
    decoder = Decoder(model, search)
    decoder.compile(jit_compile=True)
    rows = len(next(iter(inputs.values())))
    filled = -(-rows // batch_size) * batch_size
    padded = {
        name: np.concatenate([value, np.repeat(value[:1], filled - rows, 0)])
        for name, value in inputs.items()
    }
    answer = decoder.predict(padded, batch_size, verbose=0)
    return {name: value[:rows] for name, value in answer.items()}


def edit_distance(found, expected):
    """Insertions, deletions and replacements between two sequences."""
    row = np.arange(len(expected) + 1)
    for i, piece in enumerate(found, 1):
        previous, row[0] = row.copy(), i
        for j, other in enumerate(expected, 1):
            row[j] = min(
                previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (piece != other)
            )
    return int(row[-1])


def error_rate(found, expected):
    """Edit distances over the lengths of what is expected, in percent."""
    distances = [edit_distance(f, e) for f, e in zip(found, expected, strict=True)]
    return 100 * sum(distances) / max(1, sum(map(len, expected)))


def serve(model, vocabulary, folder, asked, expected, card, **search):
    """Exports the model, serves it, and asks what was asked in process."""
    rows = {name: value[:2] for name, value in asked.items()}
    version = export(
        model,
        folder / "saved_models" / model.name,
        signatures=model.serving_signatures(vocabulary, **search),
        examples={"serving_default": rows},
        allowed_batch_sizes=(1, 2),
        card=card,
    )
    with (
        Server(version.parent) as server,
        Client(server.address, model=model.name, timeout=60.0) as client,
    ):
        answer = client.predict(asked)
    same = sum(map(str.__eq__, answer["text"], expected))
    print(f"{version}: served = in process for {same} of {len(expected)}")
    return answer
