"""Warm-up requests, which a server answers before it opens a new version."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_attn.serving._examples import Rows, batch_of
from keras_attn.serving._messages import prediction_log_pb2

FILE_NAME = "tf_serving_warmup_requests"
# A server refuses to load a version with more records.
MOST_RECORDS = 1000


def write_warmup(
    folder: Path, model_name: str, examples: dict[str, Rows], batch_sizes: Sequence[int]
) -> None:
    """Writes one record for each signature and batch size into `folder`."""
    with tf.io.TFRecordWriter(str(folder / FILE_NAME)) as writer:
        for signature, rows in examples.items():
            for size in batch_sizes:
                record = _record(model_name, signature, batch_of(rows, size))
                writer.write(record.SerializeToString())


def _record(
    model_name: str, signature: str, inputs: Rows
) -> prediction_log_pb2.PredictionLog:
    record = prediction_log_pb2.PredictionLog()
    request = record.predict_log.request
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return record
