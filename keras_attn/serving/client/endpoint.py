"""Where a server is and how it is reached."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from keras_attn.serving.client.tls import Tls

Token = str | Callable[[], str]


class Endpoint:
    """An address with what is needed to be let in.

    Args:
        address: `http://...` and `https://...` are REST, anything else is gRPC:
            `host:port`, `unix:path`, or another name that gRPC resolves.
        tls: Encrypts gRPC, or says whom `https` trusts.
        token: A bearer token, or a function that is asked for one before each request.
        headers: Sent with each request, as gRPC metadata or HTTP headers.

    Raises:
        ValueError: TLS over `http`, or a token that anyone on the way could read.
    """

    def __init__(
        self,
        address: str,
        tls: Tls | None = None,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        scheme, _, rest = address.partition("://")
        self.is_rest = scheme in ("http", "https")
        if self.is_rest and not rest.strip("/"):
            raise ValueError(f"`address` names no host. Received: address={address!r}")
        if scheme == "http" and tls is not None:
            raise ValueError(f"TLS needs https. Received: address={address!r}")
        self.address = address
        self.tls = Tls() if scheme == "https" and tls is None else tls
        self._token = token
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        if token is not None and self.tls is None and not self.is_local:
            raise ValueError(
                "`token` would cross the network in the clear; give `tls` as well, or "
                "put it into `headers` where something else encrypts the connection. "
                f"Received: address={address!r}"
            )

    @property
    def prefix(self) -> str:
        """The path of a REST address, which may be a gateway's."""
        return urlsplit(self.address).path.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        if self.address.startswith("unix:"):
            return True
        place = self.address.partition("://")[2] or self.address
        place = place.lstrip("/").partition("/")[0]
        host, separator, port = place.rpartition(":")
        host = (host if separator and port.isdecimal() else place).strip("[]")
        return host in ("localhost", "::1") or host.startswith("127.")

    def headers(self) -> dict[str, str]:
        """What goes with the next request."""
        if self._token is None:
            return self._headers
        token = self._token if isinstance(self._token, str) else self._token()
        return {**self._headers, "authorization": f"Bearer {token}"}
