"""The example of glimpses in small, on bars instead of digits."""

import argparse
import json
import os
import sys

import numpy as np
import pytest

from keras_attn.data import DigitScenes, mnist
from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

pytest.importorskip("matplotlib")


@pytest.fixture
def bars(example, monkeypatch):
    """The example with small sets: a class is the row of a bar."""
    module = example("glimpse_mnist")

    def load(split):
        count = {"train": 800, "test": 200}[split]
        labels = np.random.default_rng(len(split)).integers(0, 10, count)
        images = np.zeros((count, 28, 28, 1), "uint8")
        images[np.arange(count), 4 + 2 * labels, 6:22] = 255
        return images, labels.astype("int32")

    monkeypatch.setattr(mnist, "load", load)
    monkeypatch.setattr(module, "VALIDATION", 200)
    monkeypatch.setattr(module, "BATCH_SIZE", 50)
    return module


def run(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["glimpse_mnist.py", *map(str, arguments)])
    module.main()


@pytest.mark.slow
def test_it_ends_in_a_table_pictures_and_an_answer(bars, monkeypatch, tmp_path, capsys):
    run(bars, monkeypatch, "--short", "--epochs", 1, "--output", tmp_path)
    # It goes on where it ended.
    run(bars, monkeypatch, "--short", "--epochs", 2, "--output", tmp_path)
    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed and "Epoch 1/2" not in printed
    assert "| digits, test error in % |" in printed
    assert "served = in process for 50 of 50 digits" in printed
    folder = tmp_path / "digits_short"
    for name in ("paths.png", "views.png", "glimpses.gif"):
        assert (folder / name).stat().st_size > 1000
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["epochs"] == 2 and 0 <= figures["test_error"] <= 100


@pytest.fixture
def arguments(bars):
    return argparse.Namespace(
        task="digits", baseline="learned", cell="relu", samples=1, seed=0, limit=None,
        hours=4.0, phases=(bars.Phase(1),),
    )  # fmt: skip


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_time_counts_on(
    bars, arguments, monkeypatch, tmp_path
):
    def spoil(self, epoch, logs=None):
        for weight in self.model.trainable_weights:
            weight.assign(weight + 1.0)

    given = []

    class Recorded(DigitScenes):
        def __init__(self, images, *others, **options):
            given.append(images)
            super().__init__(images, *others, **options)

    monkeypatch.setattr(bars, "DigitScenes", Recorded)
    with monkeypatch.context() as patched:
        patched.setattr(bars.TimeIsUp, "on_epoch_end", spoil)
        model, history = bars.train(bars.DIGITS, tmp_path, arguments)
    best, known = tmp_path / "best.weights.h5", tmp_path / "history.csv"
    twin = bars.make_model(bars.DIGITS, arguments)
    twin.load_weights(best)
    for found, expected in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    images, _ = mnist.load("train")
    np.testing.assert_array_equal(given[0], images[:-200])
    np.testing.assert_array_equal(given[1], images[-200:])

    # An epoch that nothing beats, and after which the time is over.
    header, row = known.read_text().splitlines()
    row = dict(zip(header.split(","), row.split(","), strict=True))
    row |= {"val_accuracy": "2.0", "seconds": str(5 * 3600.0)}
    known.write_text(f"{header}\n{','.join(row.values())}\n")
    kept, arguments.phases = best.read_bytes(), (bars.Phase(3),)
    _, history = bars.train(bars.DIGITS, tmp_path, arguments)
    assert [row["epoch"] for row in history] == [0, 1]
    assert best.read_bytes() == kept


def test_in_each_phase_the_rate_rises_and_falls_and_looks_narrow(bars):
    phases = (bars.Phase(20), bars.Phase(40, 5e-4, (0.12, 0.03)))
    rates = bars.Rates(phases, 10)
    found = [float(rates(step)) for step in (0, 10, 105, 199, 200, 220, 410, 600)]
    expected = [1e-4, 1e-3, 5e-4, 6.8e-8, 5e-5, 5e-4, 2.5e-4, 0.0]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-9)
    stds = bars.Narrow(phases).stds
    assert len(stds) == 60
    np.testing.assert_allclose(stds[[0, 19, 20, 59]], [0.12, 0.12, 0.12, 0.03])
    np.testing.assert_allclose(stds[21:] / stds[20:-1], 0.25 ** (1 / 39))


def test_both_policies_are_tested(bars, arguments):
    class Model:
        def evaluate(self, scenes, **options):
            _, labels = mnist.load("test")
            assert len(scenes.images) == len(labels) and scenes.seed == 1_000_001
            return {"accuracy": 0.9, "sampled_accuracy": 0.7, "loss": 1.0}

    assert bars.test(Model(), bars.DIGITS, arguments)[1] == [10.0, 30.0]


def test_a_run_with_other_settings_is_not_gone_on_with(bars, monkeypatch, tmp_path):
    folder = tmp_path / "digits_short"
    folder.mkdir()
    (folder / "settings.json").write_text('{"task": "digits", "seed": 0}')
    with pytest.raises(SystemExit, match=r"other settings.*'seed': 1"):
        run(bars, monkeypatch, "--short", "--seed", 1, "--output", tmp_path)


needs_data = pytest.mark.skipif(
    not os.environ.get("KERAS_ATTN_DATA"),
    reason="needs the public files in the folder KERAS_ATTN_DATA",
)


@pytest.mark.slow
@needs_data
def test_the_short_form_reads_digits(example, monkeypatch, tmp_path):
    run(example("glimpse_mnist"), monkeypatch, "--short", "--output", tmp_path)
    figures = json.loads((tmp_path / "digits_short" / "figures.json").read_text())
    assert figures["test_error"] < 5


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("task", ["translated", "cluttered"])
def test_the_larger_canvases_run(example, monkeypatch, tmp_path, capsys, task):
    arguments = ("--task", task, "--short", "--epochs", 1, "--limit", 250)
    run(example("glimpse_mnist"), monkeypatch, *arguments, "--output", tmp_path)
    assert f"| {task}, test error in % |" in capsys.readouterr().out
