"""The messages of `tensorflow-serving-api` that an export is written in."""

try:
    from tensorflow_serving.apis import prediction_log_pb2
    from tensorflow_serving.config import model_server_config_pb2
except ModuleNotFoundError as error:
    raise ImportError(
        "Exports hold warm-up requests and configurations in the messages of "
        "`tensorflow-serving-api`, which is not installed: "
        "pip install 'keras-attn[serving]'"
    ) from error

__all__ = ["model_server_config_pb2", "prediction_log_pb2"]
