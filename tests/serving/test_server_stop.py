"""A stop gives what is in flight so much time and no more; then it breaks it off."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from keras_attn.serving import Client, Server, UnavailableError
from tests.serving.rest_calls import predict
from tests.serving.spinner import save_spinner
from tests.serving.waiting import wait_for

GRACE = 0.3
SOON = 5.0  # seconds; the work itself takes far longer
MINUTES = 600.0
PROFILE = "/tensorflow.ProfilerService/Profile"
EIGHT_SECONDS = b"\x22\x03\x48\xc0\x3e"  # the options of a profile: duration_ms

batching = pytest.mark.parametrize("batching", [False, True], ids=["alone", "batches"])


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    base = tmp_path_factory.mktemp("stopping") / "spinner"
    save_spinner(base / "1")
    return base


def ask_over_grpc(server):
    with Client(server.address, "spinner", timeout=MINUTES, retries=0) as client:
        try:
            return client.predict({"seconds": [MINUTES]})
        except UnavailableError as error:
            return error.details


def ask_over_rest(server):
    body = {"inputs": [MINUTES]}
    answer = predict(server.rest_address, body, "spinner", timeout=MINUTES)
    return answer.error if answer.status == 503 else answer


def seconds_to_stop(server):
    start = time.monotonic()
    server.stop(GRACE)
    return time.monotonic() - start


def in_flight(server):
    model = server._manager._catalog.models["spinner"]
    return model.versions[1].in_flight


def threads_since(before):
    """Those that servers have left; gRPC keeps one of its own."""
    names = {thread.name for thread in set(threading.enumerate()) - before}
    return {name for name in names if "_poll_wrapper" not in name}


@batching
@pytest.mark.parametrize("ask", [ask_over_grpc, ask_over_rest])
def test_requests_that_take_too_long_are_broken_off(spinner, batching, ask):
    """More of them than there are threads for batches."""
    flags = {"enable_batching": batching, "rest_api_timeout_in_ms": 1_000_000}
    with ThreadPoolExecutor(6, "asking") as pool:
        list(pool.map(time.sleep, [0.01] * 6))  # its threads are there from now on
        before = set(threading.enumerate())
        server = Server(spinner, rest_api_port=-1, **flags).start()
        answers = [pool.submit(ask, server) for _ in range(6)]
        wait_for(lambda: in_flight(server) == 6)
        assert GRACE <= seconds_to_stop(server) < GRACE + SOON
        for answer in answers:
            assert answer.result(SOON) == "The server is stopping."
    wait_for(lambda: not threads_since(before))


def profile_in_flight(channel):
    """A call for a profile; TensorFlow takes one at a time, and finishes an old one."""
    method = channel.unary_unary(PROFILE)
    calls = []

    def is_in_flight():
        calls.append(method.future(EIGHT_SECONDS, timeout=MINUTES))
        time.sleep(0.3)
        return not calls[-1].done()

    wait_for(is_in_flight)
    return calls[-1]


@batching
def test_a_profile_is_broken_off(spinner, batching, caplog):
    with Server(spinner, enable_batching=batching) as server:
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(server.address, options) as channel:
            call = profile_in_flight(channel)
            assert seconds_to_stop(server) < GRACE + SOON
            assert call.exception(SOON) is not None
    assert not caplog.records


@batching
def test_an_idle_server_stops_at_once(spinner, batching):
    with Server(spinner, rest_api_port=-1, enable_batching=batching) as server:
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < SOON
