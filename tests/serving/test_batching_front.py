"""The two gRPC servers: in threads, and in an event loop."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from keras_attn.serving.server.front import ThreadFront
from keras_attn.serving.server.grpc_method import with_errors_as_status
from keras_attn.serving.server.loop_front import LoopFront
from keras_attn.serving.server.status import StatusError, invalid_argument

THREADS = 2


class Service:
    """Methods `/test.Service/Wait` and `Fail`; keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def wait(self, message, context):
        self.asked.append(message)
        assert self.gate.wait(30)
        return message * 2

    def fail(self, message, context):
        raise invalid_argument("x" * len(message))

    def handlers(self):
        methods = {"Wait": self.wait, "Fail": self.fail}
        return [
            grpc.method_handlers_generic_handler(
                "test.Service",
                {
                    name: grpc.unary_unary_rpc_method_handler(
                        with_errors_as_status(name, method)
                    )
                    for name, method in methods.items()
                },
            )
        ]


@pytest.fixture
def service():
    service = Service()
    yield service
    service.gate.set()


@pytest.fixture(params=[ThreadFront, LoopFront])
def front(request, service):
    front = request.param(service.handlers(), THREADS)
    yield front
    service.gate.set()
    front.stop(5)


@pytest.fixture
def call(front):
    """Calls a method of the service, over one channel."""
    port = front.bind("127.0.0.1:0")
    front.start()
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield lambda name, message, timeout=30: channel.unary_unary(
            f"/test.Service/{name}"
        ).future(message, timeout=timeout)


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def test_many_clients_on_few_threads(call, service):
    messages = [str(number).encode() for number in range(640)]
    with ThreadPoolExecutor(64) as clients:
        answers = clients.map(lambda message: call("Wait", message).result(), messages)
        assert list(answers) == [message * 2 for message in messages]
    assert sorted(service.asked) == sorted(messages)


def test_errors_have_a_code_and_a_text(call):
    error = call("Fail", b"abc").exception()
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "xxx",
    )
    error = call("Fail", b"a" * 5000).exception()
    assert error.details() == "x" * 1024 + "...TRUNCATED"
    missing = call("Missing", b"").exception()
    assert missing.code() == grpc.StatusCode.UNIMPLEMENTED


def test_who_hangs_up_while_waiting_is_not_served(call, service):
    service.gate.clear()
    running = [call("Wait", b"running") for _ in range(THREADS)]
    wait_until(lambda: len(service.asked) == THREADS)
    gone, late = call("Wait", b"gone"), call("Wait", b"late", 0.2)
    stays = call("Wait", b"stays")
    assert late.exception().code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert gone.cancel()
    time.sleep(0.1)  # for the server to hear of it
    service.gate.set()
    assert stays.result() == b"staysstays"
    assert [call.result() for call in running] == [b"runningrunning"] * THREADS
    assert service.asked == [b"running", b"running", b"stays"]


def test_stopping_waits_for_what_runs(front, call, service):
    service.gate.clear()
    running = call("Wait", b"a")
    wait_until(lambda: service.asked)
    stopping = threading.Thread(target=front.stop, args=[30])
    stopping.start()

    def refused():
        error = call("Wait", b"b", 0.1).exception()
        return error.code() == grpc.StatusCode.UNAVAILABLE

    wait_until(refused)
    assert stopping.is_alive()
    service.gate.set()
    assert running.result() == b"aa"
    stopping.join(30)
    assert not stopping.is_alive()


def test_an_address_that_is_taken(front, call, service):
    other = ThreadFront(service.handlers(), 1)
    port = other.bind("127.0.0.1:0")
    with pytest.raises(OSError, match=f"Could not bind 127.0.0.1:{port}"):
        front.bind(f"127.0.0.1:{port}")
    other.stop(0)


def test_arguments_go_over_ours(service):
    front = LoopFront(service.handlers(), 1, [("grpc.max_receive_message_length", 10)])
    port = front.bind("127.0.0.1:0")
    front.start()
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        method = channel.unary_unary("/test.Service/Wait")
        assert method(b"short", timeout=30) == b"shortshort"
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            method(b"too long for it", timeout=30)
    front.stop(0)


def test_a_coroutine_takes_the_place_of_a_method(service):
    """Hundreds may wait, on one thread; who hangs up ends the coroutine."""
    waiting, ended = [], []
    gate = asyncio.Event()

    async def wait(message, context):
        waiting.append(message)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            ended.append(message)
            raise
        if message == b"wrong":
            raise StatusError(grpc.StatusCode.DATA_LOSS, "lost")
        return b"from the loop"

    front = LoopFront(service.handlers(), 1, methods={"/test.Service/Wait": wait})
    port = front.bind("127.0.0.1:0")
    front.start()
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        method = channel.unary_unary("/test.Service/Wait")
        calls = [method.future(b"right", timeout=30) for _ in range(300)]
        gone, wrong = method.future(b"gone"), method.future(b"wrong", timeout=30)
        wait_until(lambda: len(waiting) == 302)
        gone.cancel()
        wait_until(lambda: ended == [b"gone"])
        front._loop.call_soon_threadsafe(gate.set)
        assert {call.result() for call in calls} == {b"from the loop"}
        assert wrong.exception().code() == grpc.StatusCode.DATA_LOSS
    front.stop(5)
    assert not service.asked
