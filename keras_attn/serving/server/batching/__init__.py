"""Batching: requests that arrive together are computed together.

The rules are those of TF Serving's session batching: which requests share a batch, when
a batch is full, when it starts and what pads it.
"""

from keras_attn.serving.server.batching.batched_graph import BatchedGraph
from keras_attn.serving.server.batching.batcher import Batcher
from keras_attn.serving.server.batching.parameters import (
    BatchingParameters,
    model_parameters,
    read_parameters,
)

__all__ = [
    "BatchedGraph",
    "Batcher",
    "BatchingParameters",
    "model_parameters",
    "read_parameters",
]
