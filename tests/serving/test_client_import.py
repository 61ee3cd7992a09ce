"""The client in an environment that has little, and how long its import takes."""

import subprocess
import sys

import pytest

# Refuses every import but those of Python itself and of the packages named.
ONLY = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package not in allowed and package not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

allowed = {"keras_attn", "numpy", *sys.argv[1].split(",")}
sys.meta_path.insert(0, Only())
"""

ASK = """
from keras_attn.serving import AsyncClient, Client, ServingError, UnavailableError

for address in sys.argv[2:]:
    with Client(address, timeout=1, retries=0) as client:
        try:
            client.predict({"x": 1})
        except UnavailableError as error:
            print(f"{type(error).__name__} {isinstance(error, ServingError)}")
"""


def run(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_importing_the_client_brings_no_framework():
    done = run(
        "import sys, time; start = time.perf_counter()\n"
        "from keras_attn.serving import AsyncClient, Client\n"
        "seconds = time.perf_counter() - start\n"
        "print(*sorted(sys.modules)); print(f'{seconds:.2f}', file=sys.stderr)"
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "keras_attn.serving.client.client" in loaded
    assert not {"keras", "tensorflow", "google.protobuf", "orjson"} & loaded
    print(f"The client was imported in {done.stderr.strip()} s.")


GRPC = "grpc,typing_extensions"  # which gRPC itself needs


@pytest.mark.parametrize(
    ("packages", "addresses"),
    [
        (GRPC, ["127.0.0.1:1"]),
        (f"{GRPC},orjson", ["127.0.0.1:1", "http://127.0.0.1:1"]),
    ],
)
def test_the_client_needs_little(packages, addresses):
    done = run(ONLY + ASK, packages, *addresses)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "UnavailableError True\n" * len(addresses)


@pytest.mark.parametrize(
    ("packages", "address", "missing"),
    [
        ("orjson", "127.0.0.1:1", "grpc"),
        (GRPC, "http://127.0.0.1:1", "orjson"),
    ],
)
def test_what_is_missing_is_named(packages, address, missing):
    done = run(ONLY + ASK, packages, address)
    expected = f"The client needs {missing}: pip install 'keras-attn[client]'"
    assert done.stderr.strip().endswith(f"ModuleNotFoundError: {expected}")
