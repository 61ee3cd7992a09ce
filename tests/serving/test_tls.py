"""Encrypted gRPC, and its UNIX socket."""

import grpc
import pytest

from keras_attn.serving import Server
from keras_attn.serving.server.status import StatusError
from keras_attn.serving.server.textproto import SSL_CONFIG
from keras_attn.serving.server.tls import server_credentials
from tests.serving.certificates import make_certificates, needs_openssl
from tests.serving.conftest import free_port

STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
REQUEST = b"\x0a\x09\x0a\x07toolbox"  # a model_spec with that name
HANG_UP = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Reads `NAME.key` and `NAME.crt` of `ca`, `server` and `client`."""
    folder = make_certificates(tmp_path_factory.mktemp("certificates"))
    return lambda name: (folder / name).read_bytes()


@pytest.fixture
def ssl_config(tmp_path, pem):
    def write(**more):
        text = str(
            SSL_CONFIG(
                server_key=pem("server.key").decode(),
                server_cert=pem("server.crt").decode(),
                **more,
            )
        )
        file = tmp_path / "ssl.config"
        file.write_text(text)
        return str(file)

    return write


def ask(address, credentials=None):
    """The state of the model's version, or the code of the error."""
    with (
        grpc.secure_channel(address, credentials, HANG_UP)
        if credentials
        else grpc.insecure_channel(address, HANG_UP)
    ) as channel:
        try:
            return channel.unary_unary(STATUS)(REQUEST, timeout=20)
        except grpc.RpcError as error:
            return error.code()


@needs_openssl
def test_port_and_socket_are_encrypted(toolbox, tmp_path, ssl_config, pem):
    socket = tmp_path / "socket"
    trusting = grpc.ssl_channel_credentials(pem("ca.crt"))
    flags = {"ssl_config_file": ssl_config(), "grpc_socket_path": str(socket)}
    with Server(toolbox, port=free_port(), **flags) as server:
        assert b"\x08\x03\x10\x1e" in ask(server.address, trusting)
        assert ask(server.address) == grpc.StatusCode.UNAVAILABLE
        assert ask(f"unix:{socket}") == grpc.StatusCode.UNAVAILABLE
        named = [*HANG_UP, ("grpc.ssl_target_name_override", "127.0.0.1")]
        with grpc.secure_channel(f"unix:{socket}", trusting, named) as channel:
            assert channel.unary_unary(STATUS)(REQUEST, timeout=20)


@needs_openssl
def test_clients_must_show_a_certificate(toolbox, ssl_config, pem):
    file = ssl_config(client_verify=True, custom_ca=pem("ca.crt").decode())
    stranger = grpc.ssl_channel_credentials(pem("ca.crt"))
    known = grpc.ssl_channel_credentials(
        pem("ca.crt"), pem("client.key"), pem("client.crt")
    )
    with Server(toolbox, ssl_config_file=file) as server:
        assert ask(server.address, stranger) == grpc.StatusCode.UNAVAILABLE
        assert b"\x08\x03\x10\x1e" in ask(server.address, known)


def test_no_file_means_no_encryption():
    assert server_credentials("") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "INVALID_ARGUMENT: Invalid protobuf file: "),
        ('server_key: "k"', "has no server_cert"),
        (
            'server_key: "k" server_cert: "c" client_verify: true',
            "has no custom_ca",
        ),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path, toolbox, text, problem):
    file = tmp_path / "ssl.config"
    file.write_text(text)
    with pytest.raises(StatusError, match=problem):
        Server(toolbox, ssl_config_file=str(file)).start()


@needs_openssl
def test_a_key_of_another_certificate_stops_the_start(toolbox, tmp_path, pem):
    file = tmp_path / "ssl.config"
    config = SSL_CONFIG(
        server_key=pem("client.key").decode(), server_cert=pem("server.crt").decode()
    )
    file.write_text(str(config))
    with pytest.raises(OSError, match="Could not bind"):
        Server(toolbox, ssl_config_file=str(file)).start()


def test_a_socket_alone(toolbox, tmp_path):
    path = tmp_path / "socket"
    with Server(toolbox, grpc_socket_path=str(path)) as server:
        assert server.address == f"unix:{path}"
        assert b"\x08\x03\x10\x1e" in ask(server.address)
