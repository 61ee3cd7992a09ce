"""Whether and where the metrics are shown."""

from keras_attn.serving.server.textproto import MONITORING_CONFIG, read

_DEFAULT_PATH = "/monitoring/prometheus/metrics"


def prometheus_path(monitoring_config_file: str) -> str:
    """The path of the metrics page on the REST port; empty if there is none.

    Raises:
        StatusError: The file is no `MonitoringConfig`.
    """
    if not monitoring_config_file:
        return ""
    config = read(monitoring_config_file, MONITORING_CONFIG).prometheus_config
    return (config.path or _DEFAULT_PATH) if config.enable else ""
