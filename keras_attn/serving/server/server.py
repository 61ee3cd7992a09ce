"""The server: models behind a gRPC port, and a REST port beside it."""

import logging
import os
from pathlib import Path

from keras_attn.serving.server.address import check_ports_are_free, join_address
from keras_attn.serving.server.base_path import absolute
from keras_attn.serving.server.config import initial_configs
from keras_attn.serving.server.config_watcher import ConfigWatcher
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.grpc_port import GrpcPort
from keras_attn.serving.server.loader import Loader
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.monitoring import prometheus_path
from keras_attn.serving.server.pace import Pace
from keras_attn.serving.server.rest import RestServer
from keras_attn.serving.server.shutdown import Parts, Port, shut_down
from keras_attn.serving.server.tls import server_credentials

logger = logging.getLogger("keras_attn.serving")

_DRAIN_SECONDS = 30.0
_PATIENCE = 10.0


class Server:
    """Serves SavedModels over the APIs of TF Serving, from threads of this process.

    The ports open once the models have loaded. New versions in a model's folder are
    picked up and old ones unloaded while requests go on, as in
    `tensorflow_model_server`; `keras-attn serve` is the same server as a process.

    Args:
        model_base_path: Folder with numbered versions of a model.
        model_name: Name under which it is served; by default the folder's.
        host: Address to bind.
        port: Port of the gRPC API; 0 takes a free one.
        rest_api_port: Port of the REST API; -1 takes a free one, 0 leaves it off.
        timeout: Seconds to wait for the models, `None` for as long as it takes.
        refuse_xla: Whether signatures compiled with XLA are refused; by default
            unless a flag allows them.
        **flags: Any flag of `keras-attn serve`, such as `model_config_file`.

    Raises:
        StatusError: On start: no usable configuration, or no version could be loaded.
        TimeoutError: On start: there is no version after `timeout` seconds.
        OSError: On start: a port is in use.

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
        rest_api_port: int = 0,
        timeout: float | None = 60.0,
        refuse_xla: bool | None = None,
        **flags,
    ):
        path = absolute(os.fspath(model_base_path))
        self.options = Options(
            model_base_path=path,
            model_name=model_name or Path(path).name or "default",
            host=host,
            port=port,
            rest_api_port=rest_api_port,
            **flags,
        )
        self.timeout = timeout
        self.has_left_work = False  # as `stop` found
        self.metrics = Metrics()
        if refuse_xla is None:
            refuse_xla = xla_is_refused(self.options)
        self._refuse_xla = refuse_xla
        self._loader: Loader | None = None
        self._manager: ModelManager | None = None
        self._watcher: ConfigWatcher | None = None
        self._ports: list[Port] = []
        self._address = self._rest_address = ""

    @property
    def address(self) -> str:
        """`host:port` of the gRPC API, or `unix:path` if it has no port."""
        if not self._address:
            raise RuntimeError("The server is not running: it has no address yet.")
        return self._address

    @property
    def rest_address(self) -> str:
        """`host:port` of the REST API."""
        if not self._rest_address:
            raise RuntimeError("There is no REST API: is the server running with one?")
        return self._rest_address

    def start(self) -> "Server":
        """Loads the models, then opens the ports."""
        options = self.options
        check_ports_are_free(options)
        credentials = server_credentials(options.ssl_config_file)
        metrics_path = prometheus_path(options.monitoring_config_file)
        try:
            manager = self._load_models()
            self._open_grpc_port(manager, credentials)
            self._open_rest_port(manager, metrics_path)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, grace: float = _DRAIN_SECONDS, patience: float = _PATIENCE) -> bool:
        """Closes the ports, lets requests in flight end, unloads the models.

        Args:
            grace: Seconds that requests in flight are given. Those that take longer
                are broken off, and answered with UNAVAILABLE.
            patience: Seconds that what cannot be interrupted is given after that: a
                model that is being loaded, a run of a TFLite model, an operation that
                TensorFlow does not break off.

        Returns:
            Whether all has ended. What has not is left to threads that end with it;
            a Python process does not exit before they do.
        """
        self._address = self._rest_address = ""
        parts = Parts(self._ports, self._watcher, self._manager, self._loader)
        self._ports, self._watcher, self._manager, self._loader = [], None, None, None
        self.has_left_work |= not shut_down(parts, grace, patience)
        return not self.has_left_work

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *exception) -> None:
        self.stop()

    def _load_models(self) -> ModelManager:
        options = self.options
        configs = initial_configs(options)
        self._loader = Loader(options, self.metrics, self._refuse_xla)
        manager = self._manager = ModelManager(
            self._loader.load,
            Pace.of(options),
            options.allow_version_labels_for_unavailable_models,
        )
        manager.start()
        manager.reload(configs, self.timeout)
        if options.model_config_file and options.model_config_file_poll_wait_seconds:
            self._watcher = ConfigWatcher(
                manager,
                options.model_config_file,
                options.model_config_file_poll_wait_seconds,
            )
            self._watcher.start()
        return manager

    def _open_grpc_port(self, manager: ModelManager, credentials) -> None:
        port = GrpcPort(manager, self.metrics, self.options, credentials)
        self._ports.append(port)  # also one that does not open has threads
        port.start()
        self._address = port.address

    def _open_rest_port(self, manager: ModelManager, metrics_path: str) -> None:
        options = self.options
        if not options.rest_api_port:
            return
        if options.rest_api_port == options.port:
            logger.error(
                "server_options.http_port cannot be same as grpc_port. Please use a "
                "different port for HTTP/REST API. Skipped exporting HTTP/REST API."
            )
            return
        host = options.rest_host or options.host
        port = RestServer(
            manager,
            self.metrics,
            host=host,
            port=max(0, options.rest_api_port),
            threads=options.rest_api_num_threads,
            timeout=options.rest_api_timeout_in_ms / 1000,
            cors=options.rest_api_enable_cors_support,
            prometheus_path=metrics_path,
        )
        self._ports.append(port)
        port.start()
        self._rest_address = join_address(host, port.port)


def xla_is_refused(options: Options) -> bool:
    return not (
        options.xla_cpu_compilation_enabled or options.xla_gpu_compilation_enabled
    )
