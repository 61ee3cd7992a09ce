"""The server: models behind a gRPC port."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from keras_attn.serving.server.address import check_port_is_free, join_address
from keras_attn.serving.server.config import model_configs
from keras_attn.serving.server.flags import Options, channel_arguments
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.services import handlers
from keras_attn.serving.server.session import GraphSession, SessionOptions
from keras_attn.serving.server.warmup import warm_up

logger = logging.getLogger("keras_attn.serving")

_DRAIN_SECONDS = 30.0


class Server:
    """Serves SavedModels over the gRPC API of TF Serving, from threads of this process.

    The port opens once the models have loaded. New versions in a model's folder are
    picked up and old ones unloaded while requests go on, as in
    `tensorflow_model_server`; `keras-attn serve` is the same server as a process.

    Args:
        model_base_path: Folder with numbered versions of a model.
        model_name: Name under which it is served; by default the folder's.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        timeout: Seconds to wait for the models, `None` for as long as it takes.
        refuse_xla: Whether signatures compiled with XLA are refused; by default
            unless a flag allows them.
        **flags: Any flag of `keras-attn serve`, such as `model_config_file`.

    Raises:
        StatusError: On start: no usable configuration, or no version could be loaded.
        TimeoutError: On start: there is no version after `timeout` seconds.
        OSError: On start: the port is in use.

    Example:

    ```python
    with Server("saved_models/dates") as server:
        with Client(server.address, model="dates") as client:
            client.predict({"text": ["3 mai 1997"]})
    ```
    """

    def __init__(
        self,
        model_base_path: str | os.PathLike = "",
        *,
        model_name: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        timeout: float | None = 60.0,
        refuse_xla: bool | None = None,
        **flags,
    ):
        path = os.path.abspath(model_base_path) if model_base_path else ""
        self.options = Options(
            model_base_path=path,
            model_name=model_name or Path(path).name or "default",
            host=host,
            port=port,
            **flags,
        )
        self.timeout = timeout
        self._refuse_xla = refuse_xla
        self._manager: ModelManager | None = None
        self._grpc: grpc.Server | None = None
        self._port = 0

    @property
    def address(self) -> str:
        """`host:port` of the running server."""
        if self._grpc is None:
            raise RuntimeError("The server is not running: it has no address yet.")
        return join_address(self.options.host, self._port)

    def start(self) -> "Server":
        """Loads the models, then opens the port."""
        options = self.options
        check_port_is_free(options.host, options.port)
        manager = self._manager = ModelManager(
            model_configs(options),
            self._load,
            options.file_system_poll_wait_seconds,
            options.max_num_load_retries,
            options.load_retry_interval_micros / 1e6,
        )
        manager.start()
        try:
            manager.wait_until_settled(self.timeout)
            manager.assign_labels(options.allow_version_labels_for_unavailable_models)
            self._open_port(manager)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, grace: float = _DRAIN_SECONDS) -> None:
        """Closes the port, lets requests in flight end, unloads the models.

        Args:
            grace: Seconds that requests in flight are given.
        """
        if self._grpc is not None:
            self._grpc.stop(grace).wait()
            self._grpc = None
        if self._manager is not None:
            self._manager.stop()
            self._manager = None

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *exception) -> None:
        self.stop()

    def _open_port(self, manager: ModelManager) -> None:
        options = self.options
        threads = options.grpc_max_threads or 2 * (os.cpu_count() or 1)
        server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            handlers(
                manager,
                options.enable_serialization_as_tensor_content,
                options.enable_grpc_healthcheck_service,
            ),
            options=[
                ("grpc.so_reuseport", 0),  # else two servers share one port
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                *channel_arguments(options.grpc_channel_arguments),
            ],
        )
        wanted = join_address(options.host, options.port)
        try:
            self._port = server.add_insecure_port(wanted)
        except RuntimeError as error:
            raise OSError(f"Could not bind {wanted}: {error}") from error
        server.start()
        self._grpc = server
        logger.info("Running gRPC ModelServer at %s ...", self.address)

    def _load(self, name: str, version: int, path: Path) -> Servable:
        options = self.options
        session_options = SessionOptions(
            tags=tuple(options.saved_model_tags.split(",")),
            intra_op_parallelism=options.tensorflow_intra_op_parallelism
            or options.tensorflow_session_parallelism,
            inter_op_parallelism=options.tensorflow_inter_op_parallelism
            or options.tensorflow_session_parallelism,
            refuse_xla=xla_is_refused(options)
            if self._refuse_xla is None
            else self._refuse_xla,
        )
        servable = Servable(name, version, GraphSession(path, session_options))
        if options.enable_model_warmup:
            iterations = max(1, options.num_request_iterations_for_warmup)
            try:
                count = warm_up(servable, path, iterations)
            except BaseException:
                servable.close()
                raise
            if count:
                logger.info("Replayed %d warm-up records of %s", count, path)
        return servable


def xla_is_refused(options: Options) -> bool:
    return not (
        options.xla_cpu_compilation_enabled or options.xla_gpu_compilation_enabled
    )
