"""The client against a real server, and against none."""

import threading
import time
from importlib import import_module

import numpy as np
import pytest

import keras_attn.serving
from keras_attn.serving import (
    Client,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    Server,
    ServingError,
    UnavailableError,
)
from keras_attn.serving.client.casting import cast
from keras_attn.serving.wire.metadata import TensorSpec
from tests.serving.conftest import add_version, free_port


def test_public_names_are_what_they_seem():
    import_module("keras_attn.serving.export")  # must not replace the function
    for name in keras_attn.serving.__all__:
        assert callable(getattr(keras_attn.serving, name))
    with pytest.raises(AttributeError, match="nope"):
        keras_attn.serving.nope  # noqa: B018


def test_answers_are_writeable_arrays(client):
    answer = client.predict({"x": [[1, 0, 0], [0, 1, 0]]})
    np.testing.assert_array_equal(answer["y"], [[1, -1], [2, 0.5]])
    assert answer["y"].dtype == "float32"
    answer["y"] += 1


def test_strings_are_text_where_they_can_be(client):
    answer = client.predict({"text": ["mai", b"\xff"]}, signature_name="months")
    assert answer["echo"].tolist() == ["mai", b"\xff"]
    assert answer["id"].tolist() == [5, -1]


def test_outputs_and_version_can_be_chosen(client):
    x = np.zeros((1, 3))
    assert list(client.predict({"x": x}, outputs=["total"], version=3)) == ["total"]
    assert list(client.predict({"x": x}, outputs="y")) == ["y"]


def test_metadata(client):
    metadata = client.metadata()
    assert (metadata.name, metadata.version) == ("toolbox", 3)
    linear = metadata.signatures["serving_default"]
    assert linear.inputs == {"x": TensorSpec("float32", (-1, 3))}
    assert linear.outputs["total"] == TensorSpec("float32", ())
    assert "__saved_model_init_op" not in metadata.signatures


def test_status(client):
    (status,) = client.status()
    assert (status.version, status.state) == (3, "AVAILABLE")
    assert client.wait_until_available(10) == 3


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"z": [[1, 2, 3]]}, r"Received: \['z'\]. Expected: x: float32 \(\?, 3\)"),
        ({}, r"Received: \[\]. Expected: x"),
        ({"x": [["a", "b", "c"]]}, "`x` takes float32. Received: <U1"),
        ({"x": [[1], [2, 3]]}, "`x` is not a tensor"),
    ],
)
def test_wrong_inputs_are_not_sent(client, inputs, text):
    with pytest.raises(ValueError, match=text) as caught:
        client.predict(inputs)
    assert not isinstance(caught.value, ServingError)


def test_unknown_signature_names_the_known_ones(client):
    with pytest.raises(ValueError, match=r"serving_default.*Received: .*'nope'"):
        client.predict({"x": [[1, 2, 3]]}, signature_name="nope")


def test_errors_are_typed_and_keep_what_was_asked(address):
    with Client(address, "foo") as client, pytest.raises(NotFoundError) as caught:
        client.predict({"x": 1})
    error = caught.value
    assert isinstance(error, LookupError)
    assert (error.code, error.model, error.address) == ("NOT_FOUND", "foo", address)
    assert error.details == "Servable not found for request: Latest(foo)"


def test_what_the_graph_refuses_is_an_invalid_argument(client):
    with pytest.raises(InvalidArgumentError, match="Matrix size-incompatible"):
        client.predict({"x": [[1.0]]})


def test_deadline(client):
    with pytest.raises(DeadlineExceededError) as caught:
        client.predict({"steps": 2**30}, signature_name="count", timeout=0.3)
    assert isinstance(caught.value, TimeoutError)


def test_no_server():
    address = f"127.0.0.1:{free_port()}"
    with Client(address, "dates", retries=1) as client:
        with pytest.raises(UnavailableError, match=f"{address}.*keras-attn serve"):
            client.predict({"x": 1})
        with pytest.raises(DeadlineExceededError, match=r"Not available after 0.3 s"):
            client.wait_until_available(0.3)


def test_a_server_that_starts_late_is_found(toolbox):
    port = free_port()
    server = Server(toolbox, port=port)
    starter = threading.Timer(0.3, server.start)
    starter.start()
    try:
        with Client(f"127.0.0.1:{port}", "toolbox", timeout=30, retries=20) as client:
            assert client.predict({"x": np.zeros((1, 3))})["total"] == 0
    finally:
        starter.join()
        server.stop()


def test_a_server_that_comes_back_is_found_again(toolbox):
    port = free_port()
    with Client(f"127.0.0.1:{port}", "toolbox", timeout=30, retries=20) as client:
        for _ in range(2):
            with Server(toolbox, port=port):
                assert client.predict({"x": np.zeros((1, 3))})["total"] == 0


@pytest.mark.parametrize("api", ["grpc", "rest"])
def test_a_new_version_may_be_another_model(tmp_path, api):
    import tensorflow as tf

    def add(version, name, dtype):
        module = tf.Module()
        spec = tf.TensorSpec([None], dtype, name)
        module.call = tf.function(
            lambda **inputs: {"twice": 2 * inputs[name]}
        ).get_concrete_function(**{name: spec})
        tf.saved_model.save(module, str(tmp_path / "next"), signatures=module.call)
        (tmp_path / "next").rename(tmp_path / "model" / str(version))
        client.wait_until_available(30, version=version)

    def ask(name, value):
        return client.predict({name: [value]})["twice"].tolist()

    add_version(tmp_path / "model", 1)
    with Server(
        tmp_path / "model", rest_api_port=-1, file_system_poll_wait_seconds=1
    ) as server:
        rest = f"http://{server.rest_address}"
        with Client(server.address if api == "grpc" else rest, "model") as client:
            client.predict({"x": np.zeros((1, 3))})
            add(2, "z", tf.int32)
            assert ask("z", 4) == [8]
            with pytest.raises(ValueError, match="takes int32"):
                ask("z", 0.25)
            add(3, "z", tf.float32)
            assert ask("z", 4) == [8.0]
            assert ask("z", 0.25) == [0.5]


def test_closed_client(address):
    client = Client(address, "toolbox")
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.status()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"timeout": 0}, "`timeout` must be"), ({"retries": -1}, "`retries` must")],
)
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        Client("127.0.0.1:1", **arguments)


def test_version_or_label(client):
    with pytest.raises(ValueError, match="not both"):
        client.predict({"x": 1}, version=1, version_label="stable")


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], "int32", np.int32([1, 2])),
        ([2**31 - 1], "int32", np.int32([2**31 - 1])),
        ([1.5], "float32", np.float32([1.5])),
        ([0.1], "float32", np.float32([0.1])),
        ([np.inf, np.nan], "float32", np.float32([np.inf, np.nan])),
        ([1, 2], "float32", np.float32([1, 2])),
        ([True], "int64", np.int64([1])),
        (np.uint8([200]), "int16", np.int16([200])),
        ([], "int32", np.int32([])),
        ([1.0], "complex64", np.complex64([1])),
    ],
)
def test_casts_that_lose_nothing(value, dtype, expected):
    array = cast("x", value, TensorSpec(dtype, (-1,)))
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        ([2**31], "int32", "2147483648 does not fit"),
        ([-1], "uint8", "-1 does not fit"),
        ([2**24 + 1], "float32", "16777217 does not fit"),
        ([1e300], "float32", r"1e\+300 does not fit"),
        ([1.0], "int32", "takes int32. Received: float64"),
        ([1], "bool", "takes bool. Received: int64"),
        ([1], "string", "takes strings. Received: int"),
        ([None], "string", "takes strings. Received: NoneType"),
        (np.array([-1], "int64"), "uint64", "-1 does not fit"),
    ],
)
def test_casts_that_would_lose_something(value, dtype, text):
    with pytest.raises(ValueError, match=text):
        cast("x", value, TensorSpec(dtype, (-1,)))


def test_signature_outside_the_contract_is_told_by_the_server(address):
    """The label is the server's to know, so that it is asked."""
    with Client(address, "toolbox") as client, pytest.raises(InvalidArgumentError):
        client.predict({"x": [[1, 2, 3]]}, version_label="nope")


def test_failed_precondition_is_its_own_class():
    assert FailedPreconditionError("x").code == "FAILED_PRECONDITION"
    assert str(FailedPreconditionError("x", model="m", address="a:1")) == (
        "FAILED_PRECONDITION: x [model 'm' at a:1]"
    )


def test_threads_share_a_client(client):
    def ask():
        for _ in range(20):
            client.predict({"x": np.zeros((1, 3))})
        done.append(time.monotonic())

    done = []
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 4
