"""Servers with a REST API: what holds for ours is also asked of TF Serving's own binary
if `TENSORFLOW_MODEL_SERVER` names it.
"""

import pytest

from tests.serving.conftest import OFFICIAL, ServerProcess, free_port
from tests.serving.rest_model import save_rest_model

METRICS = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="session")
def flags(two_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    save_rest_model(folder / "rest" / "2")
    models = two_models.read_text().rstrip().removesuffix("}")
    config = folder / "models.config"
    config.write_text(
        f'{models} config {{ name: "rest" base_path: "{folder / "rest"}" '
        'model_platform: "tensorflow" version_labels { key: "stable" value: 2 } } }'
    )
    monitoring = folder / "monitoring.config"
    monitoring.write_text(f'prometheus_config {{ enable: true path: "{METRICS}" }}')
    return {
        "model_config_file": str(config),
        "monitoring_config_file": str(monitoring),
        "allow_version_labels_for_unavailable_models": True,  # as they are at first
    }


@pytest.fixture(scope="session")
def embedded(flags):
    from keras_attn.serving import Server

    with Server(rest_api_port=-1, **flags) as server:
        yield server.rest_address


@pytest.fixture(scope="session")
def official(flags):
    port = free_port()
    process = ServerProcess(
        [
            OFFICIAL,
            f"--port={free_port()}",
            f"--rest_api_port={port}",
            *(
                f"--{name}={value}".replace("=True", "=true")
                for name, value in flags.items()
            ),
        ]
    )
    try:
        process.wait_for_line("Exporting HTTP/REST API")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()


@pytest.fixture(params=["embedded", *(["official"] if OFFICIAL else [])])
def server(request):
    return request.getfixturevalue(request.param)
