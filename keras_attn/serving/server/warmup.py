"""Requests that a version answers before it serves, so that no client is the first."""

from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError, invalid_argument
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
        for _ in range(iterations):
            _replay(servable, record)
    return count


def _records(file: Path):
    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        raise StatusError(
            grpc.StatusCode.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error


def _replay(servable: Servable, record: bytes) -> None:
    try:
        log = PredictionLog.FromString(record)
    except Exception as error:
        raise invalid_argument(f"Failed to parse warmup record: {error}") from error
    kind = log.WhichOneof("log_type")
    if kind != "predict_log":
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}"
        )
    request = log.predict_log.request.SerializeToString()
    servable.predict(PredictRequest.decode(request))
