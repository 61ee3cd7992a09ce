"""SavedModels made by plain TensorFlow, and real servers that serve them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.serving.heads_model import save_heads


def save_toolbox(path, offset=0.0):
    """A SavedModel with a signature for each thing a server must get right."""
    import tensorflow as tf

    spec = tf.TensorSpec

    class Toolbox(tf.Module):
        def __init__(self):
            self.kernel = tf.Variable([[1.0, -1.0], [2.0, 0.5], [3.0, 0.25]])
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    ["mai", "juin"], tf.constant([5, 6], tf.int64)
                ),
                default_value=-1,
            )

        @tf.function(input_signature=[spec([None, 3], tf.float32, name="x")])
        def linear(self, x):
            y = x @ self.kernel + offset
            return {"y": y, "total": tf.reduce_sum(y)}

        @tf.function(input_signature=[spec([None], tf.string, name="text")])
        def months(self, text):
            return {"id": self.table.lookup(text), "echo": tf.identity(text)}

        @tf.function(
            input_signature=[
                spec([None], dtype, name=name)
                for name, dtype in [
                    ("bool", tf.bool),
                    ("half", tf.float16),
                    ("int8", tf.int8),
                    ("int32", tf.int32),
                    ("int64", tf.int64),
                    ("uint8", tf.uint8),
                    ("double", tf.float64),
                ]
            ]
        )
        def types(self, bool, half, int8, int32, int64, uint8, double):
            return {
                "bool": ~bool,
                "half": half * 2,
                "int8": int8 - 1,
                "int32": int32 * 2,
                "int64": int64 * 2,
                "uint8": uint8 + 1,
                "double": double / 2,
            }

        @tf.function(input_signature=[spec([], tf.int32, name="steps")])
        def count(self, steps):
            (done,) = tf.while_loop(lambda i: i < steps, lambda i: (i + 1,), [0])
            return {"done": done}

        @tf.function(input_signature=[spec([None, 3], tf.float32, name="x")])
        def compiled(self, x):
            return {"y": self.doubled(x)}

        @tf.function(jit_compile=True)
        def doubled(self, x):
            return 2 * x

        @tf.function(input_signature=[spec([None], tf.int32, name="row")])
        def gather(self, row):
            return {"row": tf.gather(self.kernel, row)}

        @tf.function(input_signature=[spec(None, tf.float32, name="x")])
        def echo(self, x):
            return {"x": tf.identity(x)}

    toolbox = Toolbox()
    signatures = {
        "serving_default": toolbox.linear,
        "months": toolbox.months,
        "types": toolbox.types,
        "count": toolbox.count,
        "compiled": toolbox.compiled,
        "gather": toolbox.gather,
        "echo": toolbox.echo,
    }
    tf.saved_model.save(toolbox, str(path), signatures=signatures)


def add_version(base, number, offset=0.0):
    """Writes a version beside its place and moves it there whole."""
    half_written = base.parent / f".{base.name}-{number}"
    save_toolbox(half_written, offset)
    base.mkdir(exist_ok=True)
    half_written.rename(base / str(number))
    return base / str(number)


@pytest.fixture(scope="session")
def toolbox(tmp_path_factory):
    """The base path of a model with one version, 3."""
    base = tmp_path_factory.mktemp("models") / "toolbox"
    add_version(base, 3)
    return base


class ServerProcess:
    """A server as a process of its own; its log is kept."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line)

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def pid(self):
        return self._process.pid

    def wait_for_line(self, text, timeout=60):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in self.lines:
                if text in line:
                    return line
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{text!r} not in the log:\n{self.log}")

    def address(self):
        line = self.wait_for_line("Running gRPC ModelServer at")
        return line.rpartition(" at ")[2].split()[0]

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout=60):
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        self._process.stdout.close()
        return code

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self.wait()


@pytest.fixture
def serve():
    """Starts `keras-attn serve` processes and ends what is left of them."""
    processes = []

    def start(*flags):
        command = [sys.executable, "-m", "keras_attn.cli", "serve", *flags]
        processes.append(ServerProcess([*command, "--engine=embedded"]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


OFFICIAL = os.environ.get("TENSORFLOW_MODEL_SERVER")
GIVEN = os.environ.get("KERAS_ATTN_SERVER")


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """The base path of a TensorFlow 1 model with one version, 5."""
    base = tmp_path_factory.mktemp("models") / "heads"
    save_heads(base / "5", base.parent / "vocabulary.txt")
    return base


@pytest.fixture(scope="session")
def two_models(toolbox, heads, tmp_path_factory):
    """The configuration of a server for both."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    models = "".join(
        f'config {{ name: "{base.name}" base_path: "{base}" '
        'model_platform: "tensorflow" } '
        for base in (toolbox, heads)
    )
    config.write_text(f"model_config_list {{ {models} }}")
    return config


@pytest.fixture(scope="session")
def embedded_address(two_models):
    from keras_attn.serving import Server

    with Server(model_config_file=str(two_models)) as server:
        yield server.address


@pytest.fixture(scope="session")
def official_address(two_models):
    if not OFFICIAL:
        pytest.skip("TENSORFLOW_MODEL_SERVER names no binary")
    from keras_attn.serving import Client

    address = f"127.0.0.1:{free_port()}"
    process = ServerProcess(
        [
            OFFICIAL,
            f"--port={address.rpartition(':')[2]}",
            f"--model_config_file={two_models}",
        ]
    )
    try:
        with Client(address, "toolbox") as client:
            client.wait_until_available(60)
        yield address
    finally:
        process.kill()


@pytest.fixture(scope="session")
def given_address():
    """A server that somebody else runs, over models as `two_models` lists them."""
    return GIVEN


SERVERS = {"embedded": True, "official": OFFICIAL, "given": GIVEN}


@pytest.fixture(params=[name for name, runs in SERVERS.items() if runs])
def address(request):
    """Every server the contract holds for."""
    return request.getfixturevalue(f"{request.param}_address")


@pytest.fixture
def client(address):
    from keras_attn.serving import Client

    with Client(address, "toolbox", timeout=30) as client:
        yield client


@pytest.fixture
def channel(address):
    import grpc

    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        yield channel
