"""What the blocking and the awaiting client share: all but the waiting."""

from collections.abc import Mapping

from keras_attn.serving.client.core import Core
from keras_attn.serving.client.endpoint import Endpoint, Token
from keras_attn.serving.client.exchange import Calls
from keras_attn.serving.client.grpc_calls import GrpcCalls
from keras_attn.serving.client.requirements import requirements
from keras_attn.serving.client.tls import Tls


class BaseClient:
    """Holds the settings of a client and its logic."""

    def __init__(
        self,
        address: str,
        model: str = "default",
        timeout: float | None = 10.0,
        retries: int = 5,
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        if timeout is not None and timeout <= 0:
            raise ValueError(f"`timeout` must be positive. Received: timeout={timeout}")
        if retries < 0:
            raise ValueError(f"`retries` must not be negative. Received: {retries}")
        self.address = address
        self.model = model
        self.timeout = timeout
        self.retries = retries
        self._closed = False
        self._endpoint = Endpoint(address, tls, token, headers)
        self._core = Core(_calls(self._endpoint), address, model, timeout, retries)
        self._connect()

    def _connect(self) -> None:
        """Opens what needs no event loop."""

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("The client is closed.")


def _calls(endpoint: Endpoint) -> Calls:
    if not endpoint.is_rest:
        return GrpcCalls()
    with requirements():
        from keras_attn.serving.client.rest_calls import RestCalls

    return RestCalls(endpoint.prefix)
