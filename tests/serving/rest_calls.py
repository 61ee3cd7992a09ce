"""Requests over HTTP, by the standard library's client."""

import http.client
import json
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        document = self.json
        assert list(document) == ["error"]
        assert self.body == b'{\n    "error": %b\n}' % json.dumps(
            document["error"], ensure_ascii=False
        ).encode("utf-8", "surrogateescape")
        return document["error"]


def ask(address, method, path, body=None, headers=(), timeout=30):
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        return ask_again(connection, method, path, body, headers)
    finally:
        connection.close()


def ask_again(connection, method, path, body=None, headers=()):
    """One more request on a connection that stays open."""
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    return Answer(response.status, dict(response.headers), response.read())


def predict(address, document, model="rest", **options):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return ask(address, "POST", f"/v1/models/{model}:predict", body, **options)
