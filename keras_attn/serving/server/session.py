"""A SavedModel in a TensorFlow session: names of tensors and arrays in, arrays out.

TF Serving runs `Session::Run` on the graph, so this does too: same kernels, same error
texts, same freedom of shapes.
"""

import importlib
import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session as tf_session

from keras_attn.serving.server import xla
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    not_found,
)


@dataclass(frozen=True)
class SessionOptions:
    """How graphs are loaded and run."""

    tags: tuple[str, ...] = ("serve",)
    config: config_pb2.ConfigProto = field(default_factory=config_pb2.ConfigProto)
    refuse_xla: bool = False


class GraphSession:
    """One loaded graph.

    Args:
        path: Folder of the SavedModel.
        options: Tags, configuration, and whether XLA is refused.

    Raises:
        StatusError: The SavedModel cannot be loaded.
    """

    def __init__(self, path: Path, options: SessionOptions):
        self._session, meta_graph = _load(path, options)
        self.signatures = dict(meta_graph.signature_def)
        self._refusals = {}
        if options.refuse_xla:
            outputs = {
                info.name
                for signature in self.signatures.values()
                for info in signature.outputs.values()
                if info.dtype
            }
            self._refusals = xla.refusals(meta_graph.graph_def, outputs)
        self._outputs: dict = {}

    def run(
        self,
        feeds: tuple[str, ...],
        fetches: tuple[str, ...],
        arrays: Sequence[np.ndarray],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """Computes `fetches`, and nothing else, from the arrays fed to `feeds`.

        Args:
            feeds: Names of tensors.
            fetches: Names of tensors.
            arrays: One for each feed.
            timeout: Seconds after which the work is broken off.

        Raises:
            StatusError: TensorFlow's code and text, or the time is up.
        """
        if timeout is not None and timeout <= 0:
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        for name in fetches:
            if name in self._refusals:
                raise StatusError(grpc.StatusCode.INTERNAL, self._refusals[name])
        try:
            return [_as_array(v) for v in self._run(feeds, fetches, arrays, timeout)]
        except tf.errors.OpError as error:
            raise StatusError(error.error_code, error.message) from error

    def _run(self, feeds, fetches, arrays, timeout):
        """`Session::Run` itself: its executors serve every time limit alike.

        (A callable has its limit compiled in: a warmed-up model would meet each new
        one with a compilation.)
        """
        options = None
        if timeout is not None:
            proto = config_pb2.RunOptions(timeout_in_ms=math.ceil(1000 * timeout))
            options = tf_session.TF_NewBufferFromString(proto.SerializeToString())
        try:
            return tf_session.TF_SessionRun_wrapper(
                self._session._session,
                options,
                dict(zip(map(self._output, feeds), arrays, strict=True)),
                [self._output(name) for name in fetches],
                [],
                None,
            )
        finally:
            if options is not None:
                tf_session.TF_DeleteBuffer(options)

    def _output(self, name):
        output = self._outputs.get(name)
        if output is None:
            tensor = _find_tensor(self._session.graph, name)
            output = self._outputs[name] = tensor._as_tf_output()
        return output

    def close(self) -> None:
        self._session.close()


def _find_tensor(graph: tf.Graph, name: str) -> tf.Tensor:
    """As `Session::Run` finds it: a node alone stands for its first output.

    Raises:
        StatusError: A signature names what the graph does not have.
    """
    node, _, index = name.partition(":")
    try:
        outputs = graph.get_operation_by_name(node).outputs
    except (KeyError, ValueError):
        raise not_found(f"FetchOutputs node {name}: not found") from None
    if not outputs:
        raise invalid_argument(
            f"Tried to fetch data for '{name}', which produces no output.  To run to a "
            f"node but not fetch any data, pass '{name}' as an argument to the "
            "'target_node_names' argument of the Session::Run API."
        )
    if int(index or 0) >= len(outputs):
        raise invalid_argument(
            f"FetchOutputs {name}: output index too large, must be < {len(outputs)}"
        )
    return outputs[int(index or 0)]


def _as_array(value) -> np.ndarray:
    """A scalar comes as a NumPy scalar, a string scalar as bytes."""
    if isinstance(value, bytes):
        array = np.empty((), object)
        array[()] = value
        return array
    return np.asarray(value)


def _load(path: Path, options: SessionOptions):
    tried: set[str] = set()  # of this load alone, since several go on side by side
    while True:
        session = tf.compat.v1.Session(graph=tf.Graph(), config=options.config)
        try:
            with session.graph.as_default():
                return session, _load_graph(session, list(options.tags), str(path))
        except Exception as error:
            session.close()
            if not _register_missing_op(str(error), tried):
                raise _load_error(error, path) from error


def _register_missing_op(message: str, tried: set[str]) -> bool:
    """Imports TensorFlow Text if that may bring the missing operation.

    TF Serving has these operations linked in, so its users expect such models to load.
    """
    missing = re.search(r"Op type not registered '([^']+)'", message)
    if missing is None or missing[1] in tried:
        return False
    tried.add(missing[1])
    try:
        importlib.import_module("tensorflow_text")
    except ImportError:
        return False
    return True


# TF Serving loads graphs into sessions; TensorFlow's advice against it is not for us.
_load_graph = inspect.unwrap(tf.compat.v1.saved_model.loader.load)


def _load_error(error: Exception, path: Path) -> StatusError:
    message = getattr(error, "message", None) or str(error)
    if missing := re.search(r"Op type not registered '([^']+)'", message):
        return StatusError(
            grpc.StatusCode.NOT_FOUND,
            f"Op type not registered '{missing[1]}' in {path}. If it is an operation "
            "of TensorFlow Text, `pip install tensorflow-text` in the version that "
            f"fits TensorFlow {tf.__version__}.",
        )
    if isinstance(error, tf.errors.OpError):
        return StatusError(error.error_code, message)
    codes = {
        OSError: grpc.StatusCode.NOT_FOUND,
        RuntimeError: grpc.StatusCode.NOT_FOUND,
    }
    code = next(
        (code for kind, code in codes.items() if isinstance(error, kind)),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    return StatusError(code, message)
