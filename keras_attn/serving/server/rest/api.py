"""The API itself: a request in, an answer out."""

import logging
import zlib
from http import HTTPStatus

import grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from keras_attn.serving.server.inference import classify, regress
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.request_metrics import measured
from keras_attn.serving.server.rest.descriptions import (
    describe_metadata,
    describe_status,
)
from keras_attn.serving.server.rest.errors import error_body, http_status
from keras_attn.serving.server.rest.examples import (
    fill_request,
    write_classifications,
    write_regressions,
)
from keras_attn.serving.server.rest.http_message import (
    RequestHead,
    Response,
    html_error,
)
from keras_attn.serving.server.rest.predict import predict
from keras_attn.serving.server.rest.routes import (
    Route,
    find_route,
    is_of_the_api,
    parse_target,
)
from keras_attn.serving.server.status import StatusError

logger = logging.getLogger("keras_attn.serving")

_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
_LARGEST_INFLATED = 100 << 20
_GZIP = 16 + zlib.MAX_WBITS

_JSON = ("Content-Type", "application/json")
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)


class RestApi:
    """Answers requests; called from many threads.

    Args:
        manager: The models.
        metrics: Counts and times the requests for inference.
        timeout: Seconds that one may run, `None` for as long as it takes.
        cors: Whether answers allow scripts of any origin.
        prometheus_path: Path of the page with the metrics; empty for none.
    """

    def __init__(
        self,
        manager: ModelManager,
        metrics: Metrics,
        timeout: float | None = None,
        cors: bool = False,
        prometheus_path: str = "",
    ):
        self._manager = manager
        self._metrics = metrics
        self._timeout = timeout
        self._cors = _CORS if cors else ()
        self._prometheus_path = prometheus_path

    def answer(self, head: RequestHead, body: bytes) -> Response:
        """Answers any request, wrong ones too."""
        if head.method not in _METHODS:
            return html_error(HTTPStatus.NOT_IMPLEMENTED)
        path = parse_target(head.target)
        if path is None:
            return html_error(HTTPStatus.BAD_REQUEST)
        if self._prometheus_path and path.partition("?")[0] == self._prometheus_path:
            return self._show_metrics(path)
        if not is_of_the_api(path):
            return html_error(HTTPStatus.NOT_FOUND)
        if head.method == "OPTIONS":
            origin = head.header("origin")
            is_known = "http://" in origin or "https://" in origin
            return Response(200 if is_known else 400, headers=self._cors)
        if "gzip" in head.header("content-encoding"):
            body = _inflate(body)
        try:
            status, text = 200, self._dispatch(find_route(head.method, path), body)
        except StatusError as error:
            status, text = http_status(error.code), error_body(error)
        except Exception as error:
            logger.exception("%s %s failed", head.method, path)
            problem = f"{type(error).__name__}: {error}"
            failure = StatusError(grpc.StatusCode.INTERNAL, problem)
            status, text = http_status(failure.code), error_body(failure)
        return Response(status, text, (_JSON, *self._cors))

    def _dispatch(self, route: Route, body: bytes) -> bytes:
        if route.action == "metadata":
            return describe_metadata(self._manager, route.spec)
        if route.action == "status":
            return describe_status(self._manager, route.spec)
        with measured(self._metrics, route.spec.name, route.action, "REST"):
            return self._infer(route, body)

    def _infer(self, route: Route, body: bytes) -> bytes:
        if route.action == "predict":
            return predict(self._manager, route.spec, body, self._timeout)
        if route.action == "classify":
            request = ClassificationRequest()
            fill_request(request, route.spec, body)
            answer = classify(self._manager, request, self._timeout)
            return write_classifications(answer.result)
        regression = RegressionRequest()
        fill_request(regression, route.spec, body)
        return write_regressions(
            regress(self._manager, regression, self._timeout).result
        )

    def _show_metrics(self, path: str) -> Response:
        headers = (("Content-Type", "text/plain"),)
        if path != self._prometheus_path:
            problem = f"Unexpected path: {path}. Should be {self._prometheus_path}"
            return Response(400, problem.encode(), headers)
        return Response(200, self._metrics.render().encode(), headers)


def _inflate(body: bytes) -> bytes:
    """Unpacks gzip; what is broken or too large reads as nothing, as in TF Serving."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(body, _LARGEST_INFLATED)
    except zlib.error:
        return b""
    return text if unpacker.eof else b""
