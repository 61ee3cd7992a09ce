"""Keys and certificates of the gRPC API."""

import grpc

from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.server.textproto import SSL_CONFIG, read


def server_credentials(ssl_config_file: str) -> grpc.ServerCredentials | None:
    """What the gRPC API proves itself with; `None` where it speaks in the clear.

    Raises:
        StatusError: The file is no `SSLConfig` with a key and a certificate.
    """
    if not ssl_config_file:
        return None
    config = read(ssl_config_file, SSL_CONFIG)
    needed = ["server_key", "server_cert"]
    if config.client_verify:
        needed.append("custom_ca")
    for name in needed:
        if not getattr(config, name):
            raise invalid_argument(f"'{ssl_config_file}' has no {name}.")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
