"""The `Input` of Classify, Regress and MultiInference: serialized `tf.Example`s."""

from collections.abc import Iterable

import numpy as np
from tensorflow_serving.apis.input_pb2 import Input

from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import invalid_argument


def serialize_examples(given: Input) -> np.ndarray:
    """The examples as a string tensor of rank 1.

    A context is written before each example: where both have a feature, the one that
    comes last is read, so the example's own wins.

    Raises:
        StatusError: There is no example.
    """
    kind = given.WhichOneof("kind")
    source = getattr(given, kind) if kind else None
    if source is None or not source.examples:
        raise invalid_argument("Input is empty.")
    context = b""
    if kind == "example_list_with_context":
        context = source.context.SerializeToString()
    serialized = np.empty(len(source.examples), object)
    serialized[:] = [context + item.SerializeToString() for item in source.examples]
    return serialized


def run_examples(
    servable: Servable,
    api: str,
    given: Input,
    feed: str,
    fetches: Iterable[str],
    timeout: float | None,
) -> tuple[dict[str, np.ndarray], int]:
    """Feeds the examples to one tensor.

    Returns:
        `(outputs, count)`: the arrays by the names of their tensors, and the number of
        examples.

    Raises:
        StatusError: There is no example, or TensorFlow refuses them.
    """
    examples = serialize_examples(given)
    outputs = servable.run(api, (feed,), tuple(fetches), [examples], timeout)
    servable.count_examples(len(examples))
    return outputs, len(examples)
