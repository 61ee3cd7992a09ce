"""What the embedded server alone can be asked about its inference methods."""

import threading
import time

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from keras_attn.serving import Server
from keras_attn.serving.server import StatusError
from keras_attn.serving.server.health import Health
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.multi_inference import multi_inference_with
from keras_attn.serving.server.request_metrics import measured
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.session import GraphSession, SessionOptions
from keras_attn.serving.server.warmup import WARMUP_FILE, warm_up
from tests.serving.heads_model import CLASSIFY, PREDICT, REGRESS, save_heads
from tests.serving.test_inference_contract import (
    ROWS,
    asking,
    classification,
    example,
    failure,
    multi_inference,
    predict_with_default,
    regression,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def connect(server):
    return grpc.insecure_channel(server.address, [("grpc.enable_http_proxy", 0)])


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def servable(heads, metrics):
    graph = GraphSession(heads / "5", SessionOptions())
    servable = Servable("heads", 5, graph, metrics=metrics)
    yield servable
    servable.close()


def test_signatures_keep_to_their_method_where_that_is_checked(heads):
    with Server(heads, enable_signature_method_name_check=True) as server:
        with connect(server) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            assert stub.Classify(classification(), timeout=30).result.classifications
            assert stub.Regress(regression(), timeout=30).result.regressions
            assert stub.Predict(predict_with_default(a=[1]), timeout=30).outputs
            assert failure(stub.Classify, classification("regress")) == (
                INVALID,
                f"Expected classification signature method_name to be {CLASSIFY}. "
                f"Was: {REGRESS}",
            )
            assert failure(stub.Regress, regression("predict")) == (
                INVALID,
                f"Expected regression signature method_name to be {REGRESS}. "
                f"Was: {PREDICT}",
            )
            assert failure(
                stub.MultiInference, multi_inference(("regress", CLASSIFY))
            ) == (
                INVALID,
                f"Expected classification signature method_name to be {CLASSIFY}. "
                f"Was: {REGRESS}",
            )
            assert failure(stub.Predict, asking(predict_with_default(), "unnamed")) == (
                grpc.StatusCode.INTERNAL,
                "Expected prediction signature method_name to be one of "
                f"{{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was: ",
            )


def test_requests_are_counted_and_timed(heads):
    server = Server(heads)
    with server, connect(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(predict_with_default(a=[1]), timeout=30)
        stub.Classify(classification(), timeout=30)
        stub.Regress(regression(), timeout=30)
        stub.MultiInference(multi_inference(("regress", REGRESS)), timeout=30)
        failure(stub.Classify, classification(rows=[]))
        failure(stub.Regress, regression(name="foo"))
    page = server.metrics.render().splitlines()
    heads = 'model_name="heads"'
    for line in [
        'request_count{model_name="heads",status="OK"} 3',
        'request_count{model_name="heads",status="INVALID_ARGUMENT"} 1',
        'request_count{model_name="foo",status="NOT_FOUND"} 1',
        *(
            f'request_latency_count{{{heads},API="{api}",entrypoint="GRPC"}} 1'
            for api in ("Predict", "Classify", "Regress")
        ),
        *(
            f'runtime_latency_count{{{heads},API="{api}",runtime="TF1"}} 1'
            for api in ("Predict", "Classify", "Regress", "MultiInference")
        ),
        'request_example_counts_count{model="heads"} 3',
        'request_example_count_total{model="heads"} 9',
    ]:
        assert f":tensorflow:serving:{line}" in page


def test_a_request_that_breaks_counts_as_internal(metrics):
    with pytest.raises(ZeroDivisionError), measured(metrics, "m", "Predict"):
        1 / 0  # noqa: B018
    page = metrics.render()
    assert 'request_count{model_name="m",status="INTERNAL"} 1' in page
    assert "request_latency_count{" not in page


def slow_predict():
    request = asking(predict_pb2.PredictRequest(), "slow")
    request.inputs["inputs"].CopyFrom(
        tf.make_tensor_proto([example(x=ROWS[0]).SerializeToString()])
    )
    return request


def test_work_is_broken_off_when_the_time_is_up(heads):
    """The client hears of it at once, the metrics when the work has ended."""
    server = Server(heads)
    with server, connect(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for method, request in [
            (stub.Predict, slow_predict()),
            (stub.Classify, classification("slow")),
            (stub.Regress, regression("regress_slow")),
        ]:
            with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
                method(request, timeout=0.2)
        line = 'request_count{model_name="heads",status="DEADLINE_EXCEEDED"} 3'
        end = time.monotonic() + 10
        while line not in server.metrics.render():
            assert time.monotonic() < end, "the work goes on"
            time.sleep(0.02)


@pytest.mark.parametrize("timeout", [0.2, 0.0])
def test_multi_inference_is_broken_off_too(servable, timeout):
    request = multi_inference(("slow", CLASSIFY), ("regress", REGRESS))
    with pytest.raises(StatusError) as caught:
        multi_inference_with(servable, request, timeout)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def write_warm_up(version, *logs):
    file = version / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return version


def log_of(kind, request):
    log = prediction_log_pb2.PredictionLog()
    getattr(log, kind).request.CopyFrom(request)
    return log


GOOD_LOGS = [
    log_of("predict_log", predict_with_default(a=[1.0])),
    log_of("classify_log", classification(name="")),
    log_of("regress_log", regression(name="")),
    log_of("multi_inference_log", multi_inference(("regress", REGRESS))),
    prediction_log_pb2.PredictionLog(log_metadata={}),
]


def test_every_method_can_be_warmed_up(servable, metrics, tmp_path):
    write_warm_up(tmp_path, *GOOD_LOGS)
    assert warm_up(servable, tmp_path, iterations=2) == 5
    page = metrics.render()
    for api in ("Predict", "Classify", "Regress", "MultiInference"):
        assert f'API="{api}",runtime="TF1"}} 2' in page


@pytest.mark.parametrize(
    ("log", "code", "text"),
    [
        (log_of("classify_log", classification("x")), INVALID, "with the name: x"),
        (log_of("regress_log", regression(rows=[])), INVALID, "Input is empty."),
        (
            log_of("multi_inference_log", multi_inference(("regress", PREDICT))),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name",
        ),
        (
            prediction_log_pb2.PredictionLog(session_run_log={}),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported log_type for warmup: 5",
        ),
        (
            prediction_log_pb2.PredictionLog(predict_streamed_log={}),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported log_type for warmup: 7",
        ),
    ],
)
def test_a_warm_up_that_fails(servable, tmp_path, log, code, text):
    write_warm_up(tmp_path, GOOD_LOGS[0], log)
    with pytest.raises(StatusError, match=text) as caught:
        warm_up(servable, tmp_path)
    assert caught.value.code == code


def test_warm_up_through_batches(tmp_path):
    version = save_heads(tmp_path / "heads" / "1", tmp_path / "vocabulary.txt")
    write_warm_up(version, *GOOD_LOGS[1:])
    server = Server(tmp_path / "heads", enable_batching=True)
    with server, connect(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Classify(classification(), timeout=30)
        assert len(response.result.classifications) == 3
    line = ":tensorflow:serving:batching_session:wrapped_run_count{} 4"
    assert line in server.metrics.render().splitlines()


SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
NAMED = b"\x0a\x11PredictionService"


@pytest.mark.parametrize("batching", [False, True])
def test_health(heads, batching):
    flags = {"enable_batching": batching, "enable_grpc_healthcheck_service": True}
    with Server(heads, **flags) as server, connect(server) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        for name in (b"", b"\x0a\x0cModelService", NAMED):
            assert check(name, timeout=30) == SERVING
        with pytest.raises(grpc.RpcError, match="service name unknown") as caught:
            check(b"\x0a\x01x", timeout=30)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND

        unknown = watch(b"\x0a\x01x", timeout=30)
        assert next(unknown) == SERVICE_UNKNOWN
        unknown.cancel()
        watchers = [watch(NAMED, timeout=30) for _ in range(40)]
        assert [next(watcher) for watcher in watchers] == [SERVING] * 40
        assert check(b"", timeout=30) == SERVING  # they hold no thread
        start = time.monotonic()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert [list(watcher) for watcher in watchers] == [[NOT_SERVING]] * 40
        stopping.join()
        assert time.monotonic() - start < 10  # nor do they hold up the end


def test_who_watches_too_late_is_told_so():
    health, sent = Health(), []
    health.shut_down()
    health.watch(b"", None, sent.append)
    assert sent == [NOT_SERVING, NOT_SERVING, None]
    assert health.check(b"", None) == NOT_SERVING


def test_there_is_no_health_service_unless_asked_for(embedded_address):
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(embedded_address, options) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
