"""A stop does not wait without end for what cannot be interrupted."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from keras_attn.serving import Client, Server, ServingError
from keras_attn.serving.server.status import StatusError
from tests.serving.spinner import save_spinner
from tests.serving.waiting import wait_for

GRACE, PATIENCE = 0.2, 0.3
SECONDS = 6.0  # of the work that cannot be interrupted
SOON = 4.0

batching = pytest.mark.parametrize("batching", [False, True], ids=["alone", "batches"])


@pytest.fixture(scope="module")
def sleeper(tmp_path_factory):
    """A model in whose only operation TensorFlow waits."""

    def sleep(x):
        time.sleep(SECONDS)
        return x

    class Sleeper(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def sleep(self, x):
            return {"y": tf.numpy_function(sleep, [x], tf.float32)}

    model = Sleeper()
    base = tmp_path_factory.mktemp("unwilling") / "sleeper"
    tf.saved_model.save(model, str(base / "1"), {"serving_default": model.sleep})
    yield base
    del model  # the graph names a function of this process


def save_slow_to_load(base, seconds):
    """A version whose warm-up takes so long."""
    version = base / "1"
    save_spinner(version)
    record = PredictionLog()
    record.predict_log.request.model_spec.name = base.name
    tensor = tf.make_tensor_proto([seconds], tf.float64)
    record.predict_log.request.inputs["seconds"].CopyFrom(tensor)
    extra = version / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(record.SerializeToString())


def stop(server):
    """Whether all has ended in time, and how long that took."""
    start = time.monotonic()
    return server.stop(GRACE, PATIENCE), time.monotonic() - start


def is_at_work():
    names = [thread.name for thread in threading.enumerate()]
    return any(name.startswith("shutdown") for name in names)


@batching
def test_a_request(sleeper, batching, caplog):
    server = Server(sleeper, rest_api_port=-1, enable_batching=batching).start()

    def ask():
        with (
            Client(server.address, "sleeper", timeout=60, retries=0) as client,
            suppress(ServingError),
        ):
            client.predict({"x": [1]})

    model = server._manager._catalog.models["sleeper"]
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        wait_for(lambda: model.versions[1].in_flight)
        has_ended, seconds = stop(server)
        assert not has_ended
        assert server.has_left_work
        assert seconds < SOON
        assert [r.message for r in caplog.records] == [
            "What cannot be interrupted takes too long, and is left behind."
        ]
        asking.result(SECONDS + SOON)
    wait_for(lambda: not is_at_work())


def test_a_model_that_is_being_loaded(tmp_path, caplog):
    caplog.set_level(logging.INFO, "keras_attn.serving")
    save_slow_to_load(tmp_path / "slow", SECONDS)
    server = Server(tmp_path / "slow")
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(server.start)
        wait_for(lambda: "Loading servable" in caplog.text)
        has_ended, seconds = stop(server)
        assert not has_ended
        assert seconds < SOON
        with pytest.raises(StatusError, match=r"The server is stopping\."):
            starting.result(SOON)
    wait_for(lambda: not is_at_work())


def test_a_process_exits(tmp_path, serve):
    save_slow_to_load(tmp_path / "slow", 600.0)
    process = serve("--port=0", "--model_name=m", f"--model_base_path={tmp_path}/slow")
    process.wait_for_line("Loading servable")
    process.terminate()
    assert process.wait(30) == 0
    assert "is left behind" in process.log


def test_a_server_may_start_again(sleeper):
    server = Server(sleeper).start()
    assert server.stop(GRACE)
    with server:
        assert server.address
    assert not server.has_left_work
