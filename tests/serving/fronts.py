"""Servers to put before a server: they pass requests on, and may do worse."""

import contextlib
import http.server
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

LOCAL = [("grpc.enable_http_proxy", 0)]


class GrpcFront(grpc.GenericRpcHandler):
    """Passes bytes on, and remembers what came along with them.

    Args:
        target: The server behind.
        refuse: How many requests are first answered with UNAVAILABLE.
        delay: Seconds that each request is held back.
    """

    def __init__(self, target, refuse=0, delay=0.0):
        self._channel = grpc.insecure_channel(target, LOCAL)
        self._refuse = refuse
        self._delay = delay
        self._lock = threading.Lock()
        self._running = 0
        self.most_at_once = 0
        self.headers = []

    def service(self, call):
        self.headers.append(dict(call.invocation_metadata))
        behind = self._channel.unary_unary(call.method)

        def pass_on(message, context):
            with self._count():
                if len(self.headers) <= self._refuse:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
                time.sleep(self._delay)
                try:
                    return behind(message, timeout=30)
                except grpc.RpcError as error:
                    context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(pass_on)

    @contextlib.contextmanager
    def _count(self):
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    @contextlib.contextmanager
    def run(self, credentials=None):
        """Yields the front's address."""
        server = grpc.server(ThreadPoolExecutor(32), [self], options=LOCAL)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
            self._channel.close()


@contextlib.contextmanager
def http_server(answer, context=None):
    """Yields the URL of a server where `answer(handler)` answers every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):  # the name that http.server looks for
            self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer(self)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def respond(handler, status, body, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
