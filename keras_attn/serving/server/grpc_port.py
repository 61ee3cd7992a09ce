"""The port of the gRPC API, and its UNIX socket."""

import logging
import os

import grpc

from keras_attn.serving.server.address import join_address
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.front import Front, ThreadFront
from keras_attn.serving.server.health import Health
from keras_attn.serving.server.loop_front import LoopFront
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.prediction_service import predict_in_loop
from keras_attn.serving.server.services import handlers

logger = logging.getLogger("keras_attn.serving")

_PREDICT = "/tensorflow.serving.PredictionService/Predict"


class GrpcPort:
    """The services of the server, on the addresses that the flags name.

    Args:
        manager: The models.
        metrics: Where requests are counted.
        options: The flags.
        credentials: Of TLS, or `None`.
    """

    def __init__(
        self,
        manager: ModelManager,
        metrics: Metrics,
        options: Options,
        credentials: grpc.ServerCredentials | None = None,
    ):
        self.address = ""
        self._options = options
        self._credentials = credentials
        self._health = Health() if options.enable_grpc_healthcheck_service else None
        self._front = self._make_front(manager, metrics)

    def start(self) -> None:
        """Opens the port and the socket.

        Raises:
            OSError: One of them cannot be had.
        """
        host, port = self._options.host, self._options.port
        path = self._options.grpc_socket_path
        if path:
            self.address = f"unix:{path}"
            self._front.bind(self.address, self._credentials)
        if port or not path:
            port = self._front.bind(join_address(host, port), self._credentials)
            self.address = join_address(host, port)
        self._front.start()
        if port:
            logger.info("Running gRPC ModelServer at %s ...", self.address)
        if path:
            logger.info("Running gRPC ModelServer at UNIX socket %s ...", path)

    def stop(self, grace: float) -> None:
        if self._health is not None:
            self._health.shut_down()
        self._front.stop(grace)

    def _make_front(self, manager: ModelManager, metrics: Metrics) -> Front:
        options = self._options
        as_content = options.enable_serialization_as_tensor_content
        services = handlers(
            manager,
            as_content=as_content,
            metrics=metrics,
            health=self._health,
            profile=options.enable_profiler,
        )
        threads = options.grpc_max_threads or 4 * (os.cpu_count() or 1)
        arguments = channel_arguments(options.grpc_channel_arguments)
        if not options.enable_batching:
            return ThreadFront(services, threads, arguments)
        predict = predict_in_loop(manager, as_content, metrics)
        return LoopFront(services, threads, arguments, {_PREDICT: predict})


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Reads `key=value,key=value`; a value that is a number becomes one."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return [(key, _number_or_text(value)) for key, _, value in pairs]


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
