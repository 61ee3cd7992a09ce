"""Reads a SavedModel into a TensorFlow session."""

import importlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    not_found,
)

_MISSING_OPERATION = re.compile(r"Op type not registered '([^']+)'")

# TF Serving loads graphs into sessions; TensorFlow's advice against it is not for us.
_load_graph = inspect.unwrap(tf.compat.v1.saved_model.loader.load)


def load_saved_model(
    path: Path, tags: Sequence[str], config: config_pb2.ConfigProto
) -> tuple[tf.compat.v1.Session, meta_graph_pb2.MetaGraphDef]:
    """Loads the graph with these tags, and its variables.

    Args:
        path: Folder of the SavedModel.
        tags: All the tags of the graph.
        config: Of the session.

    Raises:
        StatusError: It cannot be loaded.
    """
    tried: set[str] = set()  # of this load alone, since several go on side by side
    while True:
        session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with session.graph.as_default():
                return session, _load_graph(session, list(tags), str(path))
        except Exception as error:
            session.close()
            if not _register_missing_operation(str(error), tried):
                raise _load_error(error, path) from error


def _register_missing_operation(message: str, tried: set[str]) -> bool:
    """Imports TensorFlow Text if that may bring the missing operation.

    TF Serving has these operations linked in, so its users expect such models to load.
    """
    missing = _MISSING_OPERATION.search(message)
    if missing is None or missing[1] in tried:
        return False
    tried.add(missing[1])
    try:
        importlib.import_module("tensorflow_text")
    except (ImportError, tf.errors.OpError):  # OpError: built for another TensorFlow
        return False
    return True


def _load_error(error: Exception, path: Path) -> StatusError:
    message = getattr(error, "message", None) or str(error)
    if missing := _MISSING_OPERATION.search(message):
        return not_found(
            f"Op type not registered '{missing[1]}' in {path}. If it is an operation "
            "of TensorFlow Text, `pip install tensorflow-text` in the version that "
            f"fits TensorFlow {tf.__version__}.",
        )
    if isinstance(error, tf.errors.OpError):
        return StatusError(error.error_code, message)
    if isinstance(error, OSError | RuntimeError):  # nothing there, no such tags
        return not_found(message)
    return invalid_argument(message)
