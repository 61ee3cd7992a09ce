"""Models come and go while the server runs, by request or by its file."""

import contextlib
import shutil
import threading
import time
from collections import Counter

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from keras_attn.serving import Client, InvalidArgumentError, NotFoundError, Server
from keras_attn.serving.server import StatusError
from tests.serving.conftest import OFFICIAL, ServerProcess, free_port
from tests.serving.waiting import wait_for

ONES = {"x": np.ones((1, 3), "float32")}
FLAGS = {"max_num_load_retries": 0}
OFTEN = {
    "model_config_file_poll_wait_seconds": 0.1,
    "file_system_poll_wait_seconds": 0.1,
}


class Fleet:
    """Folders of models, the configuration of a server, and ways to ask it."""

    def __init__(self, root, version):
        self.root = root
        self.file = root / "models.config"
        self.address = ""
        self._version = version

    def add(self, name, *versions):
        for version in versions:
            half_written = self.root / f".{name}-{version}"
            shutil.copytree(self._version, half_written)
            (self.root / name).mkdir(exist_ok=True)
            half_written.rename(self.root / name / str(version))

    def config(self, *models):
        """Each model is a name or a pair of a name and more text."""
        pairs = [(m, "") if isinstance(m, str) else m for m in models]
        texts = [
            f'config {{ name: "{name}" base_path: "{self.root}/{name}" '
            f'model_platform: "tensorflow" {more} }}'
            for name, more in pairs
        ]
        return f"model_config_list {{ {' '.join(texts)} }}"

    def write(self, text):
        half_written = self.root / ".models.config"
        half_written.write_text(text)
        half_written.rename(self.file)

    def reload(self, text, metric_names=(), timeout=None):
        request = model_management_pb2.ReloadConfigRequest(metric_names=metric_names)
        text_format.Parse(text, request.config)
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(self.address, options) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.HandleReloadConfigRequest(request, timeout=timeout)

    def refusal(self, text, **more):
        with pytest.raises(grpc.RpcError) as caught:
            self.reload(text, **more)
        return caught.value.code().name, caught.value.details()

    def version(self, name, **choice):
        """Which version answers."""
        with Client(self.address, name, timeout=30) as client:
            client.predict(ONES, **choice)
            return client.metadata(**choice).version

    def states(self, name):
        with Client(self.address, name, timeout=30) as client:
            return {status.version: status.state for status in client.status()}


LABELS = 'version_labels {{ key: "stable" value: {} }}'
BOTH = "model_version_policy { specific { versions: 1 versions: 2 } }"


@contextlib.contextmanager
def embedded(fleet, **flags):
    with Server(model_config_file=str(fleet.file), **FLAGS, **flags) as server:
        fleet.address = server.address
        yield server


@contextlib.contextmanager
def official(fleet):
    port = free_port()
    fleet.address = f"127.0.0.1:{port}"
    flags = {"port": port, "model_config_file": fleet.file, **FLAGS}
    command = [OFFICIAL, *(f"--{name}={value}" for name, value in flags.items())]
    process = ServerProcess(command)
    try:
        with Client(fleet.address, "a") as client:
            client.wait_until_available(60)
        yield process
    finally:
        process.kill()


@pytest.fixture
def fleet(tmp_path, toolbox):
    """Two models, `a` and `b`, of which `a` is configured."""
    fleet = Fleet(tmp_path, toolbox / "3")
    fleet.add("a", 1)
    fleet.add("b", 1)
    fleet.write(fleet.config("a"))
    return fleet


@pytest.fixture(params=[embedded, *([official] if OFFICIAL else [])])
def served(request, fleet):
    with request.param(fleet):
        yield fleet


def test_the_set_of_models_is_replaced(served):
    response = served.reload(served.config("a", "b"))
    assert response.status == type(response.status)()
    assert (served.version("a"), served.version("b")) == (1, 1)
    served.reload(served.config("b"))
    wait_for(lambda: served.states("a") == {1: "END"})
    with pytest.raises(NotFoundError, match=r"not found for request: Latest\(a\)"):
        served.version("a")
    served.reload("model_config_list {}")
    wait_for(lambda: served.states("b") == {1: "END"})
    served.reload(served.config("a"))
    assert served.version("a") == 1


def test_refused_configurations_change_nothing(served):
    a, b = served.config("a"), served.config("b")
    refusals = {
        served.config(
            "b", "b"
        ): "Illegal to list model b multiple times in config list",
        b.replace(f"{served.root}/", ""): "Expected model b to have an absolute path "
        "or URI; got base_path()=b",
        a.replace("tensorflow", "other"): "Illegal to change a model's platform. For "
        "model a platform was tensorflow and new platform requested is other",
        "": "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
        "ModelConfigList is currently supported",
        b.replace("tensorflow", "other"): "Model b requests unsupported platform other",
    }
    for text, message in refusals.items():
        assert served.refusal(text) == ("INVALID_ARGUMENT", message)
    assert served.version("a") == 1
    # The last one was recorded before it was refused.
    assert served.refusal(b)[1].startswith("Illegal to change a model's platform.")
    served.reload(a)
    served.reload(served.config("a", "b"))
    assert served.version("b") == 1


def test_a_label_needs_a_version_that_serves(served):
    refusal = (
        "FAILED_PRECONDITION",
        "Request to assign label to version 2 of model a, which is not currently "
        "available for inference",
    )
    served.reload(served.config(("a", LABELS.format(1))))
    assert served.version("a", version_label="stable") == 1
    served.add("a", 2)
    moved = served.config(("a", BOTH + LABELS.format(2)))
    served.reload(served.config(("a", BOTH + LABELS.format(1))))
    wait_for(lambda: served.states("a") == {2: "AVAILABLE", 1: "AVAILABLE"})
    assert served.version("a") == 2
    assert served.version("a", version_label="stable") == 1
    served.reload(moved)
    assert served.version("a", version_label="stable") == 2
    served.reload(served.config("b", ("a", BOTH)))
    with pytest.raises(InvalidArgumentError, match="version label: stable"):
        served.version("a", version_label="stable")
    served.reload(served.config("b"))
    wait_for(lambda: served.states("a") == {2: "END", 1: "END"})
    assert served.refusal(moved) == refusal
    assert served.states("a") == {2: "END", 1: "END"}  # nothing was loaded


def test_a_configuration_whose_label_is_refused_is_recorded_all_the_same(served):
    labelled = served.config("a", ("b", LABELS.format(1)))
    assert served.refusal(labelled.replace("tensorflow", "other", 2)) == (
        "INVALID_ARGUMENT",
        "Illegal to change a model's platform. For model a platform was tensorflow and "
        "new platform requested is other",
    )
    other = served.config(("b", LABELS.format(1))).replace("tensorflow", "other")
    assert served.refusal(other)[0] == "FAILED_PRECONDITION"
    assert served.refusal(served.config("b")) == (
        "INVALID_ARGUMENT",
        "Illegal to change a model's platform. For model b platform was other and "
        "new platform requested is tensorflow",
    )
    assert served.version("a") == 1


def test_a_new_model_that_cannot_load(served):
    (served.root / "broken" / "1").mkdir(parents=True)
    code, text = served.refusal(served.config("a", "broken"))
    assert code == "UNKNOWN"
    start = "1 model(s) did not become available: {{{name: broken version: 1} due to "
    assert text.startswith(f"{start}error: ")
    assert text.endswith("}, }")
    assert served.version("a") == 1


def test_a_request_to_reload_waits_for_the_new_model(served):
    text = served.config("a", "late")
    (served.root / "late").mkdir()
    assert served.refusal(text, timeout=1)[0] == "DEADLINE_EXCEEDED"
    assert served.version("a") == 1
    served.add("late", 4)
    wait_for(lambda: served.version("a") and is_found(served, "late"))
    assert served.version("late") == 4


def is_found(fleet, name):
    with contextlib.suppress(NotFoundError):
        return fleet.version(name)


def test_increase_of_metrics(served):
    names = ["/tensorflow/serving/no_such_metric"]
    response = served.reload(served.config("a"), metric_names=names)
    ((name, increase),) = (
        (metric.name, metric.int64_value_increase) for metric in response.metric
    )
    assert (name, increase) == (names[0], 0)


def test_metrics_that_grow_during_the_reload(fleet):
    (fleet.root / "late").mkdir()
    counted = []
    name = "/tensorflow/serving/request_count"

    def reload():
        counted.append(fleet.reload(fleet.config("a", "late"), [name]))

    with embedded(fleet):
        fleet.version("a")
        thread = threading.Thread(target=reload)
        thread.start()
        time.sleep(0.3)
        for _ in range(3):
            fleet.version("a")
        fleet.add("late", 1)
        thread.join()
    (metric,) = counted[0].metric
    assert (metric.name, metric.int64_value_increase) == (name, 3)


def test_labels_of_versions_that_are_still_to_load(fleet):
    fleet.write(fleet.config(("a", LABELS.format(1))))
    with pytest.raises(StatusError, match="assign label to version 1 of model a"):
        Server(model_config_file=str(fleet.file)).start()
    with embedded(fleet, allow_version_labels_for_unavailable_models=True):
        assert fleet.version("a", version_label="stable") == 1
        text = fleet.config(("a", BOTH + LABELS.format(2)))
        assert fleet.refusal(text)[0] == "FAILED_PRECONDITION"  # a label in use
        assert fleet.version("a", version_label="stable") == 1
        fleet.reload(fleet.config(("a", LABELS.format(1).replace("stable", "next"))))
        fleet.reload(text)
        with pytest.raises(NotFoundError, match=r"Specific\(a, 2\)"):
            fleet.version("a", version_label="stable")
        fleet.add("a", 2)
        wait_for(lambda: fleet.states("a").get(2) == "AVAILABLE")
        assert fleet.version("a", version_label="stable") == 2


def test_the_file_is_read_again(fleet, caplog):
    with embedded(fleet, **OFTEN):
        fleet.write(fleet.config("a", "b"))
        wait_for(lambda: is_found(fleet, "b"))
        fleet.write("nonsense")
        fleet.add("a", 2)
        wait_for(lambda: fleet.version("a") == 2)
        time.sleep(0.5)  # for it to be read, and read again
        assert (fleet.version("a"), fleet.version("b")) == (2, 1)
        fleet.write("")
        wait_for(lambda: "Cannot transition to requested config." in caplog.text)
        fleet.file.unlink()
        wait_for(lambda: "No such file or directory" in caplog.text)
        assert fleet.version("b") == 1
        fleet.write(fleet.config("b"))
        wait_for(lambda: set(fleet.states("a").values()) == {"END"})
        assert fleet.version("b") == 1
    problems = [r.message for r in caplog.records if r.levelname == "ERROR"]
    words = ["Invalid protobuf file", "Cannot transition", "No such file"]
    assert Counter(word for p in problems for word in words if word in p) == Counter(
        words
    )
    assert 'has no field named "nonsense"' in problems[0]


def test_a_label_in_the_file_is_taken_up_once_its_version_serves(fleet, caplog):
    with embedded(fleet, **OFTEN):
        fleet.write(fleet.config(("a", LABELS.format(2))))
        wait_for(lambda: "assign label to version 2 of model a" in caplog.text)
        fleet.add("a", 2)

        def is_labelled():
            with contextlib.suppress(InvalidArgumentError):
                return fleet.version("a", version_label="stable") == 2

        wait_for(is_labelled)


def test_a_server_stops_while_it_waits_for_a_model(fleet, caplog):
    (fleet.root / "late").mkdir()
    with embedded(fleet, **OFTEN):
        fleet.write(fleet.config("a", "late"))
        wait_for(lambda: "No versions of servable late" in caplog.text)
        start = time.monotonic()
    assert time.monotonic() - start < 5
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


@pytest.mark.parametrize("batching", [False, True])
def test_a_server_stops_while_a_request_to_reload_waits(fleet, caplog, batching):
    (fleet.root / "late").mkdir()
    refusals = []

    def reload():
        refusals.append(fleet.refusal(fleet.config("a", "late")))

    client = threading.Thread(target=reload)
    with embedded(fleet, enable_batching=batching):
        client.start()
        wait_for(lambda: "No versions of servable late" in caplog.text)
        start = time.monotonic()
    assert time.monotonic() - start < 5
    client.join()
    assert refusals == [("CANCELLED", "The server is stopping.")]


def test_models_that_load_side_by_side(fleet):
    names = [f"m{number}" for number in range(6)]
    for name in names:
        fleet.add(name, 1)
    fleet.write(fleet.config(*names))
    with embedded(fleet):
        for name in names:
            with Client(fleet.address, name, timeout=30) as client:
                assert client.predict(ONES)["y"].tolist() == [[6, -0.25]]


def test_a_file_that_names_no_models(fleet):
    fleet.write("")
    with embedded(fleet):
        with pytest.raises(NotFoundError, match="any versions of model a"):
            fleet.states("a")
        fleet.reload(fleet.config("a"))
        assert fleet.version("a") == 1


def test_requests_cannot_be_logged(fleet):
    fleet.write(fleet.config(("a", "logging_config {}")))
    with pytest.raises(StatusError, match="No request-logger-creator"):
        Server(model_config_file=str(fleet.file)).start()


def test_configurations_of_other_kinds_are_refused(fleet):
    with embedded(fleet):
        request = model_management_pb2.ReloadConfigRequest(
            config=ModelServerConfig(custom_model_config={})
        )
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(fleet.address, options) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            with pytest.raises(grpc.RpcError, match="Only ModelConfigList is"):
                stub.HandleReloadConfigRequest(request, timeout=30)
