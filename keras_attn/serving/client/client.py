"""The client: NumPy in, NumPy out."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from keras_attn.serving.client.casting import to_inputs
from keras_attn.serving.client.errors import (
    BY_CODE,
    DeadlineExceededError,
    NotFoundError,
    ServingError,
    UnavailableError,
    UnknownError,
)
from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.messages import (
    DEFAULT_SIGNATURE,
    ModelMetadata,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    VersionStatus,
    decode_metadata_response,
    decode_status_response,
    encode_metadata_request,
    encode_status_request,
)

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between tries
_POLL = 0.1  # seconds between looks at a model that is still loading

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Client:
    """Asks one model of a server that speaks TF Serving's gRPC API.

    Names and types are checked against the server's own description of the model before
    anything is sent, and values are cast where nothing is lost. A request that finds no
    server is tried again with growing pauses, within its deadline. A client may be
    shared by threads.

    Args:
        address: `host:port` of the server.
        model: Name of the model.
        timeout: Seconds that a call may take in all; `None` for as long as it takes.
        retries: How often a call that finds no server is tried again.

    Example:

    ```python
    with Client("127.0.0.1:8500", model="dates", timeout=10.0) as client:
        answer = client.predict({"text": ["3 mai 1997"]})
    ```
    """

    def __init__(
        self,
        address: str,
        model: str = "default",
        timeout: float | None = 10.0,
        retries: int = 5,
    ):
        if timeout is not None and timeout <= 0:
            raise ValueError(f"`timeout` must be positive. Received: timeout={timeout}")
        if retries < 0:
            raise ValueError(f"`retries` must not be negative. Received: {retries}")
        self.address = address
        self.model = model
        self.timeout = timeout
        self.retries = retries
        self._metadata: dict[int | str | None, ModelMetadata] = {}
        self._channel = grpc.insecure_channel(address, options=_options(address))

    def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] = (),
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            inputs: Input names to arrays, or anything NumPy makes one of.
            signature_name: The signature.
            outputs: Names of the outputs to compute; all by default.
            version: The version to ask; by default the highest that serves.
            version_label: A version by its label.
            timeout: Seconds, instead of the client's.

        Returns:
            Output names to arrays. Strings come as `str` objects, or as `bytes` where
            they are not UTF-8.

        Raises:
            ValueError: Names or values do not fit the signature; nothing was sent.
            ServingError: One of its subclasses, by gRPC code.
        """
        deadline = _Deadline(self.timeout if timeout is None else timeout)
        spec = self._spec(version, version_label, signature_name)
        request = PredictRequest(
            spec, self._fit(inputs, spec, deadline), _names(outputs)
        )
        response = self._call(_PREDICT, request.encode(), deadline)
        answer = self._read(PredictResponse.decode, response)
        return {name: _to_user(array) for name, array in answer.outputs.items()}

    def metadata(
        self,
        *,
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        """The signatures of a version: names, dtypes and shapes of their tensors."""
        deadline = _Deadline(self.timeout if timeout is None else timeout)
        return self._fetch_metadata(self._spec(version, version_label), deadline)

    def status(
        self, *, version: int | None = None, timeout: float | None = None
    ) -> list[VersionStatus]:
        """The versions the server knows and their states, highest first."""
        deadline = _Deadline(self.timeout if timeout is None else timeout)
        request = encode_status_request(self._spec(version))
        response = self._call(_STATUS, request, deadline)
        statuses = self._read(decode_status_response, response)
        return sorted(statuses, key=lambda status: -status.version)

    def wait_until_available(
        self, timeout: float = 60.0, *, version: int | None = None
    ) -> int:
        """Waits for a server that does not run yet, or a model that still loads.

        Args:
            timeout: Seconds to wait.
            version: The version to wait for; by default any.

        Returns:
            The highest version that serves.

        Raises:
            DeadlineExceededError: It did not come; the text says what was last seen.
        """
        deadline = _Deadline(timeout)
        while True:
            try:
                statuses = self.status(version=version, timeout=deadline.left())
                ready = [s.version for s in statuses if s.state == "AVAILABLE"]
                if ready:
                    return ready[0]
                seen = ", ".join(
                    f"version {s.version} is {s.state} {s.error_message}".strip()
                    for s in statuses
                )
            except (NotFoundError, UnavailableError, DeadlineExceededError) as error:
                seen = error.details
            if deadline.left() <= _POLL:
                raise DeadlineExceededError(
                    f"Not available after {timeout:g} s: {seen}",
                    model=self.model,
                    address=self.address,
                )
            time.sleep(_POLL)

    def close(self) -> None:
        """Ends the connection; calls after it fail."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _spec(
        self,
        version: int | None,
        version_label: str | None = None,
        signature_name: str = "",
    ) -> ModelSpec:
        if version is not None and version_label is not None:
            raise ValueError(
                "Give `version` or `version_label`, not both. Received: "
                f"version={version}, version_label={version_label!r}"
            )
        return ModelSpec(self.model, version, version_label, signature_name)

    def _fit(
        self, inputs: Mapping[str, Any], spec: ModelSpec, deadline: "_Deadline"
    ) -> dict[str, np.ndarray]:
        """Casts `inputs`; a new version may have changed what was known of it."""
        key = spec.version if spec.version_label is None else spec.version_label
        known = self._metadata.get(key)
        if known is not None:
            try:
                return self._cast(inputs, spec, known)
            except ValueError:
                pass
        fresh = self._metadata[key] = self._fetch_metadata(spec, deadline)
        return self._cast(inputs, spec, fresh)

    def _cast(
        self, inputs: Mapping[str, Any], spec: ModelSpec, metadata: ModelMetadata
    ) -> dict[str, np.ndarray]:
        signature = metadata.signatures.get(spec.signature_name)
        if signature is None:
            raise ValueError(
                f"`signature_name` must be one of {sorted(metadata.signatures)}. "
                f"Received: signature_name={spec.signature_name!r}"
            )
        return to_inputs(inputs, signature)

    def _fetch_metadata(self, spec: ModelSpec, deadline: "_Deadline") -> ModelMetadata:
        request = encode_metadata_request(spec)
        return self._read(
            decode_metadata_response, self._call(_METADATA, request, deadline)
        )

    def _call(self, method: str, request: bytes, deadline: "_Deadline") -> bytes:
        call = self._channel.unary_unary(method)
        for attempt in range(self.retries + 1):
            try:
                return call(request, timeout=deadline.for_grpc())
            except grpc.RpcError as error:
                failure = self._failure(error)
            pause = _pause(attempt)
            last = attempt == self.retries or deadline.left() <= pause
            if last or not isinstance(failure, UnavailableError):
                break
            time.sleep(pause)
        raise failure from None

    def _failure(self, error: grpc.RpcError) -> ServingError:
        code, details = error.code().name, error.details() or ""
        if code == "UNAVAILABLE" and "connect" in details.lower():
            details = (
                f"No server answers at {self.address} ({details}). Start one with "
                "`keras-attn serve --model_name=NAME --model_base_path=PATH`."
            )
        kind = BY_CODE.get(code, UnknownError)
        return kind(details, model=self.model, address=self.address)

    def _read(self, decode: Callable[[bytes], Any], response: bytes) -> Any:
        try:
            return decode(response)
        except WireError as error:
            raise BY_CODE["DATA_LOSS"](
                f"The answer cannot be read: {error}",
                model=self.model,
                address=self.address,
            ) from error


class _Deadline:
    """A moment on the clock; without one, there is always time left."""

    def __init__(self, timeout: float | None):
        self._end = float("inf") if timeout is None else time.monotonic() + timeout

    def left(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self._end - time.monotonic())

    def for_grpc(self) -> float | None:
        return None if self._end == float("inf") else self.left()


def _pause(attempt: int) -> float:
    """Grows twofold from try to try, with jitter so that clients spread out."""
    pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
    return pause * random.uniform(0.5, 1.0)


def _names(outputs: Sequence[str]) -> list[str]:
    return [outputs] if isinstance(outputs, str) else list(outputs)


def _options(address: str) -> list[tuple[str, int]]:
    """A proxy of the environment is not for this machine's own addresses."""
    host = address.rpartition(":")[0].strip("[]")
    local = host in ("localhost", "::1") or host.startswith("127.")
    return [*_OPTIONS, ("grpc.enable_http_proxy", 0)] if local else _OPTIONS


def _to_user(array: np.ndarray) -> np.ndarray:
    """An array of the caller's own: numbers writeable, strings as text."""
    if array.dtype != object:
        return array if array.flags.writeable else array.copy()
    texts = np.empty(array.shape, object)
    for index, item in np.ndenumerate(array):
        texts[index] = _to_text(item)
    return texts


def _to_text(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item
