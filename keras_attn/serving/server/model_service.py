"""`tensorflow.serving.ModelService`: how models do, and which there are."""

from collections.abc import Iterable

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
)
from tensorflow_serving.apis.model_management_pb2 import (
    ReloadConfigRequest,
    ReloadConfigResponse,
)

from keras_attn.serving.server.config import model_configs
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.model import Version
from keras_attn.serving.server.model_spec import requested_model
from keras_attn.serving.server.status import StatusError, invalid_argument


def get_model_status(
    manager: ModelManager, request: GetModelStatusRequest
) -> GetModelStatusResponse:
    """The versions asked for, highest first; a label in the request is ignored.

    Raises:
        StatusError: There are none.
    """
    versions = map(_version_status, manager.statuses(requested_model(request)))
    return GetModelStatusResponse(model_version_status=versions)


def reload_config(
    manager: ModelManager,
    request: ReloadConfigRequest,
    metrics: Metrics | None = None,
    timeout: float | None = None,
) -> ReloadConfigResponse:
    """Replaces the models, and waits until those with new names can answer.

    Args:
        manager: Whose models they are.
        request: All the models, and names of metrics whose increase is wanted.
        metrics: Where these are counted.
        timeout: Seconds after which the client no longer waits.

    Raises:
        StatusError: The configuration is refused, or a new model cannot be loaded.
    """
    if not request.config.HasField("model_config_list"):
        raise invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    before = _values(metrics, request.metric_names)
    try:
        manager.reload(model_configs(request.config), timeout)
    except TimeoutError as error:
        raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, str(error)) from None
    response = ReloadConfigResponse()
    response.status.SetInParent()
    for name, value in _values(metrics, request.metric_names).items():
        response.metric.add(name=name, int64_value_increase=value - before[name])
    return response


def _values(metrics: Metrics | None, names: Iterable[str]) -> dict[str, int]:
    return {} if metrics is None else {name: metrics.value(name) for name in names}


def _version_status(version: Version) -> ModelVersionStatus:
    status = ModelVersionStatus(version=version.number, state=version.state.value)
    status.status.SetInParent()
    if version.error is not None:
        status.status.error_code = version.error.number
        status.status.error_message = version.error.message
    return status
