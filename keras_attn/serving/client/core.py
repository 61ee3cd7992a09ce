"""What a client does, but for sending and waiting: see `exchange`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from keras_attn.serving.client.casting import to_example, to_examples, to_inputs
from keras_attn.serving.client.errors import (
    BY_CODE,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    ServingError,
    UnavailableError,
    UnknownError,
)
from keras_attn.serving.client.exchange import (
    Calls,
    Exchange,
    Failure,
    Flow,
    Pause,
    Send,
)
from keras_attn.serving.client.results import to_user
from keras_attn.serving.client.retry import Deadline, pause
from keras_attn.serving.wire import WireError
from keras_attn.serving.wire.examples import Classes
from keras_attn.serving.wire.management import ModelConfig, VersionStatus
from keras_attn.serving.wire.messages import DEFAULT_SIGNATURE, ModelSpec
from keras_attn.serving.wire.metadata import ModelMetadata, Signature

Answer = TypeVar("Answer")

_POLL = 0.1  # seconds between looks at a model that is still loading


class Core:
    """The calls of a client, as flows.

    Args:
        calls: The API, gRPC or REST.
        address: Where the server is, for error texts.
        model: Name of the model.
        timeout: Seconds that a call may take in all; `None` for as long as it takes.
        retries: How often a call that finds no server is tried again.
    """

    def __init__(
        self,
        calls: Calls,
        address: str,
        model: str,
        timeout: float | None,
        retries: int,
    ):
        self._calls = calls
        self._address = address
        self._model = model
        self._timeout = timeout
        self._retries = retries
        self._metadata: dict[int | str | None, ModelMetadata] = {}

    def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: str | Sequence[str] = (),
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> Flow[dict[str, np.ndarray]]:
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
        deadline = self._deadline(timeout)
        spec = self._spec(version, version_label, signature_name)
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        known = self._metadata.get(_key(spec))
        if known is None:
            known = yield from self._describe(spec, deadline)
            return (yield from self._predict(inputs, names, spec, known, deadline))
        try:
            return (yield from self._predict(inputs, names, spec, known, deadline))
        except (ValueError, FailedPreconditionError, DataLossError):
            # A new version may have changed what was known.
            fresh = yield from self._describe(spec, deadline)
            if fresh.signatures == known.signatures:
                raise
        return (yield from self._predict(inputs, names, spec, fresh, deadline))

    def classify(
        self,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> Flow[list[Classes]]:
        """Classifies examples by a signature that parses `tf.train.Example`.

        Args:
            examples: One mapping an example, feature names to a value or a list of
                values: strings, integers or floats.
            context: Features that all examples share.
            signature_name: The signature.
            version: The version to ask; by default the highest that serves.
            version_label: A version by its label.
            timeout: Seconds, instead of the client's.

        Returns:
            For each example the list of its classes, `(label, score)`.

        Raises:
            ValueError: A feature is none of the three kinds; nothing was sent.
            ServingError: One of its subclasses, by gRPC code.
        """
        spec = self._spec(version, version_label, signature_name)
        exchange = self._calls.classify(
            spec,
            to_examples(examples),
            None if context is None else to_example(context),
        )
        return (yield from self._ask(exchange, self._deadline(timeout)))

    def regress(
        self,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> Flow[np.ndarray]:
        """Regresses examples by a signature that parses `tf.train.Example`.

        Args:
            examples: One mapping an example, feature names to a value or a list of
                values: strings, integers or floats.
            context: Features that all examples share.
            signature_name: The signature.
            version: The version to ask; by default the highest that serves.
            version_label: A version by its label.
            timeout: Seconds, instead of the client's.

        Returns:
            A float32 array with one value an example.

        Raises:
            ValueError: A feature is none of the three kinds; nothing was sent.
            ServingError: One of its subclasses, by gRPC code.
        """
        spec = self._spec(version, version_label, signature_name)
        exchange = self._calls.regress(
            spec,
            to_examples(examples),
            None if context is None else to_example(context),
        )
        return (yield from self._ask(exchange, self._deadline(timeout)))

    def metadata(
        self,
        *,
        version: int | None = None,
        version_label: str | None = None,
        timeout: float | None = None,
    ) -> Flow[ModelMetadata]:
        """The signatures of a version: names, dtypes and shapes of their tensors."""
        spec = self._spec(version, version_label)
        return (yield from self._describe(spec, self._deadline(timeout)))

    def status(
        self, *, version: int | None = None, timeout: float | None = None
    ) -> Flow[list[VersionStatus]]:
        """The versions the server knows and their states, highest first."""
        exchange = self._calls.status(self._spec(version))
        statuses = yield from self._ask(exchange, self._deadline(timeout))
        return sorted(statuses, key=lambda status: -status.version)

    def reload(
        self, configs: Sequence[ModelConfig], *, timeout: float | None = None
    ) -> Flow[None]:
        """Tells the server which models to hold; those left out are unloaded.

        The answer comes once the new ones serve, so give it time. Over gRPC alone.

        Args:
            configs: All the models.
            timeout: Seconds, instead of the client's.

        Raises:
            ServingError: One of its subclasses; the server holds what it held.
        """
        exchange = self._calls.reload(configs)
        return (yield from self._ask(exchange, self._deadline(timeout)))

    def wait_until_available(
        self, timeout: float = 60.0, *, version: int | None = None
    ) -> Flow[int]:
        """Waits for a server that does not run yet, or a model that still loads.

        Args:
            timeout: Seconds to wait.
            version: The version to wait for; by default any.

        Returns:
            The highest version that serves.

        Raises:
            DeadlineExceededError: It did not come; the text says what was last seen.
        """
        deadline = Deadline(timeout)
        seen = ""
        while True:
            try:
                statuses = yield from self.status(
                    version=version, timeout=deadline.left()
                )
                ready = [s.version for s in statuses if s.state == "AVAILABLE"]
                if ready:
                    return ready[0]
                seen = ", ".join(
                    f"version {s.version} is {s.state} {s.error_message}".strip()
                    for s in statuses
                )
            except (NotFoundError, UnavailableError) as error:
                seen = error.details
            except DeadlineExceededError as error:  # which says less than what was seen
                seen = seen or error.details
            if deadline.left() <= _POLL:
                text = f"Not available after {timeout:g} s: {seen}"
                raise self._error(Failure("DEADLINE_EXCEEDED", text))
            yield Pause(_POLL)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

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
        return ModelSpec(self._model, version, version_label, signature_name)

    def _describe(self, spec: ModelSpec, deadline: Deadline) -> Flow[ModelMetadata]:
        metadata = yield from self._ask(self._calls.metadata(spec), deadline)
        self._metadata[_key(spec)] = metadata
        return metadata

    def _predict(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        spec: ModelSpec,
        metadata: ModelMetadata,
        deadline: Deadline,
    ) -> Flow[dict[str, np.ndarray]]:
        signature = _choose(metadata, spec.signature_name, outputs)
        arrays = to_inputs(inputs, signature)
        exchange = self._calls.predict(spec, arrays, outputs, signature)
        answer = yield from self._ask(exchange, deadline)
        return {name: to_user(array) for name, array in answer.items()}

    def _ask(self, exchange: Exchange[Answer], deadline: Deadline) -> Flow[Answer]:
        attempt = 0
        while True:
            send = Send(exchange.target, exchange.body, deadline.timeout())
            answer = yield send
            if not isinstance(answer, Failure):
                return self._read(exchange, answer)
            seconds = pause(attempt)
            last = attempt >= self._retries or deadline.left() <= seconds
            if last or answer.code != UnavailableError.code:
                raise self._error(answer)
            yield Pause(seconds)
            attempt += 1

    def _read(self, exchange: Exchange[Answer], answer: bytes) -> Answer:
        try:
            return exchange.read(answer)
        except WireError as error:
            text = f"The answer cannot be read: {error}"
            raise self._error(Failure(DataLossError.code, text)) from error

    def _error(self, failure: Failure) -> ServingError:
        code, details = failure
        if code == UnavailableError.code and _nobody_listens(details):
            details = (
                f"No server answers at {self._address} ({details}). Start one with "
                "`keras-attn serve --model_name=NAME --model_base_path=PATH`."
            )
        kind = BY_CODE.get(code, UnknownError)
        return kind(details, model=self._model, address=self._address)


def _key(spec: ModelSpec) -> int | str | None:
    return spec.version if spec.version_label is None else spec.version_label


def _choose(
    metadata: ModelMetadata, signature_name: str, outputs: Sequence[str]
) -> Signature:
    signature = metadata.signatures.get(signature_name)
    if signature is None:
        raise ValueError(
            f"`signature_name` must be one of {sorted(metadata.signatures)}. "
            f"Received: signature_name={signature_name!r}"
        )
    if not signature.outputs.keys() >= set(outputs):
        raise ValueError(
            f"`outputs` must be among {sorted(signature.outputs)}. "
            f"Received: outputs={list(outputs)}"
        )
    return signature


def _nobody_listens(details: str) -> bool:
    details = details.lower()
    return "connect" in details and "handshake" not in details
