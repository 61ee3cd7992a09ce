"""Requests that a version answers before it serves, so that no client is the first."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import (
    PredictRequest as PredictRequestMessage,
)
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from keras_attn.serving.server.inference import classify_with, regress_with
from keras_attn.serving.server.multi_inference import multi_inference_with
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import (
    StatusError,
    invalid_argument,
    unimplemented,
)
from keras_attn.serving.wire.messages import PredictRequest

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")

_MOST_RECORDS = 1000


def warm_up(servable: Servable, path: Path, iterations: int = 1) -> int:
    """Replays the records of a version's warm-up file, if it has one.

    Args:
        servable: The version.
        path: Its folder.
        iterations: How often each record is replayed.

    Returns:
        The number of records.

    Raises:
        StatusError: A record fails; the version must not serve then.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        return 0
    count = 0
    for record in _records(file):
        count += 1
        if count > _MOST_RECORDS:
            raise invalid_argument(
                f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at "
                f"{file}"
            )
        log = _read(record, file)
        for _ in range(iterations):
            _replay(servable, log)
    return count


def _records(file: Path) -> Iterator[bytes]:
    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        raise StatusError(
            grpc.StatusCode.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error


def _read(record: bytes, file: Path) -> PredictionLog:
    try:
        return PredictionLog.FromString(record)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise invalid_argument(
            f"Failed to parse warmup record: {record!r} from {file}"
        ) from error


def _replay(servable: Servable, log: PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind not in _REPLAYS:
        number = PredictionLog.DESCRIPTOR.fields_by_name[kind].number
        raise unimplemented(f"Unsupported log_type for warmup: {number}")
    _REPLAYS[kind](servable, getattr(log, kind).request)


def _predict(servable: Servable, request: PredictRequestMessage) -> None:
    servable.predict(PredictRequest.decode(request.SerializeToString()))


_REPLAYS: dict[str, Callable[[Servable, Any], Any]] = {
    "predict_log": _predict,
    "classify_log": classify_with,
    "regress_log": regress_with,
    "multi_inference_log": multi_inference_with,
}
