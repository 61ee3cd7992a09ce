"""The life of a server: versions, configurations, warm-up, ports."""

import contextlib
import importlib
import socket
import sys
import threading
import time
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving import (
    Client,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    Server,
)
from keras_attn.serving.server import StatusError
from tests.serving.conftest import add_version, free_port
from tests.serving.waiting import wait_for

ONES = {"x": np.ones((1, 3), "float32")}


@contextlib.contextmanager
def running(base, **flags):
    with Server(base, model_name="toolbox", **flags) as server:
        with Client(server.address, "toolbox", timeout=30) as client:
            yield server, client


def states(client):
    return {status.version: status.state for status in client.status()}


def test_versions_swap_while_clients_ask(tmp_path):
    base = tmp_path / "toolbox"
    add_version(base, 1, offset=0)
    answers, failures, done = set(), [], threading.Event()

    def ask(address):
        with Client(address, "toolbox", timeout=30, retries=0) as client:
            while not done.is_set():
                try:
                    answers.add(client.predict(ONES)["y"][0, 0])
                except Exception as failure:
                    failures.append(failure)

    with running(base) as (server, client):
        threads = [threading.Thread(target=ask, args=[server.address]) for _ in "abc"]
        for thread in threads:
            thread.start()
        for version in (2, 3):
            add_version(base, version, offset=version)
            client.wait_until_available(30, version=version)
            wait_for(lambda old=version - 1: states(client)[old] == "END")
        done.set()
        for thread in threads:
            thread.join()
        assert states(client) == {3: "AVAILABLE", 2: "END", 1: "END"}
    assert not failures
    assert answers >= {6.0, 9.0}


def test_a_version_that_failed_is_tried_again(tmp_path):
    base = tmp_path / "toolbox"
    (base / "1").mkdir(parents=True)
    repair = threading.Timer(0.5, lambda: add_version(tmp_path / "good", 1))
    repair.start()
    mend = threading.Timer(
        1.5,
        lambda: [
            entry.rename(base / "1" / entry.name)
            for entry in (tmp_path / "good" / "1").iterdir()
        ],
    )
    mend.start()
    with running(base, load_retry_interval_micros=300_000, max_num_load_retries=50) as (
        _,
        client,
    ):
        assert client.predict(ONES)["y"][0, 0] == 6
    mend.join()


def test_a_model_that_cannot_load_stops_the_start(tmp_path):
    (tmp_path / "toolbox" / "1").mkdir(parents=True)
    server = Server(tmp_path / "toolbox", max_num_load_retries=0)
    text = r"1 servable\(s\) did not become available: {{{name: toolbox version: 1} due"
    with pytest.raises(StatusError, match=text):
        server.start()
    with pytest.raises(RuntimeError, match="not running"):
        print(server.address)


def test_a_base_path_without_versions(tmp_path):
    with pytest.raises(TimeoutError, match="No versions of servable"):
        Server(tmp_path, timeout=0.3).start()
    with pytest.raises(TimeoutError, match="Could not find base path"):
        Server(tmp_path / "missing", timeout=0.3).start()


def test_several_models_policies_and_labels(tmp_path):
    base = tmp_path / "toolbox"
    for version in (1, 2, 10):
        add_version(base, version, offset=version)
    config = tmp_path / "models.config"
    config.write_text(f"""
        model_config_list {{
          config {{
            name: "chosen" base_path: "{base}" model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
            version_labels {{ key: "stable" value: 1 }}
          }}
          config {{ name: "newest" base_path: "{base}" model_platform: "tensorflow" }}
        }}""")
    flags = {"allow_version_labels_for_unavailable_models": True}
    with Server(model_config_file=str(config), **flags) as server:
        with Client(server.address, "chosen", timeout=30) as client:
            assert states(client) == {2: "AVAILABLE", 1: "AVAILABLE"}
            assert client.predict(ONES)["y"][0, 0] == 8
            assert client.predict(ONES, version_label="stable")["y"][0, 0] == 7
            assert client.metadata(version_label="stable").version == 1
            with pytest.raises(InvalidArgumentError, match="label: canary"):
                client.predict(ONES, version_label="canary")
            with pytest.raises(NotFoundError, match=r"Specific\(chosen, 10\)"):
                client.predict(ONES, version=10)
        with Client(server.address, "newest", timeout=30) as client:
            assert states(client) == {10: "AVAILABLE"}


CONFIG = (
    'config {{ name: "m" base_path: "{path}" model_platform: "{platform}" {more} }}'
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "Invalid protobuf file"),
        (
            CONFIG.format(path="relative", platform="tensorflow", more=""),
            "Expected model m to have an absolute path",
        ),
        (
            CONFIG.format(path="/m", platform="other", more=""),
            "Model m requests unsupported platform other",
        ),
        (
            CONFIG.format(path="/m", platform="tensorflow", more="") * 2,
            "Illegal to list model m multiple times",
        ),
    ],
)
def test_wrong_configuration(tmp_path, text, problem):
    config = tmp_path / "models.config"
    config.write_text(f"model_config_list {{ {text} }}")
    with pytest.raises(StatusError, match=problem):
        Server(model_config_file=str(config)).start()


def test_a_base_path_that_is_a_uri():
    text = "a URI is not supported here; got base_path..=gs://bucket/models/dates$"
    with pytest.raises(StatusError, match=f"Expected model dates .* {text}"):
        Server("gs://bucket/models/dates").start()


def test_no_model_at_all():
    with pytest.raises(StatusError, match="are empty"):
        Server().start()


def test_label_of_a_version_that_does_not_serve(tmp_path, toolbox):
    config = tmp_path / "models.config"
    label = 'version_labels { key: "stable" value: 9 }'
    text = CONFIG.format(path=toolbox, platform="tensorflow", more=label)
    config.write_text(f"model_config_list {{ {text} }}")
    with pytest.raises(StatusError, match="assign label to version 9 of model m"):
        Server(model_config_file=str(config)).start()
    flag = "allow_version_labels_for_unavailable_models"
    with Server(model_config_file=str(config), **{flag: True}) as server:
        with Client(server.address, "m") as client, pytest.raises(NotFoundError):
            client.predict(ONES, version_label="stable")


def write_warm_up(version, *records):
    folder = version / "assets.extra"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def warm_up_record(**inputs):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "any name"
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([warm_up_record(x=np.ones((1, 9), "float32"))], "Matrix size-incompatible"),
        ([warm_up_record(x=ONES["x"]), warm_up_record()], "input size does not match"),
        ([warm_up_record(x=ONES["x"])] * 1001, "exceeds the maximum"),
        ([b"\xff\xff"], "Failed to parse warmup record"),
        (
            [prediction_log_pb2.PredictionLog(session_run_log={}).SerializeToString()],
            "Unsupported log_type for warmup: 5",
        ),
    ],
)
def test_a_failing_warm_up_fails_the_load(tmp_path, records, problem):
    write_warm_up(add_version(tmp_path / "toolbox", 1), *records)
    with pytest.raises(StatusError, match=problem):
        Server(tmp_path / "toolbox", max_num_load_retries=0).start()


def test_warm_up_that_is_no_record_file(tmp_path):
    version = add_version(tmp_path / "toolbox", 1)
    write_warm_up(version)
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"x" * 64)
    flags = {"max_num_load_retries": 0}
    with pytest.raises(StatusError, match="in TFRecord format"):
        Server(tmp_path / "toolbox", **flags).start()
    with running(tmp_path / "toolbox", enable_model_warmup=False, **flags) as (
        _,
        client,
    ):
        assert client.predict(ONES)["y"][0, 0] == 6


def test_a_good_warm_up_is_replayed(tmp_path, caplog):
    caplog.set_level("INFO", "keras_attn.serving")
    version = add_version(tmp_path / "toolbox", 1)
    write_warm_up(version, *[warm_up_record(x=ONES["x"])] * 3)
    with running(tmp_path / "toolbox") as (_, client):
        assert client.predict(ONES)["y"][0, 0] == 6
    assert "Replayed 3 warm-up records" in caplog.text


def test_a_model_with_text_operations(tmp_path):
    text = pytest.importorskip("tensorflow_text")
    tokenizer = text.WhitespaceTokenizer()
    module = tf.Module()
    module.call = tf.function(
        lambda text: {"tokens": tokenizer.tokenize(text).to_tensor()},
        input_signature=[tf.TensorSpec([None], tf.string, "text")],
    )
    tf.saved_model.save(module, str(tmp_path / "toolbox/1"), signatures=module.call)
    with running(tmp_path / "toolbox") as (_, client):
        answer = client.predict({"text": ["3 mai 1997", "juin"]})
    assert answer["tokens"].tolist() == [["3", "mai", "1997"], ["juin", "", ""]]


def rename_lookups(version, name):
    """Gives an operation of the graph another name, of the same length."""
    graph = version / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"LookupTableFindV2", name))


def test_an_unknown_operation_is_named(tmp_path):
    version = add_version(tmp_path / "toolbox", 1)
    rename_lookups(version, b"LookupTableFindV9")
    text = "Op type not registered 'LookupTableFindV9'.*tensorflow-text"
    with pytest.raises(StatusError, match=text):
        Server(tmp_path / "toolbox", max_num_load_retries=0).start()


def test_text_operations_of_another_tensorflow(tmp_path, monkeypatch):
    """What `import tensorflow_text` raises where the two do not fit is TensorFlow's."""
    version = add_version(tmp_path / "toolbox", 1)
    rename_lookups(version, b"WhitespaceV9_Text")
    package = tmp_path / "packages" / "tensorflow_text"
    package.mkdir(parents=True)
    library = package / "__init__.py"
    library.write_text("import tensorflow as tf\ntf.load_op_library(__file__)\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "tensorflow_text", raising=False)
    with pytest.raises(tf.errors.NotFoundError):
        importlib.import_module("tensorflow_text")
    fit = f"in the version that fits TensorFlow {tf.__version__}"
    with pytest.raises(StatusError, match=f"'WhitespaceV9_Text'.*{fit}"):
        Server(tmp_path / "toolbox", max_num_load_retries=0).start()


def test_a_tflite_model_serves_where_it_is_preferred(tmp_path):
    version = add_version(tmp_path / "toolbox", 1)
    doubled = tf.function(lambda x: 2 * x, [tf.TensorSpec([2], tf.float32, "x")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [doubled.get_concrete_function()]
    )
    (version / "model.tflite").write_bytes(converter.convert())
    with running(tmp_path / "toolbox", prefer_tflite_model=True) as (_, client):
        (answer,) = client.predict({"x": np.float32([1, 4])}).values()
        assert answer.tolist() == [2, 8]
    with running(tmp_path / "toolbox") as (_, client):
        assert client.predict(ONES)["y"][0, 0] == 6


def test_xla_runs_only_where_it_is_allowed(toolbox):
    with running(toolbox) as (_, client):
        with pytest.raises(InternalError, match="XLA compilation disabled"):
            client.predict(ONES, signature_name="compiled")
    with running(toolbox, xla_cpu_compilation_enabled=True) as (_, client):
        answer = client.predict(ONES, signature_name="compiled")
        np.testing.assert_array_equal(answer["y"], [[2, 2, 2]])


def test_answers_as_tensor_content(toolbox):
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    with running(toolbox, enable_serialization_as_tensor_content=True) as (server, _):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "toolbox"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(ONES["x"]))
        with grpc.insecure_channel(
            server.address, [("grpc.enable_http_proxy", 0)]
        ) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            output = stub.Predict(request, timeout=30).outputs["y"]
    assert output.tensor_content == np.float32([6, -0.25]).tobytes()
    assert not output.float_val


def test_a_method_that_there_is_not(embedded_address):
    path = "/tensorflow.serving.PredictionService/PredictStreamed"
    with grpc.insecure_channel(
        embedded_address, [("grpc.enable_http_proxy", 0)]
    ) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(b"", timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["Predict", "GetModelMetadata"])
def test_malformed_bytes(embedded_address, method):
    path = f"/tensorflow.serving.PredictionService/{method}"
    with grpc.insecure_channel(
        embedded_address, [("grpc.enable_http_proxy", 0)]
    ) as channel:
        with pytest.raises(grpc.RpcError, match=f"Malformed {method}Request") as caught:
            channel.unary_unary(path)(b"\x0a\xff", timeout=30)
    assert caught.value.code() == grpc.StatusCode.INTERNAL


def test_health(toolbox):
    with running(toolbox, enable_grpc_healthcheck_service=True) as (server, _):
        with grpc.insecure_channel(
            server.address, [("grpc.enable_http_proxy", 0)]
        ) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert check(b"", timeout=30) == b"\x08\x01"
            assert check(b"\x0a\x0cModelService", timeout=30) == b"\x08\x01"
            with pytest.raises(grpc.RpcError, match="service name unknown"):
                check(b"\x0a\x01x", timeout=30)


def test_the_flags_reach_the_channels(toolbox):
    arguments = "grpc.max_receive_message_length=50,grpc.primary_user_agent=x"
    with running(toolbox, grpc_channel_arguments=arguments) as (_, client):
        with pytest.raises(ResourceExhaustedError, match="larger than max"):
            client.predict({"x": np.ones((9, 3), "float32")})


def test_metrics_of_grpc_requests(toolbox):
    with running(toolbox) as (server, client):
        client.predict(ONES)
        with pytest.raises(InvalidArgumentError):
            client.predict({"x": np.ones((1, 9), "float32")})
        page = server.metrics.render()
    labels = 'model_name="toolbox"'
    for line in (
        f'request_count{{{labels},status="OK"}} 1',
        f'request_count{{{labels},status="INVALID_ARGUMENT"}} 1',
        f'request_latency_count{{{labels},API="Predict",entrypoint="GRPC"}} 1',
        f'runtime_latency_count{{{labels},API="Predict",runtime="TF1"}} 1',
    ):
        assert f":tensorflow:serving:{line}\n" in page


def fetch(server, path, body=None):
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{server.rest_address}{path}"
    with without_proxy.open(url, body, timeout=30) as response:
        return response.read().decode()


def test_rest_beside_grpc_with_metrics(toolbox, tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text('prometheus_config { enable: true path: "/metrics" }')
    flags = {"rest_api_port": -1, "monitoring_config_file": str(file)}
    with running(toolbox, **flags) as (server, client):
        client.predict(ONES)
        assert '"state": "AVAILABLE"' in fetch(server, "/v1/models/toolbox")
        count = ':tensorflow:serving:request_count{model_name="toolbox",status="OK"} 1'
        assert count in fetch(server, "/metrics")
        address = server.rest_address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address.split(":"), timeout=10)
    with running(toolbox) as (server, _), pytest.raises(RuntimeError, match="REST"):
        print(server.rest_address)


def test_rest_on_the_port_of_grpc_is_left_out(toolbox, caplog):
    port = free_port()
    with running(toolbox, port=port, rest_api_port=port) as (_, client):
        assert client.predict(ONES)["y"][0, 0] == 6
    assert "server_options.http_port cannot be same as grpc_port" in caplog.text


def test_a_rest_port_in_use_stops_the_start_before_models_load(toolbox, caplog):
    caplog.set_level("INFO", "keras_attn.serving")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"Could not bind 127.0.0.1:{port}"):
            Server(toolbox, rest_api_port=port).start()
    assert "Loading servable" not in caplog.text


def test_a_changed_config_file_is_read_again(tmp_path, toolbox):
    config = tmp_path / "models.config"

    def write(*names):
        models = (
            f'config {{ name: "{name}" base_path: "{toolbox}" '
            'model_platform: "tensorflow" }'
            for name in names
        )
        whole = tmp_path / "new.config"
        whole.write_text(f"model_config_list {{ {' '.join(models)} }}")
        whole.replace(config)

    write("first")
    flags = {"model_config_file_poll_wait_seconds": 1, "model_config_file": str(config)}
    with Server(**flags) as server:
        write("first", "second")
        with Client(server.address, "second", timeout=30) as client:
            assert client.wait_until_available(30) == 3
        config.write_text("nonsense")
        with Client(server.address, "first", timeout=30) as client:
            assert client.predict(ONES)["y"][0, 0] == 6


def test_batching_parameters_need_batching(toolbox, tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 4 }")
    flags = {"batching_parameters_file": str(file)}
    text = (
        "INVALID_ARGUMENT: server_options.batching_parameters_file is set without "
        "setting server_options.enable_batching to true."
    )
    with pytest.raises(StatusError) as caught:
        Server(toolbox, **flags).start()
    assert str(caught.value) == text
    with running(toolbox, enable_batching=True, **flags) as (server, client):
        assert client.predict(ONES, outputs=["y"])["y"][0, 0] == 6
        with pytest.raises(InvalidArgumentError, match="maximum input batch size 4"):
            client.predict({"x": np.ones((5, 3), "float32")}, outputs=["y"])
        page = server.metrics.render()
    assert ":batching_session:wrapped_run_count{} 1\n" in page


def test_batching_parameters_of_a_version(tmp_path):
    version = add_version(tmp_path / "toolbox", 1)
    (version / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    flags = {"enable_batching": True, "enable_per_model_batching_parameters": True}
    with running(tmp_path / "toolbox", **flags) as (_, client):
        with pytest.raises(InvalidArgumentError, match="maximum input batch size 2"):
            client.predict({"x": np.ones((3, 3), "float32")}, outputs=["y"])


@pytest.mark.parametrize("batching", [False, True])
def test_a_socket_that_cannot_be_had_leaves_no_threads(toolbox, tmp_path, batching):
    before = set(threading.enumerate())
    path = str(tmp_path / "no such folder" / "socket")
    server = Server(toolbox, grpc_socket_path=path, enable_batching=batching)
    with pytest.raises(OSError, match="Could not bind unix:"):
        server.start()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if "_poll_wrapper" not in name}  # gRPC's own


def test_two_servers_do_not_share_a_port(toolbox):
    with Server(toolbox) as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(OSError, match=f"Could not bind 127.0.0.1:{port}"):
            Server(toolbox, port=port).start()


def test_stopping_waits_for_requests_in_flight(toolbox):
    answers = []

    def ask(address):
        with Client(address, "toolbox", timeout=60) as client:
            answers.append(client.predict({"steps": 300_000}, signature_name="count"))

    with Server(toolbox) as server:
        thread = threading.Thread(target=ask, args=[server.address])
        thread.start()
        time.sleep(0.2)
        assert thread.is_alive()
    thread.join()
    assert answers[0]["done"] == 300_000


def test_stopping_waits_for_rest_requests_in_flight(toolbox):
    answers = []
    body = b'{"signature_name": "count", "inputs": 300000}'

    def ask(server):
        answers.append(fetch(server, "/v1/models/toolbox:predict", body))

    with running(toolbox, rest_api_port=-1) as (server, _):
        thread = threading.Thread(target=ask, args=[server])
        thread.start()
        time.sleep(0.2)
        assert thread.is_alive()
    thread.join()
    assert '"outputs": 300000' in answers[0]


def test_keras_export(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    model.export(str(tmp_path / "toolbox" / "1"), verbose=False)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    with running(tmp_path / "toolbox") as (_, client):
        (output,) = client.predict({"x": x}).values()
    np.testing.assert_allclose(output, model(x), rtol=1e-5, atol=1e-5)
