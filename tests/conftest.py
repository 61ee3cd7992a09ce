import collections
import os
import sys

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_seed_for_every_test():
    if keras := sys.modules.get("keras"):  # a test without Keras stays without it
        keras.utils.set_random_seed(0)


def backend_sees_a_gpu() -> bool:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import torch

    return torch.cuda.is_available()


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not backend_sees_a_gpu():
        pytest.skip("the backend sees no GPU")


def pytest_terminal_summary(terminalreporter):
    """Prints what each file took, so that a slow one is noticed when it grows."""
    seconds = collections.Counter()
    for report in terminalreporter.getreports("") + [
        report
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
    ]:
        seconds[report.nodeid.partition("::")[0]] += getattr(report, "duration", 0)
    terminalreporter.section("seconds per file")
    for file, total in seconds.most_common():
        terminalreporter.write_line(f"{total:8.1f}  {file}")
