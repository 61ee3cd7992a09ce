"""Connections: a thread each, and a limit to the requests worked on at once.

A thread that waits for a client costs little, and one that has read a request answers
it without handing it to another: that is the quickest way there is.
"""

import contextlib
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from keras_attn.serving.server.rest.http_message import (
    HttpError,
    RequestHead,
    Response,
    html_error,
    read_body,
    read_head,
)

logger = logging.getLogger("keras_attn.serving")

Answer = Callable[[RequestHead, bytes], Response]

_MOST_CONNECTIONS = 4096
_PATIENCE = 50.0  # seconds that a client may take to send or fetch the next bytes
_FAREWELL = 0.5  # seconds that a client may stay silent after the last answer
_PIECE = 1 << 20  # bytes sent within that time


class Listener(socketserver.ThreadingTCPServer):
    """Accepts connections.

    Args:
        address: `(host, port)` to bind.
        answer: Answers a request; called in the threads of the connections.
        threads: How many requests are answered at once.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Answer, threads: int):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.answer = answer
        self.slots = threading.BoundedSemaphore(threads)
        self.is_closing = False
        self._changed = threading.Condition()
        self._connections: set[Connection] = set()
        super().__init__(address, Connection)

    def verify_request(self, request, client_address) -> bool:
        return len(self._connections) < _MOST_CONNECTIONS

    def handle_error(self, request, client_address) -> None:
        logger.exception("The REST connection of %s failed", client_address)

    def drain(self, grace: float) -> None:
        """Lets requests in flight end, hangs up on the clients that have none.

        Args:
            grace: Seconds after which the others are hung up on as well. What still
                works on their requests is waited for.
        """
        end = time.monotonic() + grace
        with self._changed:
            self.is_closing = True
            for connection in self._connections:
                if not connection.is_busy:
                    connection.hang_up()
            while self._connections and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            for connection in self._connections:
                connection.hang_up()
            self._changed.wait_for(lambda: not self._connections)

    def add(self, connection: "Connection") -> None:
        with self._changed:
            self._connections.add(connection)

    def discard(self, connection: "Connection") -> None:
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def begin(self, connection: "Connection") -> bool:
        """Marks a request as being in flight, unless the server is closing."""
        with self._changed:
            connection.is_busy = not self.is_closing
            return connection.is_busy

    def finish(self, connection: "Connection") -> bool:
        """Marks its request as answered; says whether another one may follow."""
        with self._changed:
            connection.is_busy = False
            return not self.is_closing


class Connection(socketserver.StreamRequestHandler):
    """One client: requests in, answers out, until one of the two has enough."""

    server: Listener
    timeout = _PATIENCE
    disable_nagle_algorithm = True
    is_busy = False

    def handle(self) -> None:
        self.server.add(self)
        try:
            with contextlib.suppress(OSError):  # it hung up, or ran out of patience
                while self._answer_one() and self.server.finish(self):
                    pass
        finally:
            self.server.discard(self)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer_one(self) -> bool:
        """Says whether another request may follow."""
        self.rfile.peek(1)  # type: ignore[attr-defined]  # idle until something comes
        if not self.server.begin(self):
            return False
        try:
            head = read_head(self.rfile)
            if head is None:
                return False
            if head.header("expect").lower() == "100-continue":
                self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = read_body(self.rfile, head)
        except HttpError as error:
            self._send(html_error(error.status), "", False)
            self._let_it_read()
            return False
        with self.server.slots:
            response = self._ask(head, body)
        keep_alive = (
            head.keep_alive and not response.close and not self.server.is_closing
        )
        self._send(response, head.method, keep_alive)
        return keep_alive

    def _ask(self, head: RequestHead, body: bytes) -> Response:
        try:
            return self.server.answer(head, body)
        except Exception:
            logger.exception("%s %s failed", head.method, head.target)
            return html_error(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _let_it_read(self) -> None:
        """Takes in what is still coming: hanging up on it would destroy the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_FAREWELL)
        left = _PIECE
        while left > 0 and (piece := self.connection.recv(min(left, 1 << 16))):
            left -= len(piece)

    def _send(self, response: Response, method: str, keep_alive: bool) -> None:
        head = response.encode_head(keep_alive)
        body = b"" if method == "HEAD" else response.body
        if len(body) < _PIECE:
            self.connection.sendall(head + body)
            return
        self.connection.sendall(head)
        view = memoryview(body)
        for start in range(0, len(view), _PIECE):
            self.connection.sendall(view[start : start + _PIECE])
