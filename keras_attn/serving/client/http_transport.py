"""Bytes over HTTP: blocking, and with asyncio by threads."""

import asyncio
import http.client
import json
import socket
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from keras_attn.serving.client.endpoint import Endpoint
from keras_attn.serving.client.exchange import Failure, Send
from keras_attn.serving.client.retry import Deadline
from keras_attn.serving.wire.status_codes import OF_HTTP

_CHUNK = 1 << 20  # bytes read before the deadline is looked at again
_THREADS = 64  # requests that an event loop may have under way at once


class HttpTransport:
    """Connections that are kept alive; threads may share it."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._host = urlsplit(endpoint.address).hostname or ""
        self._port = urlsplit(endpoint.address).port
        self._context = endpoint.tls.context() if endpoint.tls else None
        self._idle: deque[http.client.HTTPConnection] = deque()

    def send(self, step: Send) -> bytes | Failure:
        deadline = Deadline(step.timeout)
        while True:
            connection, is_new = self._connection()
            try:
                status, body = self._exchange(connection, step, deadline)
            except TimeoutError:
                connection.close()
                return Failure("DEADLINE_EXCEEDED", "Deadline Exceeded")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_new:
                    return Failure("UNAVAILABLE", f"{type(error).__name__}: {error}")
                continue  # a server may close what was idle: the next may be fresh
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return body if status == 200 else _failure(status, body)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        try:
            return self._idle.pop(), False
        except IndexError:
            pass
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port), True
        connection = http.client.HTTPSConnection(
            self._host, self._port, context=self._context
        )
        return connection, True

    def _exchange(
        self, connection: http.client.HTTPConnection, step: Send, deadline: Deadline
    ) -> tuple[int, bytes]:
        connection.timeout = _seconds(deadline)
        if connection.sock is None:
            connection.connect()
        sock = connection.sock
        sock.settimeout(_seconds(deadline))
        method = "GET" if step.body is None else "POST"
        headers = {"content-type": "application/json", **self._endpoint.headers()}
        connection.request(method, step.target, step.body, headers)
        sock.settimeout(_seconds(deadline))
        with connection.getresponse() as response:
            return response.status, _read(response, sock, deadline)


class AsyncHttpTransport:
    """The blocking transport, in threads of its own."""

    def __init__(self, endpoint: Endpoint):
        self._transport = HttpTransport(endpoint)
        self._threads = ThreadPoolExecutor(_THREADS, "keras-attn-http")

    async def send(self, step: Send) -> bytes | Failure:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transport.send, step)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._transport.close()


def _read(
    response: http.client.HTTPResponse, sock: socket.socket, deadline: Deadline
) -> bytes:
    chunks = []
    while True:
        sock.settimeout(_seconds(deadline))
        chunk = response.read1(_CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
    body = b"".join(chunks)
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return body


def _seconds(deadline: Deadline) -> float | None:
    """What a socket may take; zero would mean that it must not wait at all.

    Raises:
        TimeoutError: Nothing is left.
    """
    seconds = deadline.timeout()
    if seconds == 0:
        raise TimeoutError
    return seconds


def _failure(status: int, body: bytes) -> Failure:
    try:
        details = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        details = f"HTTP {status}: {body[:200].decode(errors='replace')}"
    return Failure(OF_HTTP.get(status, "UNKNOWN"), str(details))
