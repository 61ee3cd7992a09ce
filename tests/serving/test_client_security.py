"""Who may read along, and who is let in."""

import ssl

import grpc
import numpy as np
import pytest

from keras_attn.serving import (
    Client,
    NotFoundError,
    Server,
    Tls,
    UnauthenticatedError,
    UnavailableError,
)
from tests.serving.certificates import make_certificates, needs_openssl
from tests.serving.fronts import GrpcFront, http_server, respond

ZEROS = {"x": np.zeros((1, 3))}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def server_credentials(certificates, ask_client):
    key, chain, ca = (
        (certificates / name).read_bytes()
        for name in ("server.key", "server.crt", "ca.crt")
    )
    return grpc.ssl_server_credentials([(key, chain)], ca, ask_client)


def client_tls(certificates, **more):
    return Tls(root_certificates=certificates / "ca.crt", **more)


@needs_openssl
def test_grpc_is_encrypted(embedded_address, certificates):
    credentials = server_credentials(certificates, ask_client=False)
    with GrpcFront(embedded_address).run(credentials) as address:
        tls = client_tls(certificates)
        with Client(address, "toolbox", tls=tls, token="secret") as client:
            assert client.predict(ZEROS)["total"] == 0
        with Client(address, "toolbox", retries=0) as plain:
            with pytest.raises(UnavailableError):
                plain.status()
        with Client(address, "toolbox", retries=0, tls=Tls()) as stranger:
            with pytest.raises(UnavailableError, match=r"[Hh]andshake") as caught:
                stranger.status()
            assert "Start one with" not in str(caught.value)


@needs_openssl
def test_a_client_shows_its_certificate(embedded_address, certificates):
    credentials = server_credentials(certificates, ask_client=True)
    own = {
        "private_key": certificates / "client.key",
        "certificate_chain": certificates / "client.crt",
    }
    with GrpcFront(embedded_address).run(credentials) as address:
        known, unknown = client_tls(certificates, **own), client_tls(certificates)
        with Client(address, "toolbox", tls=known) as client:
            assert client.status()[0].state == "AVAILABLE"
        with Client(address, "toolbox", tls=unknown, retries=0) as client:
            with pytest.raises(UnavailableError):
                client.status()


@needs_openssl
def test_https(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    own = {
        "private_key": certificates / "client.key",
        "certificate_chain": certificates / "client.crt",
    }
    tls = client_tls(certificates, **own)

    def answer(handler):
        name = dict(handler.connection.getpeercert()["subject"][0])["commonName"]
        respond(handler, 404, b'{"error": "%s asked"}' % name.encode())

    with http_server(answer, context) as url:
        with (
            Client(url, tls=tls) as client,
            pytest.raises(NotFoundError, match="client asked"),
        ):
            client.status()
        with (
            Client(url, retries=0) as stranger,
            pytest.raises(UnavailableError, match="certificate verify failed"),
        ):
            stranger.status()


def test_tokens_and_headers_go_with_every_grpc_request(embedded_address):
    tokens = iter(["first", "second"])
    front = GrpcFront(embedded_address)
    with (
        front.run() as address,
        Client(
            address, "toolbox", token=lambda: next(tokens), headers={"X-Team": "blue"}
        ) as client,
    ):
        client.predict(ZEROS)
    sent = [(got["authorization"], got["x-team"]) for got in front.headers]
    assert sent == [("Bearer first", "blue"), ("Bearer second", "blue")]


def test_headers_go_without_a_token_too(embedded_address):
    front = GrpcFront(embedded_address)
    headers = {"Authorization": "Basic abc"}
    with front.run() as address, Client(address, "toolbox", headers=headers) as client:
        client.status()
    assert front.headers[0]["authorization"] == "Basic abc"


def test_tokens_and_headers_go_with_every_http_request():
    def answer(handler):
        said = [handler.headers[name] for name in ("authorization", "x-team")]
        respond(handler, 401, b'{"error": "%s"}' % " ".join(said).encode())

    with (
        http_server(answer) as url,
        Client(url, token="t", headers={"X-Team": "blue"}) as client,
        pytest.raises(UnauthenticatedError, match="Bearer t blue"),
    ):
        client.status()


@pytest.mark.parametrize("address", ["models.example:8500", "http://models.example"])
def test_a_token_does_not_cross_the_network_in_the_clear(address):
    with pytest.raises(ValueError, match="`token` would cross the network"):
        Client(address, token="secret")


@pytest.mark.parametrize(
    "address",
    [
        *("localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/tmp/x", "dns:///localhost:1"),
        *("http://localhost:1/x", "http://[::1]", "https://models.example"),
    ],
)
def test_a_token_may_stay_here_or_be_encrypted(address):
    Client(address, token="secret").close()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Client("http://127.0.0.1:1", tls=Tls()), "TLS needs https"),
        (lambda: Client("http://"), "names no host"),
        (lambda: Tls(private_key="key.pem"), "belong together"),
    ],
)
def test_what_does_not_go_together(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_missing_file_is_told():
    with pytest.raises(FileNotFoundError, match=r"nope\.pem"):
        Client("127.0.0.1:1", tls=Tls(root_certificates="nope.pem"))


def test_unix_sockets(toolbox, tmp_path):
    path = tmp_path / "socket"
    with (
        Server(toolbox, grpc_socket_path=str(path)),
        Client(f"unix:{path}", "toolbox") as client,
    ):
        assert client.predict(ZEROS)["total"] == 0
