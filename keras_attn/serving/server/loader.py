"""From a version on disk to a servable, as the flags say."""

import logging
import time
from pathlib import Path

from keras_attn.serving.server.batching import (
    BatchedGraph,
    Batcher,
    BatchingParameters,
    model_parameters,
    read_parameters,
)
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.servable import Graph, Servable
from keras_attn.serving.server.session import GraphSession, SessionOptions
from keras_attn.serving.server.session_config import session_config
from keras_attn.serving.server.status import StatusError, invalid_argument
from keras_attn.serving.server.tflite import MODEL_FILE, TFLiteModel
from keras_attn.serving.server.warmup import warm_up

logger = logging.getLogger("keras_attn.serving")


class Loader:
    """Loads versions: a session, batching before it, warm-up.

    Args:
        options: The flags.
        metrics: Where warm-ups and batches are counted.
        refuse_xla: Whether signatures compiled with XLA are refused.

    Raises:
        StatusError: Flags contradict each other, or a file that they name is wrong.
    """

    def __init__(self, options: Options, metrics: Metrics, refuse_xla: bool):
        self._options = options
        self._metrics = metrics
        self._session_options = SessionOptions(
            tuple(options.saved_model_tags.split(",")),
            session_config(options),
            refuse_xla,
        )
        self._parameters = _batching_parameters(options)
        self._batcher: Batcher | None = None
        if self._parameters is not None:
            self._batcher = Batcher(
                self._parameters.num_batch_threads, self._parameters.thread_pool_name
            )

    def load(self, name: str, version: int, path: Path) -> Servable:
        """Makes a servable of a version's folder.

        Raises:
            StatusError: It cannot be loaded, or a warm-up request fails.
        """
        parameters = self._parameters_of(path)
        graph = self._load_graph(path)
        if parameters is not None and self._batcher is not None:
            graph = BatchedGraph(
                graph,
                self._batcher,
                parameters,
                pad_by_lengths=self._options.pad_by_lengths,
                metrics=self._metrics,
            )
        try:
            servable = Servable(
                name,
                version,
                graph,
                check_method_names=self._options.enable_signature_method_name_check,
                metrics=self._metrics,
            )
            if self._options.enable_model_warmup:
                self._warm_up(servable, path)
        except BaseException:
            graph.close()
            raise
        return servable

    def close(self) -> None:
        """Ends the threads; the servables must be closed."""
        if self._batcher is not None:
            self._batcher.stop()

    def _load_graph(self, path: Path) -> Graph:
        file = path / MODEL_FILE
        if self._options.prefer_tflite_model and file.exists():
            return TFLiteModel(file)
        return GraphSession(path, self._session_options)

    def _parameters_of(self, path: Path) -> BatchingParameters | None:
        if self._parameters and self._options.enable_per_model_batching_parameters:
            return model_parameters(path)
        return self._parameters

    def _warm_up(self, servable: Servable, path: Path) -> None:
        iterations = max(1, self._options.num_request_iterations_for_warmup)
        start = time.monotonic()
        count, status = 0, "OK"
        try:
            count = warm_up(servable, path, iterations)
        except StatusError as error:
            status = error.code.name
            raise
        finally:
            seconds = time.monotonic() - start
            if count or status != "OK":
                self._metrics.observe_warmup(str(path), status, seconds, count)
        if count:
            logger.info("Replayed %d warm-up records of %s", count, path)


def _batching_parameters(options: Options) -> BatchingParameters | None:
    file = options.batching_parameters_file
    if not options.enable_batching:
        if file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return None
    if file:
        return read_parameters(file)
    return BatchingParameters(thread_pool_name="model_server_batch_threads")
