"""What holds for every client: blocking and awaiting, over gRPC and over REST."""

import asyncio
import inspect

import numpy as np
import pytest

from keras_attn.serving import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidArgumentError,
    ModelConfig,
    NotFoundError,
    Server,
    ServingError,
    UnavailableError,
    UnimplementedError,
)
from tests.serving.conftest import free_port
from tests.serving.judge import save_judge


class Blocking:
    """An `AsyncClient` whose calls are awaited, so that one test does for both."""

    def __init__(self, *arguments, **options):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name):
        call = getattr(self._client, name)
        return lambda *args, **kwargs: self._runner.run(call(*args, **kwargs))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.close())
        self._runner.close()


KINDS = {"sync": Client, "async": Blocking}


@pytest.fixture(scope="module")
def server(tmp_path_factory, toolbox):
    """Both APIs, for the toolbox and for a model that takes examples."""
    judge = tmp_path_factory.mktemp("models") / "judge"
    save_judge(judge / "1")
    config = tmp_path_factory.mktemp("config") / "models.config"
    models = "".join(
        f"config {{ name: '{path.name}' base_path: '{path}' "
        f"model_platform: 'tensorflow' version_labels {{ key: 'stable' value: {n} }} }}"
        for path, n in [(toolbox, 3), (judge, 1)]
    )
    config.write_text(f"model_config_list {{ {models} }}")
    with Server(
        model_config_file=str(config),
        rest_api_port=-1,
        rest_api_timeout_in_ms=5000,
        allow_version_labels_for_unavailable_models=True,
    ) as server:
        yield server


@pytest.fixture(params=["grpc", "rest"])
def place(request, server):
    return (
        server.address if request.param == "grpc" else f"http://{server.rest_address}"
    )


@pytest.fixture(params=KINDS)
def connect(request, place):
    """Opens a client of each kind; a test may ask for another model or address."""
    opened = []

    def open_client(model="toolbox", address=place, **options):
        options = {"timeout": 30, **options}
        opened.append(KINDS[request.param](address, model, **options))
        return opened[-1].__enter__()

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(connect):
    return connect()


def test_numbers(client, rng):
    x = rng.normal(size=(5, 3))
    answer = client.predict({"x": x})
    expected = x.astype("float32") @ np.float32([[1, -1], [2, 0.5], [3, 0.25]])
    np.testing.assert_allclose(answer["y"], expected, rtol=1e-5, atol=1e-5)
    assert (answer["y"].dtype, answer["total"].shape) == ("float32", ())
    answer["y"] += 1  # the caller's own


def test_strings(client):
    text = ["mai", b"\xff\x00", "août", ""]
    answer = client.predict({"text": text}, signature_name="months")
    assert answer["echo"].tolist() == text
    assert answer["id"].tolist() == [5, -1, -1, -1]
    assert answer["id"].dtype == "int64"


@pytest.mark.parametrize(
    "values", [[np.nan, np.inf, -np.inf, 0.1], [], 2.5, np.ones((2, 3), order="F")]
)
def test_what_is_sent_comes_back(client, values):
    x = np.asarray(values, "float32")
    answer = client.predict({"x": x}, signature_name="echo")["x"]
    assert (answer.dtype, answer.shape) == (x.dtype, x.shape)
    np.testing.assert_array_equal(answer, x)


def test_more_than_four_megabytes(client, rng):
    x = rng.normal(size=1_200_000).astype("float32")
    np.testing.assert_array_equal(
        client.predict({"x": x}, signature_name="echo")["x"], x
    )


def test_outputs_versions_and_labels(client):
    x = np.zeros((1, 3))
    assert list(client.predict({"x": x}, outputs="total", version=3)) == ["total"]
    chosen = client.predict({"x": x}, outputs=["y", "total"], version_label="stable")
    assert chosen.keys() == {"y", "total"}
    with pytest.raises(ValueError, match=r"`outputs` must be among \['total', 'y'\]"):
        client.predict({"x": x}, outputs=["z"])


def test_metadata_and_status(client, server):
    with Client(server.address, "toolbox") as other:
        assert client.metadata() == other.metadata()
        assert client.metadata(version=3).signatures["months"].inputs["text"].shape
    (status,) = client.status()
    assert (status.version, status.state, status.error_code) == (3, "AVAILABLE", 0)
    assert client.wait_until_available(10) == 3


def test_examples_are_classified(connect):
    examples = [{"age": 0.5, "name": "Ada"}, {"age": [2.0], "count": np.int8(3)}]
    expected = [[("Ada", 0.5), ("7", -0.5)], [("nobody", 2.0), ("3", -2.0)]]
    assert connect("judge").classify(examples) == expected


def test_examples_are_regressed(connect):
    examples = [{"age": 0.5, "count": 1}, {"age": 2.0}]
    values = connect("judge").regress(
        examples, context={"count": 40}, signature_name="regress"
    )
    assert values.dtype == "float32"
    assert values.tolist()[0] in (1.5, 40.5)  # the two features of one name compete
    assert values.tolist()[1] == 42.0


@pytest.mark.parametrize("value", [1j, None, 2**63, [1, "a"]])
def test_features_that_are_none(connect, value):
    with pytest.raises(ValueError, match="`age`"):
        connect("judge").classify([{"age": value}])


@pytest.mark.parametrize(
    ("model", "options", "error", "details"),
    [
        ("foo", {}, NotFoundError, "Servable not found for request: Latest(foo)"),
        (
            "toolbox",
            {"version": 9},
            NotFoundError,
            "Servable not found for request: Specific(toolbox, 9)",
        ),
        (
            "toolbox",
            {"version_label": "x"},
            InvalidArgumentError,
            "Unrecognized servable version label: x",
        ),
    ],
)
def test_errors_are_the_same_everywhere(connect, place, model, options, error, details):
    with pytest.raises(error) as caught:
        connect(model).predict({"x": 1}, **options)
    assert caught.value.details == details
    assert (caught.value.model, caught.value.address) == (model, place)


def test_what_the_graph_refuses(client):
    with pytest.raises(InvalidArgumentError, match="Matrix size-incompatible"):
        client.predict({"x": [[1.0]]})


def test_wrong_inputs_are_not_sent(client):
    with pytest.raises(ValueError, match="Expected: x: float32") as caught:
        client.predict({"z": 1})
    assert not isinstance(caught.value, ServingError)


def test_the_deadline(client):
    with pytest.raises(DeadlineExceededError):
        client.predict({"steps": 10**6}, signature_name="count", timeout=0.3)


def test_nobody_there(connect, place):
    scheme = "http://" if place.startswith("http") else ""
    address = f"{scheme}127.0.0.1:{free_port()}"
    client = connect(address=address, retries=1)
    with pytest.raises(UnavailableError, match=f"No server answers at {address}"):
        client.predict({"x": 1})
    with pytest.raises(DeadlineExceededError, match=r"Not available after 0\.2 s: No"):
        client.wait_until_available(0.2)


def test_a_closed_client(connect):
    client = connect()
    client.predict({"x": np.zeros((1, 3))})
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.status()


def test_models_can_be_replaced(connect, tmp_path, toolbox):
    (tmp_path / "more").symlink_to(toolbox)
    with Server(toolbox, rest_api_port=-1) as server:
        client = connect("more", server.address)
        with pytest.raises(NotFoundError):
            client.status()
        client.reload(
            [
                ModelConfig("toolbox", toolbox),
                ModelConfig("more", tmp_path / "more", [3]),
            ]
        )
        assert client.wait_until_available(10) == 3
        with pytest.raises(ServingError, match="multiple times"):
            client.reload([ModelConfig("more", toolbox)] * 2)
        rest = connect("more", f"http://{server.rest_address}")
        with pytest.raises(NotImplementedError, match="ask the gRPC port"):
            rest.reload([])


@pytest.mark.parametrize("place", ["rest"], indirect=True)
def test_what_json_cannot_carry(client):
    types = {"bool": [True], "half": [0.5], "double": [1.0]}
    integers = {name: [1] for name in ("int8", "int32", "int64", "uint8")}
    with pytest.raises(UnimplementedError, match="type: half"):
        client.predict({**types, **integers}, signature_name="types")


def test_help_tells_the_arguments():
    for kind in (Client, AsyncClient):
        assert "timeout" in inspect.signature(kind.predict).parameters
        assert inspect.getdoc(kind.predict).startswith("Runs a signature.")
        assert "address" in inspect.signature(kind).parameters
