"""A SavedModel in a TensorFlow session: names of tensors and arrays in, arrays out.

TF Serving runs `Session::Run` on the graph, so this does too: same kernels, same error
texts, same freedom of shapes.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session as tf_session

from keras_attn.serving.server import xla
from keras_attn.serving.server.graph_walk import GraphWalk
from keras_attn.serving.server.saved_model import load_saved_model
from keras_attn.serving.server.short_runs import ShortRuns
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    not_found,
    stopping,
)


def _options(**fields: int):
    """`RunOptions` as TensorFlow's C API takes them; to be deleted by hand."""
    proto = config_pb2.RunOptions(**fields)
    return tf_session.TF_NewBufferFromString(proto.SerializeToString())


_IN_THIS_THREAD = _options(inter_op_thread_pool=-1)


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
        self._session, meta_graph = load_saved_model(path, options.tags, options.config)
        self.signatures = dict(meta_graph.signature_def)
        walk = GraphWalk(meta_graph.graph_def)
        outputs = {
            info.name
            for signature in self.signatures.values()
            for info in signature.outputs.values()
            if info.dtype
        }
        self._refusals = xla.refusals(walk, outputs) if options.refuse_xla else {}
        self._short_runs = ShortRuns(walk, outputs)
        self._outputs: dict = {}
        self._is_closed = False

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
            timeout: Seconds after which the work is broken off, unless it is known
                to be short.

        Raises:
            StatusError: TensorFlow's code and text, the time is up, or `close`.
        """
        if timeout is not None and timeout <= 0:
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        for name in fetches:
            if name in self._refusals:
                raise StatusError(grpc.StatusCode.INTERNAL, self._refusals[name])
        try:
            return [_as_array(v) for v in self._run(feeds, fetches, arrays, timeout)]
        except tf.errors.OpError as error:
            if self._is_closed:
                raise stopping() from error
            raise StatusError(error.error_code, error.message) from error

    def _run(self, feeds, fetches, arrays, timeout):
        kind = self._short_runs.kind_of(fetches, arrays)
        start = time.perf_counter()
        if kind in self._short_runs:
            values = self._run_with(_IN_THIS_THREAD, feeds, fetches, arrays)
        elif timeout is None:
            values = self._run_with(None, feeds, fetches, arrays)
        else:
            options = _options(timeout_in_ms=math.ceil(1000 * timeout))
            try:
                values = self._run_with(options, feeds, fetches, arrays)
            finally:
                tf_session.TF_DeleteBuffer(options)
        self._short_runs.remember(kind, time.perf_counter() - start)
        return values

    def _run_with(self, options, feeds, fetches, arrays):
        """`Session::Run` itself: its executors serve every time limit alike.

        (A callable has its limit compiled in: a warmed-up model would meet each new
        one with a compilation.)
        """
        return tf_session.TF_SessionRun_wrapper(
            self._session._session,
            options,
            dict(zip(map(self._output, feeds), arrays, strict=True)),
            [self._output(name) for name in fetches],
            [],
            None,
        )

    def _output(self, name):
        output = self._outputs.get(name)
        if output is None:
            tensor = _find_tensor(self._session.graph, name)
            output = self._outputs[name] = tensor._as_tf_output()
        return output

    def close(self) -> None:
        """Breaks off what runs, and frees the graph."""
        self._is_closed = True
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
