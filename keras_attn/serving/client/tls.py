"""Whom the client trusts and who it says it is."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Tls:
    """An encrypted connection.

    Args:
        root_certificates: PEM file of the authorities to trust; by default those that
            gRPC, or Python for `https`, knows.
        private_key: PEM file of the client's key, for servers that ask for one.
        certificate_chain: PEM file of the client's certificate.

    Raises:
        ValueError: A key came without a certificate, or a certificate without a key.

    Example:

    ```python
    tls = Tls(root_certificates="ca.pem")
    client = Client("models.example.org:8500", model="dates", tls=tls)
    ```
    """

    root_certificates: _Path | None = None
    private_key: _Path | None = None
    certificate_chain: _Path | None = None

    def __post_init__(self):
        if (self.private_key is None) != (self.certificate_chain is None):
            raise ValueError(
                "`private_key` and `certificate_chain` belong together. Received: "
                f"private_key={self.private_key!r}, "
                f"certificate_chain={self.certificate_chain!r}"
            )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(
            _read(self.root_certificates),
            _read(self.private_key),
            _read(self.certificate_chain),
        )

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.root_certificates)
        if self.certificate_chain is not None:
            context.load_cert_chain(self.certificate_chain, self.private_key)
        return context


def _read(path: _Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
