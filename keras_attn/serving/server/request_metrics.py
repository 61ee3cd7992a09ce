"""Counts and times requests from the moment they are understood."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.status import StatusError


@contextmanager
def measured(
    metrics: Metrics | None, model_name: str, api: str, entrypoint: str = "GRPC"
) -> Iterator[None]:
    """Counts the request in the block by its outcome; times it if it succeeds."""
    status = "INTERNAL"
    start = time.perf_counter()
    try:
        yield
        status = "OK"
    except StatusError as error:
        status = error.code.name
        raise
    except asyncio.CancelledError:  # the client has hung up, or its time is over
        status = "CANCELLED"
        raise
    finally:
        if metrics is not None:
            metrics.count_request(model_name, status)
            if status == "OK":
                elapsed = time.perf_counter() - start
                metrics.observe_request(model_name, api, entrypoint, elapsed)
