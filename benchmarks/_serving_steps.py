"""What is timed on a page about serving: the in-process call, and requests."""

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np

from benchmarks._serving_models import LENGTH, WORDS
from keras_attn.serving.wire.messages import ModelSpec, PredictRequest, PredictResponse
from keras_attn.serving.wire.tensors import decode_tensor, encode_tensor

Step = Callable[[], object]

EACH = 4  # requests that each of several clients makes in a step

_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def inputs(model: str, rows: int = 1) -> dict[str, np.ndarray]:
    """A request of a model."""
    rng = np.random.default_rng(0)
    if model == "encoder":
        return {"words": rng.integers(0, WORDS, (rows, LENGTH)).astype("int32")}
    if model == "mlp":
        return {"sizes": rng.normal(size=(rows, 16)).astype("float32")}
    return {"x": rng.normal(size=(1, 1 << 18)).astype("float32")}  # 1 MiB


def in_process(model: str, folder: str, rows: int = 1) -> Step:
    """The graph in TensorFlow's own session, without a server."""
    from keras_attn.serving.server.session import GraphSession, SessionOptions

    graph = GraphSession(Path(folder, model, "1"), SessionOptions())
    signature = graph.signatures["serving_default"]
    arrays = inputs(model, rows)
    feeds = tuple(signature.inputs[alias].name for alias in arrays)
    fetches = tuple(info.name for info in signature.outputs.values())
    values = list(arrays.values())
    return lambda: graph.run(feeds, fetches, values)


def one_client(model: str, address: str) -> Step:
    """Requests one after the other: encoded, sent, answered, decoded."""
    call = grpc.insecure_channel(address, _options()).unary_unary(_PREDICT)
    arrays = inputs(model)

    def step() -> PredictResponse:
        request = PredictRequest(ModelSpec(model), arrays).encode()
        return PredictResponse.decode(call(request, timeout=60))

    return step


def echo_client(model: str, address: str) -> Step:
    """The bytes of such a request there and back, and nothing else."""
    call = grpc.insecure_channel(address, _options()).unary_unary(_PREDICT)
    request = PredictRequest(ModelSpec(model), inputs(model)).encode()
    return lambda: call(request, timeout=60)


def own_client(model: str, address: str) -> Step:
    """The same by the client, which also checks names and types."""
    from keras_attn.serving import Client

    client = Client(address, model, timeout=60)
    arrays = inputs(model)
    return lambda: client.predict(arrays)


def many_clients(model: str, address: str, clients: int) -> Step:
    """Clients with a connection each, that ask anew as soon as they are answered."""
    loop = asyncio.new_event_loop()
    request = PredictRequest(ModelSpec(model), inputs(model)).encode()

    async def connect() -> list[grpc.aio.UnaryUnaryMultiCallable]:
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            grpc.aio.insecure_channel(address, _options() + own) for _ in range(clients)
        ]
        return [channel.unary_unary(_PREDICT) for channel in channels]

    calls = loop.run_until_complete(connect())

    async def ask(call: grpc.aio.UnaryUnaryMultiCallable) -> None:
        for _ in range(EACH):
            await call(request, timeout=60)

    async def all_ask() -> None:
        await asyncio.gather(*map(ask, calls))

    return lambda: loop.run_until_complete(all_ask())


def rest_client(model: str, address: str) -> Step:
    """JSON over one connection that is kept."""
    connection = http.client.HTTPConnection(address, timeout=60)
    (array,) = inputs(model).values()
    values = array.tolist()

    def step() -> object:
        body = json.dumps({"inputs": values})
        connection.request("POST", f"/v1/models/{model}:predict", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {answer}")
        return answer

    return step


def encode(as_content: bool) -> Step:
    """A megabyte of floats to the bytes of a `TensorProto`."""
    (array,) = inputs("echo").values()
    return lambda: b"".join(encode_tensor(array, as_content))


def decode(as_content: bool) -> Step:
    """The bytes of a `TensorProto` to a megabyte of floats."""
    (array,) = inputs("echo").values()
    message = b"".join(encode_tensor(array, as_content))
    return lambda: decode_tensor(message)


def official_encode() -> Step:
    import tensorflow as tf

    (array,) = inputs("echo").values()
    return lambda: tf.make_tensor_proto(array).SerializeToString()


def official_decode() -> Step:
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    message = encode(as_content=False)()
    return lambda: tf.make_ndarray(TensorProto.FromString(message))


def importing(statement: str) -> Step:
    """A new interpreter that imports something; its memory is in `peak_of`."""
    return lambda: subprocess.run([sys.executable, "-c", statement], check=True)


def peak_of(statement: str) -> float:
    """MiB of an interpreter that has imported something (Linux)."""
    show = "print(open('/proc/self/status').read())"
    command = [sys.executable, "-c", f"{statement}\n{show}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (line,) = (part for part in done.stdout.splitlines() if part.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _options() -> list[tuple[str, int]]:
    return [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
