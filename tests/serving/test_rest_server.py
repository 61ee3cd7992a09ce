"""The REST port itself: connections, limits, clients that misbehave."""

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_attn.serving import Server
from keras_attn.serving.server.rest.http_message import Response
from keras_attn.serving.server.rest.listener import Listener
from tests.serving.rest_calls import ask, ask_again, predict
from tests.serving.rest_model import save_rest_model
from tests.serving.waiting import wait_for

PATH = "/v1/models/rest:predict"
BODY = b'{"instances": [1]}'
ANSWER = {"predictions": [2.0]}
LONG = {"signature_name": "count", "inputs": 2**30}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = tmp_path_factory.mktemp("rest") / "rest"
    save_rest_model(base / "2")
    return base


@contextlib.contextmanager
def running(model, **flags):
    with Server(model, rest_api_port=-1, **flags) as server:
        yield server


@pytest.fixture(scope="module")
def server(model):
    with running(model, rest_api_timeout_in_ms=2000) as server:
        yield server.rest_address


@contextlib.contextmanager
def raw_connection(address):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def request(body=BODY, first=f"POST {PATH} HTTP/1.1", headers=()):
    lines = [first, f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def read_all(connection):
    connection.settimeout(30)
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def exchange(address, sent):
    """Sends bytes and closes that half; gives all that comes back."""
    with raw_connection(address) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def is_alive(address):
    return predict(address, BODY).json == ANSWER


def test_a_connection_serves_many_requests(server):
    connection = http.client.HTTPConnection(server, timeout=30)
    connection.connect()
    first = connection.sock
    for body in (BODY, b"nonsense", BODY, b"", BODY):
        answer = ask_again(connection, "POST", PATH, body)
        assert answer.headers["Connection"] == "keep-alive"
        assert answer.status == (200 if body == BODY else 400)
    assert connection.sock is first
    connection.close()


def test_requests_may_be_sent_ahead(server):
    last = request(headers=["Connection: close"])
    answers = exchange(server, request() + request(b"x") + b"\r\n" + last)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")] == [
        b"",
        b"200",
        b"400",
        b"200",
    ]


def test_sixty_four_clients_that_stay(server):
    failures = []

    def client():
        connection = http.client.HTTPConnection(server, timeout=60)
        for number in range(5):
            body = json.dumps({"instances": [number]})
            answer = ask_again(connection, "POST", PATH, body)
            if answer.json != {"predictions": [2.0 * number]}:
                failures.append(answer)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_clients_that_hang_hold_nobody_up(server):
    with contextlib.ExitStack() as hanging:
        for beginning in (b"", b"POST ", request()[:-5], b"GET /v1/models/rest HT"):
            for _ in range(20):
                connection = hanging.enter_context(raw_connection(server))
                connection.sendall(beginning)
        assert is_alive(server)


def test_chunked_bodies(server):
    head = f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    head += "Connection: close\r\n\r\n"
    chunks = b'5;x=1\r\n{"ins\r\nD\r\ntances": [1]}\r\n0\r\nTrailer: x\r\n\r\n'
    assert exchange(server, head.encode() + chunks).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_asks_before_it_sends(server):
    with raw_connection(server) as connection:
        sent = request(headers=["Expect: 100-continue", "Connection: close"])
        connection.sendall(sent[: -len(BODY)])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_how_long_a_connection_stays(server, version, header, stays):
    sent = request(first=f"POST {PATH} HTTP/{version}", headers=[header])
    answers = exchange(server, sent + sent)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == (2 if stays else 1)


def test_head_has_no_body(server):
    answer = exchange(server, b"HEAD /v1/models/rest HTTP/1.1\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body == b""


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_are_unknown(server, method):
    answer = exchange(server, f"{method} /v1/models/rest HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 501 Not Implemented\r\n")


def test_a_header_of_blanks_costs_no_time(server):
    header = f"x: a{' ' * 500_000}b"
    start = time.monotonic()
    answer = exchange(server, request(headers=[header, "Connection: \t close \t "]))
    assert time.monotonic() - start < 5
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50 + b"\n",  # TLS
        b"GET /v1/models/rest HTTP/2.0\r\n\r\n",
        b"GET /v1/models/a b HTTP/1.1\r\n\r\n",
        b"GET /v1/models/%zz HTTP/1.1\r\n\r\n",
        b"GET /v1/models/\xff HTTP/1.1\r\n\r\n",
        b"GET /v1/models/rest HTTP/1.1\r\nno colon\r\n\r\n",
        request(headers=["Content-Length: 7"]),
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        request(b"0\r\n\r\n", headers=["Transfer-Encoding: chunked"]),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"GET /" + b"a" * (2 << 20) + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
    ],
)
def test_what_is_no_http(server, sent):
    answer = exchange(server, sent)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close\r\n" in answer
    assert is_alive(server)


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_bytes_end_the_server(server, sent, with_head):
    answer = exchange(server, request(sent) if with_head else sent)
    assert b"HTTP/1.1 500" not in answer
    assert is_alive(server)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "x", "b64", "z"]), values)
    ),
    max_leaves=15,
)
SIGNATURES = ["serving_default", "echo", "wide", "pair", "raw", "integers", "invert"]


@given(
    st.fixed_dictionaries(
        {"signature_name": st.sampled_from(SIGNATURES) | VALUES},
        optional={"instances": VALUES, "inputs": VALUES},
    )
    | VALUES
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_no_document_ends_the_server(server, document):
    answer = predict(server, json.dumps(document).encode())
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert "Traceback" not in answer.error
    assert is_alive(server)


@given(VALUES, st.sampled_from(["context", "examples"]), st.sampled_from("xyz"))
@settings(deadline=None, max_examples=50)
def test_no_example_ends_the_server(server, value, key, feature):
    document = {"examples": [{feature: value}], key: value}
    for verb in ("classify", "regress"):
        path = f"/v1/models/rest:{verb}"
        answer = ask(server, "POST", path, json.dumps(document))
        assert answer.status == 400
        assert "Traceback" not in answer.error


def test_gzip_that_is_broken_or_cut_or_too_large_is_an_empty_document(server):
    headers = {"Content-Encoding": "gzip"}
    whole = gzip.compress(BODY)
    bomb = gzip.compress(b'{"instances": [1]' + b" " * (100 << 20) + b"}", 1)
    for body in (BODY, whole[:-9], bomb):
        answer = predict(server, body, headers=headers)
        assert answer.status == 400
        assert answer.error == "JSON Parse error: The document is empty"


def test_names_that_are_not_utf_8(server):
    assert ask(server, "GET", "/v1/models/%FF").status == 404
    assert ask(server, "POST", "/v1/models/%FF:predict", BODY).status == 404
    for document in (b'{"signature_name": "\xff", %b}', b'{"\xff": {}, %b}'):
        for verb in ("predict", "classify", "regress"):
            body = document % b'"examples": [{"\xff": [1]}], "instances": ["\xff"]'
            path = f"/v1/models/rest:{verb}"
            assert ask(server, "POST", path, body).status == 400


def test_a_body_of_100_megabytes(server):
    x = np.arange(2_000_000, dtype="float32").reshape(2000, 1000) / 7
    rows = orjson.dumps(x, option=orjson.OPT_SERIALIZE_NUMPY)
    body = b'{"signature_name": "total", "inputs": %b, "pad": "%b"}'
    body %= rows, b" " * (100_000_000 - len(rows))
    answers, waits, done = [], [], threading.Event()

    def ask_meanwhile():
        while not done.is_set():
            start = time.perf_counter()
            is_alive(server)
            waits.append(time.perf_counter() - start)

    thread = threading.Thread(target=ask_meanwhile)
    thread.start()
    try:
        answers.append(predict(server, body, timeout=120))
    finally:
        done.set()
        thread.join()
    assert answers[0].status == 200
    np.testing.assert_allclose(answers[0].json["outputs"], x.sum(axis=0), rtol=1e-4)
    assert len(waits) > 10  # others were answered while it was


def test_a_request_that_takes_too_long(server):
    start = time.monotonic()
    answer = predict(server, LONG)
    assert answer.status == 504
    assert answer.error
    assert 1.5 < time.monotonic() - start < 20


def test_cross_origin_headers_on_demand(model):
    with running(model, rest_api_enable_cors_support=True) as server:
        address = server.rest_address
        preflight = ask(address, "OPTIONS", PATH, headers={"Origin": "http://a"})
        for answer in (predict(address, BODY), predict(address, b""), preflight):
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Access-Control-Allow-Methods"] == "POST, GET"
            assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
        assert ask(address, "GET", "/monitoring/prometheus/metrics").status == 404


def test_as_many_requests_at_once_as_there_are_threads(model):
    flags = {"rest_api_num_threads": 1, "rest_api_timeout_in_ms": 1500}
    with running(model, **flags) as server:
        address = server.rest_address
        slow = threading.Thread(target=predict, args=[address, LONG])
        slow.start()
        time.sleep(0.5)
        start = time.monotonic()
        assert is_alive(address)
        assert time.monotonic() - start > 0.5
        slow.join()


def test_stopping_lets_requests_end_and_hangs_up_on_idle_clients(model):
    with running(model, rest_api_timeout_in_ms=2000) as server:
        address = server.rest_address
        idle = http.client.HTTPConnection(address, timeout=30)
        ask_again(idle, "POST", PATH, BODY)
        answers = []
        slow = threading.Thread(target=lambda: answers.append(predict(address, LONG)))
        slow.start()
        time.sleep(0.5)
        start = time.monotonic()
        server.stop(grace=20)
        assert time.monotonic() - start < 15
        slow.join()
        assert answers[0].status == 504
        assert answers[0].headers["Connection"] == "close"
        assert idle.sock.recv(1) == b""
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            predict(address, BODY)
        with pytest.raises(RuntimeError, match="no REST API"):
            print(server.rest_address)


@contextlib.contextmanager
def asked(answer):
    """A listener that takes no more connections, and the one that it is answering."""
    begun = threading.Event()

    def begin(head, body):
        begun.set()
        return answer()

    listener = Listener(("127.0.0.1", 0), begin, 1)
    accepting = threading.Thread(target=listener.serve_forever, args=[0.01])
    accepting.start()
    host, port = listener.server_address
    with raw_connection(f"{host}:{port}") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert begun.wait(30)
        listener.shutdown()
        accepting.join()
        listener.server_close()
        yield listener, connection


def test_stopping_hangs_up_on_a_client_that_does_not_read():
    body = bytes(50 << 20)  # more than lies in buffers until it does
    with asked(lambda: Response(200, body)) as (listener, _):
        start = time.monotonic()
        listener.drain(0.3)
        assert 0.3 <= time.monotonic() - start < 5


def test_stopping_waits_for_what_works_on_a_request_after_hanging_up():
    done = threading.Event()

    def answer():
        time.sleep(1.0)
        done.set()
        return Response(200)

    with asked(answer) as (listener, connection):
        listener.drain(0.1)
        assert done.is_set()
        assert not read_all(connection)


def test_a_client_still_served_when_stopping_begins_is_hung_up_on_afterwards():
    body = bytes(20 << 20)  # so much that sending it waits for the client
    with asked(lambda: Response(200, body)) as (listener, connection):
        connection.recv(1)  # the answer is on its way, and promises to stay
        draining = threading.Thread(target=listener.drain, args=[30])
        draining.start()
        wait_for(lambda: listener.is_closing)
        start = time.monotonic()
        assert len(read_all(connection)) > len(body)
        draining.join()
    assert time.monotonic() - start < 10


def test_a_port_in_use(model, server):
    port = int(server.rpartition(":")[2])
    with pytest.raises(OSError, match=r"Could not bind 127\.0\.0\.1"):
        Server(model, rest_api_port=port).start()
