"""Digits read by a few glimpses: recurrent visual attention on MNIST.

A `RecurrentAttentionModel` learns where to look by REINFORCE and what it sees by
cross-entropy, in one `fit`. Three tasks, as Mnih et al. (2014) have them:

    python examples/glimpse_mnist.py                    # 28 x 28, 6 glimpses of 8 x 8
    python examples/glimpse_mnist.py --task translated  # 60 x 60, 8 of 3 x 12 x 12
    python examples/glimpse_mnist.py --task cluttered   # the same among 4 pieces
    python examples/glimpse_mnist.py --short            # a few minutes, below 5 %

In training the digits of the first task are moved by up to 2 pixels each way. The last
10,000 training images are the validation set; the epoch with the best accuracy of the
mean policy on it is taken, and tested once: one pass over each image by the means, and
one with locations that are drawn. No passes are put together. A training that was
interrupted goes on where its last epoch ended; `--hours` ends it in time.

Then the model is exported, served and asked, and its paths are drawn.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_attn import RecurrentAttentionModel
from keras_attn.data import DigitScenes, mnist

VALIDATION = 10_000
BATCH_SIZE = 125  # divides all sets, so that one shape is compiled
TEST_SEED = 1_000_000  # scenes of validation and test are the same in every run


class Phase(NamedTuple):
    """Epochs whose rate rises to a peak and falls to zero, while looks may narrow."""

    epochs: int
    rate: float = 1e-3
    std: tuple[float, float] = (0.12, 0.12)  # of the first and the last epoch


@dataclass
class Task:
    """A data set of the paper with its network, and the errors known of it, in %."""

    size: int
    clutter: int
    num_glimpses: int
    glimpse_size: int
    num_scales: int
    dropout: float
    shift: int
    phases: tuple[Phase, ...]
    known: dict[str, float]


DIGITS = Task(
    size=28,
    clutter=0,
    num_glimpses=6,
    glimpse_size=8,
    num_scales=1,
    dropout=0.3,
    shift=2,
    phases=(Phase(200),),
    known={
        "Mnih et al. 2014, NIPS, 6 glimpses": 1.12,
        "Mnih et al. 2014, NIPS, 7 glimpses": 1.07,
        "Element-Research/rnn (Torch)": 0.85,
        "kevinzakka/recurrent-visual-attention (PyTorch)": 1.21,
    },
)
TRANSLATED = replace(
    DIGITS,
    size=60,
    num_glimpses=8,
    glimpse_size=12,
    num_scales=3,
    dropout=0.0,
    shift=0,
    phases=(Phase(600),),
    known={
        "Mnih et al. 2014, NIPS, 8 glimpses": 1.20,
        "slundqui/tfRAM (TensorFlow 1), LSTM": 0.94,
    },
)
CLUTTERED = replace(
    TRANSLATED,
    clutter=4,
    phases=(Phase(800), Phase(700, 5e-4, (0.12, 0.06))),
    known={
        "Mnih et al. 2014, NIPS, 8 glimpses": 4.04,
        "slundqui/tfRAM (TensorFlow 1), LSTM": 2.63,
    },
)
TASKS = {"digits": DIGITS, "translated": TRANSLATED, "cluttered": CLUTTERED}


def make_model(task, arguments):
    return RecurrentAttentionModel(
        (task.size, task.size, 1),
        num_classes=10,
        num_glimpses=task.num_glimpses,
        glimpse_size=task.glimpse_size,
        num_scales=task.num_scales,
        policy_units=128,
        scan=True,
        cell=arguments.cell,
        std=arguments.phases[0].std[0],
        dropout=task.dropout,
        num_samples=arguments.samples,
        baseline=arguments.baseline,
        seed=arguments.seed,
        name=f"glimpse_{arguments.task}",
    )


def make_scenes(task, images, labels, seed, shuffle=False, shift=0):
    return DigitScenes(
        images,
        labels,
        BATCH_SIZE,
        size=task.size,
        clutter=task.clutter,
        shift=shift,
        shuffle=shuffle,
        seed=seed,
    )


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of the phases, each of which ends at zero."""

    def __init__(self, phases, steps):
        """With `steps` of an epoch."""
        self.rises, begin = [], 0
        for phase in phases:
            count = phase.epochs * steps
            rise = keras.optimizers.schedules.CosineDecay(
                phase.rate / 10,
                count - count // 20,
                warmup_target=phase.rate,
                warmup_steps=count // 20,
            )
            self.rises.append((begin, rise))
            begin += count

    def __call__(self, step):
        step = ops.cast(step, "float32")
        return sum(
            ops.where(step >= begin, rise(step - begin), 0.0)
            for begin, rise in self.rises
        )


def compile_model(model, schedule):
    several = {} if keras.backend.backend() == "torch" else {"steps_per_execution": 16}
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=5.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() != "torch",
        **several,
    )


class TimeIsUp(keras.callbacks.Callback):
    """Ends the training after an epoch when so many seconds are over."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.monotonic() + seconds

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() > self.end:
            self.model.stop_training = True


class Narrow(keras.callbacks.Callback):
    """Lets looks spread less around their means, by the same share in each epoch."""

    def __init__(self, phases):
        super().__init__()
        self.stds = np.concatenate([np.geomspace(*p.std, p.epochs) for p in phases])

    def on_epoch_begin(self, epoch, logs=None):
        self.model.attention.location_policy.deviation.assign(self.stds[epoch])


class Clock(keras.callbacks.Callback):
    """Puts the seconds of an epoch, its validation included, into the logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.monotonic() - self.start, 1)


def remember(folder, arguments):
    """Keeps the settings in the folder, where no run with others goes on."""
    free = ("output", "hours", "epochs", "phases")
    settings = {k: v for k, v in vars(arguments).items() if k not in free}
    path = folder / "settings.json"
    kept = json.loads(path.read_text()) if path.exists() else settings
    if kept != settings:
        raise SystemExit(
            f"{folder} holds a run with other settings, {kept}. Received: {settings}. "
            "Give this one another --output."
        )
    path.write_text(json.dumps(settings))


def read_history(path):
    if not path.exists():
        return []
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def train(task, folder, arguments):
    """Trains, or goes on with it; returns the best epoch's model and the history."""
    images, labels = mnist.load("train")
    scenes = make_scenes(
        task,
        images[:-VALIDATION][: arguments.limit],
        labels[:-VALIDATION][: arguments.limit],
        seed=arguments.seed,
        shuffle=True,
        shift=task.shift,
    )
    validation = make_scenes(
        task,
        images[-VALIDATION:][: arguments.limit],
        labels[-VALIDATION:][: arguments.limit],
        seed=TEST_SEED,
    )
    model = make_model(task, arguments)
    compile_model(model, Rates(arguments.phases, len(scenes)))
    history, best = folder / "history.csv", folder / "best.weights.h5"
    before = read_history(history)
    known = [row["val_accuracy"] for row in before]
    spent = sum(row["seconds"] for row in before)
    model.fit(
        scenes,
        epochs=sum(phase.epochs for phase in arguments.phases),
        validation_data=validation,
        shuffle=False,  # the scenes shuffle themselves, reproducibly
        callbacks=[
            scenes.epoch_callback(),
            Narrow(arguments.phases),
            Clock(),
            keras.callbacks.ModelCheckpoint(
                str(best),
                monitor="val_accuracy",
                mode="max",
                save_best_only=True,
                save_weights_only=True,
                initial_value_threshold=max(known, default=None),
            ),
            keras.callbacks.CSVLogger(str(history), append=True),
            keras.callbacks.BackupAndRestore(
                str(folder / "backup"), delete_checkpoint=False
            ),
            TimeIsUp(3600 * arguments.hours - spent),
        ],
        verbose=2,
    )
    model.load_weights(str(best))
    return model, read_history(history)


def test(model, task, arguments):
    """Errors on the test set in %, of one pass by the means and of one drawn."""
    images, labels = mnist.load("test")
    scenes = make_scenes(
        task, images[: arguments.limit], labels[: arguments.limit], TEST_SEED + 1
    )
    figures = model.evaluate(scenes, verbose=0, return_dict=True)
    errors = [1 - figures["accuracy"], 1 - figures["sampled_accuracy"]]
    return scenes, [round(100 * float(error), 2) for error in errors]


def serve(model, scenes, folder, figures):
    """Exports the model and asks it over gRPC what it answers in process."""
    from keras_attn.serving import Client, Server, export

    pixels, _ = scenes[0]
    asked = {"image": (pixels / 255).astype("float32")}
    version = export(
        model,
        folder / "saved_models" / model.name,
        examples={"serving_default": {"image": asked["image"][:8]}},
        card={
            "description": "Reads a digit by a few glimpses, and says where it looked.",
            "data": "MNIST, by Yann LeCun and Corinna Cortes.",
            "licence": "Of the data: CC BY-SA 3.0.",
            "metrics": figures,
        },
    )
    with (
        Server(version.parent) as server,
        Client(server.address, model=model.name) as client,
    ):
        answer = client.predict(asked)
    expected = {k: np.asarray(v) for k, v in model.explain(pixels).items()}
    same = int(np.sum(answer["label"] == expected["label"]))
    worst = float(np.abs(answer["locations"] - expected["locations"]).max())
    print(
        f"{version}: served = in process for {same} of {len(pixels)} digits, "
        f"locations differ by {worst:.1e}"
    )


def draw(model, scenes, folder):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from keras_attn.plotting import glimpse_animation, glimpse_grid, glimpse_views

    pixels, labels = scenes[0]
    answer = {k: np.asarray(v) for k, v in model.explain(pixels).items()}
    looks = {"size": model.glimpse_size, "num_scales": model.num_scales}
    titles = [
        f"{label}" if label == said else f"{label}, read as {said}"
        for label, said in zip(labels[:12], answer["label"][:12], strict=True)
    ]
    axes = glimpse_grid(pixels[:12], answer["locations"][:12], titles=titles, **looks)
    axes.flat[0].figure.savefig(folder / "paths.png", dpi=120)
    axes = glimpse_views(pixels[0], answer["locations"][0], **looks)
    axes.flat[0].figure.savefig(folder / "views.png", dpi=120)
    glimpse_animation(
        pixels[0], answer["locations"][0], folder / "glimpses.gif", **looks
    )
    plt.close("all")


def report(task, history, figures, arguments):
    """Prints the learning curve, and the table of what others have reached."""
    print("| epoch | validation error | of a pass drawn | hours |")
    print("|---|---|---|---|")
    hours = np.cumsum([row["seconds"] for row in history]) / 3600
    for i in sorted({*np.linspace(0, len(history) - 1, 15).round().astype(int)}):
        row = history[i]
        print(
            f"| {row['epoch'] + 1:.0f} | {100 - 100 * row['val_accuracy']:.2f} "
            f"| {100 - 100 * row['val_sampled_accuracy']:.2f} | {hours[i]:.2f} |"
        )
    rows = {
        **task.known,
        f"ours, means, {figures['hours']} h": figures["test_error"],
        "ours, drawn": figures["test_error_sampled"],
    }
    print(f"\n| {arguments.task}, test error in % | |\n|---|---|")
    for name, error in rows.items():
        print(f"| {name} | {error:.2f} |")
    best = min(task.known.values())
    print(
        f"\nThe best figure known here is {best:.2f}, "
        f"{figures['test_error'] - best:+.2f} from ours."
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--short", action="store_true", help="a few minutes")
    parser.add_argument("--epochs", type=int, help="in one phase")
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--samples", type=int, default=1, help="passes over an image")
    parser.add_argument("--baseline", default="learned")
    parser.add_argument("--cell", choices=("relu", "lstm"), default="relu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use so many digits of each set only")
    parser.add_argument("--output", type=Path, default=Path("outputs/glimpse_mnist"))
    arguments = parser.parse_args()

    task = TASKS[arguments.task]
    arguments.epochs = arguments.epochs or (12 if arguments.short else None)
    arguments.phases = task.phases
    if arguments.epochs:
        arguments.phases = (Phase(arguments.epochs),)
    keras.utils.set_random_seed(arguments.seed)
    folder = arguments.output / (arguments.task + "_short" * arguments.short)
    folder.mkdir(parents=True, exist_ok=True)
    remember(folder, arguments)
    model, history = train(task, folder, arguments)
    scenes, errors = test(model, task, arguments)
    figures = {
        "test_error": errors[0],
        "test_error_sampled": errors[1],
        "best_validation_error": round(
            100 - 100 * max(row["val_accuracy"] for row in history), 2
        ),
        "epochs": len(history),
        "hours": round(sum(row["seconds"] for row in history) / 3600, 2),
        "parameters": model.count_params(),
    }
    (folder / "figures.json").write_text(json.dumps(figures, indent=1))
    report(task, history, figures, arguments)
    draw(model, scenes, folder)
    if keras.backend.backend() == "tensorflow":  # which is what is exported
        serve(model, scenes, folder, figures)


if __name__ == "__main__":
    main()
