"""Batching in a running server: flags, many clients, clients that hang up."""

import contextlib
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving import (
    Client,
    DeadlineExceededError,
    InvalidArgumentError,
    Server,
    UnavailableError,
)
from keras_attn.serving.server import StatusError
from keras_attn.serving.wire.management import encode_status_request
from keras_attn.serving.wire.messages import ModelSpec, PredictRequest, PredictResponse
from tests.serving.conftest import add_version
from tests.serving.waiting import wait_for

PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RUNS = "/tensorflow/serving/batching_session/wrapped_run_count"
WATCH = "/grpc.health.v1.Health/Watch"
ONES = {"x": np.ones((1, 3), "float32")}
A_WHILE = 100_000  # steps of the slow model: far longer than it takes to ask


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A model that takes as many steps as it is told, and counts its runs."""

    class Slow(tf.Module):
        def __init__(self):
            self.runs = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="steps")])
        def spin(self, steps):
            run = self.runs.assign_add(1)
            last = tf.reduce_max(steps)
            (done,) = tf.while_loop(lambda i: i < last, lambda i: (i + 1,), [0])
            size = tf.size(steps) + 0 * done
            return {"run": tf.fill([size], run), "size": tf.fill([size], size)}

    base = tmp_path_factory.mktemp("models") / "slow"
    module = Slow()
    tf.saved_model.save(module, str(base / "1"), {"serving_default": module.spin})
    return base


@pytest.fixture
def parameters(tmp_path):
    """Writes the file of parameters; a request has its batch and thread to itself."""

    def write(path=tmp_path / "batching.config", **settings):
        settings = {"num_batch_threads": 1, "max_batch_size": 1} | settings
        lines = [f"{name} {{ value: {value} }}\n" for name, value in settings.items()]
        path.write_text("".join(lines))
        return str(path)

    return write


@contextlib.contextmanager
def serving(base, **flags):
    with Server(base, enable_batching=True, **flags) as server:
        with Client(server.address, base.name, timeout=60, retries=0) as client:
            yield server, client


class Caller:
    """The bare methods of the slow model."""

    def __init__(self, channel, server):
        self._channel = channel
        self._server = server

    def predict(self, steps, timeout=60):
        inputs = {"steps": np.array([steps], "int32")}
        request = PredictRequest(ModelSpec("slow"), inputs).encode()
        return self._channel.unary_unary(PREDICT).future(request, timeout=timeout)

    def settle(self):
        """Waits until the server has what was sent before, by asking once more."""
        request = encode_status_request(ModelSpec("slow"))
        self._channel.unary_unary(STATUS)(request, timeout=30)

    def keep_busy(self):
        """A request that runs for a while, and has begun."""
        before = self._server.metrics.value(RUNS)
        call = self.predict(A_WHILE)
        while self._server.metrics.value(RUNS) == before:
            time.sleep(0.001)
        return call


@contextlib.contextmanager
def calling(server):
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(server.address, options) as channel:
        yield Caller(channel, server)


def run_number(call):
    return int(PredictResponse.decode(call.result()).outputs["run"][0])


def grpc_threads():
    return {t for t in threading.enumerate() if t.name.startswith("grpc")}


def request_counts(server):
    found = re.findall('request_count{.*status="(.*)"} (.*)', server.metrics.render())
    return dict(found)


def test_requests_that_come_while_one_runs_share_a_batch(slow):
    with serving(slow) as (_, client), ThreadPoolExecutor(24) as threads:
        steps = {"steps": np.array([20_000], "int32")}
        answers = list(threads.map(lambda _: client.predict(steps), range(48)))
    sizes = {int(answer["run"][0]): int(answer["size"][0]) for answer in answers}
    assert sum(sizes.values()) == 48
    assert max(sizes.values()) > 4


def test_more_clients_than_threads(toolbox):
    with serving(toolbox, grpc_max_threads=2) as (_, client):

        def ask(number):
            return client.predict(
                {"x": np.full((1, 3), number, "float32")}, outputs="y"
            )

        with ThreadPoolExecutor(64) as threads:
            answers = list(threads.map(ask, range(640)))
        assert client.status()[0].state == "AVAILABLE"
    expected = [[[number * 6.0, number * -0.25]] for number in range(640)]
    np.testing.assert_allclose([a["y"] for a in answers], expected, atol=1e-3)


def test_a_large_request(toolbox):
    large = np.random.default_rng(0).normal(size=(3, 500_000)).astype("float32")
    with serving(toolbox) as (_, client):
        answer = client.predict({"x": large}, signature_name="echo")["x"]
        np.testing.assert_array_equal(answer, large)
        with pytest.raises(InvalidArgumentError, match="Task size 2000 is larger"):
            client.predict({"x": np.ones((2000, 300))}, signature_name="echo")


def test_a_large_answer_is_written_by_a_thread(toolbox, parameters):
    """In the event loop it would hold up all other requests."""
    file = parameters(max_batch_size=200_000)
    before = grpc_threads()

    def threads_after(rows):
        inputs = {"row": np.zeros(rows, "int32")}
        spec = ModelSpec("toolbox", signature_name="gather")
        message = PredictRequest(spec, inputs).encode()
        answer = PredictResponse.decode(predict(message, timeout=30))
        assert answer.outputs["row"].shape == (rows, 2)
        return {t.name for t in grpc_threads() - before}

    with serving(toolbox, batching_parameters_file=file) as (server, _):
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(server.address, options) as channel:
            predict = channel.unary_unary(PREDICT)
            assert threads_after(1000) == {"grpc-loop"}
            assert threads_after(200_000) == {"grpc-loop", "grpc_0"}


def test_a_full_queue(slow, parameters):
    file = parameters(max_enqueued_batches=1)
    with serving(slow, batching_parameters_file=file) as (server, client):
        with calling(server) as caller:
            running, waiting = caller.keep_busy(), caller.predict(1)
            caller.settle()
            text = "currently 1 batches enqueued and max_enqueued_batches is 1"
            with pytest.raises(UnavailableError, match=text):
                client.predict({"steps": np.array([1], "int32")})
            assert run_number(waiting) == run_number(running) + 1


def test_what_nobody_waits_for_is_not_computed(slow, parameters):
    file = parameters()
    with serving(slow, batching_parameters_file=file) as (server, client):
        with calling(server) as caller:
            running, gone = caller.keep_busy(), caller.predict(1)
            late, stays = caller.predict(1, timeout=0.05), caller.predict(1)
            caller.settle()
            assert gone.cancel()
            assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert run_number(stays) == run_number(running) + 1
        with pytest.raises(DeadlineExceededError):
            client.predict({"steps": np.array([A_WHILE], "int32")}, timeout=0.05)
        # The server hears of the last one a little later, or has broken it off itself.
        outcomes = [
            {"OK": "2", "CANCELLED": "3"},
            {"OK": "2", "CANCELLED": "2", "DEADLINE_EXCEEDED": "1"},
        ]
        wait_for(lambda: request_counts(server) in outcomes)


def test_stopping_answers_what_waits(slow, parameters):
    before = grpc_threads()
    file = parameters()
    with serving(slow, batching_parameters_file=file) as (server, _):
        with calling(server) as caller:
            running, waiting = caller.keep_busy(), [caller.predict(1) for _ in range(4)]
            caller.settle()
            server.stop()
            first = run_number(running)
            numbers = sorted(run_number(call) for call in waiting)
            assert numbers == [first + number for number in range(1, 5)]
    assert not grpc_threads() - before


def test_versions_swap_between_batches(tmp_path):
    base = tmp_path / "toolbox"
    add_version(base, 1)
    answers, done = [], threading.Event()

    def ask(client):
        while not done.is_set():
            answers.append(client.predict(ONES, outputs="y")["y"][0, 0])

    with serving(base) as (_, client), ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask, client) for _ in range(8)]
        add_version(base, 2, offset=2)
        client.wait_until_available(30, version=2)
        while client.status(version=1)[0].state != "END":
            time.sleep(0.02)
        done.set()
        for future in asking:
            future.result(30)
        assert client.predict(ONES, outputs="y")["y"][0, 0] == 8
    assert set(answers) == {6.0, 8.0}


def test_parameters_of_a_model_of_its_own(tmp_path, toolbox, parameters):
    base = tmp_path / "toolbox"
    shutil.copytree(toolbox, base)
    flags = {
        "enable_per_model_batching_parameters": True,
        "batching_parameters_file": parameters(max_batch_size=100),
    }
    x = np.ones((4, 3), "float32")
    with serving(base, **flags) as (_, client):  # without a file: no batches
        answer = client.predict({"steps": 3}, signature_name="count")
        assert answer["done"] == 3
    parameters(base / "3" / "batching_params.pbtxt", max_batch_size=3)
    with serving(base, **flags) as (_, client):
        with pytest.raises(InvalidArgumentError, match="at least one dimension"):
            client.predict({"steps": 3}, signature_name="count")
        with pytest.raises(InvalidArgumentError, match="input batch size 3"):
            client.predict({"x": x}, outputs="y")
    with serving(base, batching_parameters_file=parameters(max_batch_size=4)) as (
        _,
        client,
    ):
        assert client.predict({"x": x}, outputs="y")["y"].shape == (4, 2)
    parameters(base / "3" / "batching_params.pbtxt", num_batch_threads=0)
    with pytest.raises(StatusError, match="num_batch_threads must be positive"):
        Server(base, enable_batching=True, max_num_load_retries=0, **flags).start()


def test_parameters_without_batching(toolbox, parameters):
    text = "batching_parameters_file is set without setting .*enable_batching to true"
    with pytest.raises(StatusError, match=text):
        Server(toolbox, batching_parameters_file=parameters()).start()


def test_warm_up_goes_through_the_batches(tmp_path, toolbox, parameters):
    base = tmp_path / "toolbox"
    shutil.copytree(toolbox, base)
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones((5, 3), "float32")))
    request.output_filter.append("y")
    extra = base / "3" / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    file = parameters(max_batch_size=4)
    flags = {"batching_parameters_file": file, "max_num_load_retries": 0}
    with pytest.raises(StatusError, match="Task size 5 is larger"):
        Server(base, enable_batching=True, **flags).start()
    parameters(max_batch_size=5)
    with serving(base, **flags) as (_, client):
        assert client.status()[0].state == "AVAILABLE"


def test_what_is_no_request(toolbox):
    with serving(toolbox) as (server, _):
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(server.address, options) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(PREDICT)(b"\xff", timeout=30)
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert caught.value.details().startswith("Malformed PredictRequest: ")


def test_health_is_watched(toolbox):
    with serving(toolbox, enable_grpc_healthcheck_service=True) as (server, _):
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(server.address, options) as channel:
            serving_, gone = (channel.unary_stream(WATCH)(b"") for _ in range(2))
            assert next(serving_) == next(gone) == b"\x08\x01"
            gone.cancel()
            malformed = channel.unary_stream(WATCH)(b"\xff")
            assert malformed.code() == grpc.StatusCode.INTERNAL
            server.stop()
            assert list(serving_) == [b"\x08\x02"]


@pytest.mark.parametrize("enable_batching", [False, True])
def test_a_request_without_a_deadline(toolbox, enable_batching):
    with Server(toolbox, enable_batching=enable_batching) as server:
        request = PredictRequest(ModelSpec("toolbox"), ONES, ["y"]).encode()
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(server.address, options) as channel:
            answer = PredictResponse.decode(channel.unary_unary(PREDICT)(request))
    np.testing.assert_array_equal(answer.outputs["y"], [[6, -0.25]])
