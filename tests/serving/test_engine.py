"""Which server answers to `keras-attn serve`."""

import os
import signal
import subprocess
import sys

import pytest

from keras_attn.serving.server.engine import choose, official_command

NAME = "tensorflow_model_server"


@pytest.fixture
def binary(tmp_path):
    """Stands in for the official server: shows its arguments, ends with 7 if asked."""
    path = tmp_path / "bin" / NAME
    path.parent.mkdir()
    path.write_text(
        "#!/bin/sh\n"
        "trap 'exit 7' TERM\n"
        'for argument in "$@"; do echo "got $argument"; done\n'
        "while :; do sleep 0.02; done\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def serve_with(binary):
    """Starts `keras-attn serve` where the binary is on the path."""
    started = []

    def start(*arguments):
        path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_attn.cli", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": path, "TENSORFLOW_MODEL_SERVER": ""},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_variable_goes_before_the_path(binary, tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    path = {"PATH": str(binary.parent)}
    named = path | {"TENSORFLOW_MODEL_SERVER": str(other)}
    for engine in ("auto", "official"):
        assert choose(engine, path) == str(binary)
        assert choose(engine, named) == str(other)
    assert choose("embedded", named) is None
    assert choose("auto", {"PATH": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("engine", "named", "problem"),
    [
        ("other", "", "must be one of auto, official, embedded. Received: other"),
        ("official", "", f"needs {NAME} on the path"),
        ("auto", "missing", "TENSORFLOW_MODEL_SERVER names no program: missing"),
    ],
)
def test_no_such_engine(tmp_path, engine, named, problem):
    environment = {"PATH": str(tmp_path), "TENSORFLOW_MODEL_SERVER": named}
    with pytest.raises(ValueError, match=problem):
        choose(engine, environment)


def test_the_official_server_takes_over(serve_with, binary):
    process = serve_with(
        "--port=9000",
        "--host=127.0.0.1",
        "--model_name=m",
        "--engine=official",
        "--pad_by_lengths",
        "--nope",
    )
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines == ["got --port=9000\n", "got --model_name=m\n", "got --nope\n"]
    process.send_signal(signal.SIGTERM)
    _, remarks = process.communicate(timeout=30)
    assert process.returncode == 7
    assert remarks.splitlines() == [
        f"--host=127.0.0.1 is left out: {NAME} has no such flag.",
        f"--pad_by_lengths is left out: {NAME} has no such flag.",
        f"Engine: official, {binary}. It binds every address.",
    ]


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ("models/m", f"{os.getcwd()}/models/m"),
        ("/models/m", "/models/m"),
        ("gs://models/m", "gs://models/m"),
        ("", ""),
    ],
)
def test_a_relative_base_path_is_made_absolute(given, handed_on):
    command, _ = official_command("server", [f"--model_base_path={given}", "--port=1"])
    assert command == ["server", f"--model_base_path={handed_on}", "--port=1"]


def test_auto_finds_the_official_server(serve_with):
    process = serve_with("--version")
    assert process.stdout.readline() == "got --version\n"


def test_embedded_wins_if_asked_for(serve_with):
    process = serve_with("--version", "--engine=embedded")
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert shown.startswith("TensorFlow ModelServer: keras-attn ")


def test_an_unknown_engine_is_refused(serve_with):
    process = serve_with("--engine=other")
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 255
    assert "--engine must be one of" in problem
