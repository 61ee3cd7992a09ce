"""The operators' files say what servers and clusters understand, and agree."""

import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from keras_attn.serving.server import textproto
from keras_attn.serving.server.arguments import parse
from keras_attn.serving.server.metrics import Metrics
from tests.serving import operators_folder as operators
from tests.serving.conftest import free_port

KUBERNETES_FILES = [
    *("kubernetes/" + name for name in ("deployment.yaml", "service.yaml")),
    *("kubernetes/" + name for name in ("autoscaler.yaml", "disruption-budget.yaml")),
    "kubernetes/inference-service.yaml",
    "monitoring/pod-monitor.yaml",
]
COMMANDS = {
    "compose": operators.compose()["serving"]["command"],
    "Kubernetes": operators.container()["args"],
    "KServe": operators.inference_service()["model"]["args"],
}


def models():
    text = (operators.FOLDER / "config" / "models.config").read_text()
    return text_format.Parse(text, ModelServerConfig()).model_config_list.config


def config(name, kind):
    return textproto.read(str(operators.FOLDER / "config" / name), kind)


def options(where):
    return parse(COMMANDS[where]).options


@pytest.mark.parametrize("name", KUBERNETES_FILES)
def test_objects_have_the_fields_of_their_kind(name):
    for item in operators.documents(name):
        assert set(item) == {"apiVersion", "kind", "metadata", "spec"}
        fields = operators.FIELDS[item["apiVersion"], item["kind"]]
        assert not list(operators.misfits(item["metadata"], operators.METADATA))
        assert not list(operators.misfits(item["spec"], fields, item["kind"]))


def test_no_file_is_left_out_of_these_tests():
    files = {
        str(path.relative_to(operators.FOLDER))
        for path in operators.FOLDER.rglob("*")
        if path.is_file()
    }
    assert files == {
        *KUBERNETES_FILES,
        "README.md",
        "compose.yaml",
        "kustomization.yaml",
        *("config/" + name for name in ("models.config", "batching.config")),
        "config/monitoring.config",
        *("monitoring/" + name for name in ("alerts.yaml", "prometheus.yaml")),
        *("monitoring/grafana-" + name for name in ("dashboards.yaml",)),
        "monitoring/grafana-datasource.yaml",
        "monitoring/dashboard.json",
    }


@pytest.mark.parametrize("where", COMMANDS)
def test_both_servers_know_the_flags(where):
    line = parse(COMMANDS[where])
    assert not line.unknown
    assert not line.ignored
    assert not line.given & {"host", "rest_host", "pad_by_lengths", "engine"}


def test_images_are_pinned_and_the_same():
    images = [service["image"] for service in operators.compose().values()]
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image)
    assert operators.container()["image"] == images[0]
    version = operators.inference_service()["model"]["runtimeVersion"]
    assert images[0] == f"tensorflow/serving:{version}"


def test_compose_and_kubernetes_run_the_same_server():
    ours, theirs = options("compose"), options("Kubernetes")
    ours.file_system_poll_wait_seconds = theirs.file_system_poll_wait_seconds
    ours.grpc_channel_arguments = theirs.grpc_channel_arguments
    assert ours == theirs


def test_one_number_of_cpus():
    batches = config("batching.config", textproto.BATCHING_PARAMETERS)
    cpus = batches.num_batch_threads.value
    assert operators.compose()["serving"]["cpus"] == cpus
    for holder in (operators.container(), operators.inference_service()["model"]):
        assert holder["resources"]["limits"]["cpu"] == str(cpus)
    for where in COMMANDS:
        assert options(where).tensorflow_session_parallelism == cpus


@pytest.mark.parametrize("where", ["compose", "Kubernetes"])
def test_the_paths_of_the_flags_are_mounted(where):
    if where == "compose":
        volumes = [v.split(":") for v in operators.compose()["serving"]["volumes"]]
        mounts = {target: source for source, target, _ in volumes}
        assert mounts["/config"] == "./config"
    else:
        mounts = {
            m["mountPath"]: m["name"] for m in operators.container()["volumeMounts"]
        }
        volumes = {volume["name"]: volume for volume in operators.pod()["volumes"]}
        assert set(mounts.values()) == set(volumes)
        (kustomization,) = operators.documents("kustomization.yaml")
        (generated,) = kustomization["configMapGenerator"]
        assert volumes[mounts["/config"]]["configMap"]["name"] == generated["name"]
        held = {str(p.name) for p in (operators.FOLDER / "config").iterdir()}
        assert {name.removeprefix("config/") for name in generated["files"]} == held
    for flag, value in vars(options(where)).items():
        if flag.endswith("_file") and value:
            folder, _, name = value.rpartition("/")
            assert folder == "/config"
            assert (operators.FOLDER / "config" / name).is_file()
    for model in models():
        assert model.base_path == f"/models/{model.name}"


def test_the_texts_are_the_messages_of_their_flags():
    assert [model.model_platform for model in models()] == ["tensorflow"]
    batches = config("batching.config", textproto.BATCHING_PARAMETERS)
    # The rest would be ignored: it comes from the version.
    assert {field.name for field, _ in batches.ListFields()} == {
        "num_batch_threads",
        "thread_pool_name",
    }
    figures = config("monitoring.config", textproto.MONITORING_CONFIG)
    assert figures.prometheus_config.enable


def test_the_figures_are_scraped_where_they_are_shown():
    figures = config("monitoring.config", textproto.MONITORING_CONFIG)
    (prometheus,) = operators.documents("monitoring/prometheus.yaml")
    (job,) = prometheus["scrape_configs"]
    (monitor,) = operators.documents("monitoring/pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    path = figures.prometheus_config.path
    assert path == job["metrics_path"] == endpoint["path"]
    assert job["static_configs"] == [{"targets": ["serving:8501"]}]
    ports = {p["name"]: p["containerPort"] for p in operators.container()["ports"]}
    assert ports[endpoint["port"]] == 8501
    mounts = [v.split(":") for v in operators.compose()["prometheus"]["volumes"]]
    (rules,) = prometheus["rule_files"]
    assert f"/etc/prometheus/{rules}" in {target for _, target, _ in mounts}


def test_selectors_and_ports_meet():
    objects = operators.kubernetes()
    deployment = objects["Deployment", "serving"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    ports = {port["name"] for port in operators.container()["ports"]}
    assert deployment["selector"]["matchLabels"] == labels
    for (kind, _), item in objects.items():
        if kind == "Service":
            assert item["spec"]["selector"] == labels
            assert {port["targetPort"] for port in item["spec"]["ports"]} <= ports
    budget = objects["PodDisruptionBudget", "serving"]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    (monitor,) = operators.documents("monitoring/pod-monitor.yaml")
    assert monitor["spec"]["selector"]["matchLabels"] == labels
    target = objects["HorizontalPodAutoscaler", "serving"]["spec"]["scaleTargetRef"]
    deployment = objects["Deployment", target["name"]]
    assert (target["apiVersion"], target["kind"]) == ("apps/v1", deployment["kind"])
    assert objects["Service", "serving-grpc"]["spec"]["clusterIP"] == "None"


def test_the_autoscaler_alone_counts_replicas():
    objects = operators.kubernetes()
    assert "replicas" not in objects["Deployment", "serving"]["spec"]
    scaler = objects["HorizontalPodAutoscaler", "serving"]["spec"]
    budget = objects["PodDisruptionBudget", "serving"]["spec"]
    assert budget["maxUnavailable"] < scaler["minReplicas"] < scaler["maxReplicas"]
    assert operators.container()["resources"]["requests"][
        "cpu"
    ]  # what it is a share of


def test_a_pod_leaves_the_services_before_it_is_killed():
    ((_, seconds),) = [operators.container()["lifecycle"]["preStop"]["exec"]["command"]]
    assert int(seconds) + 10 < operators.pod()["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("title", operators.queries())
def test_queries_read_what_the_server_shows(title):
    shown = re.findall(r"# TYPE (\S+) (\w+)", Metrics().render())
    series = {
        name + suffix
        for name, kind in shown
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    query = operators.queries()[title]
    assert operators.metric_names(query) <= series
    assert operators.metric_names(query) or query.startswith("up{")
    for opening, closing in ("()", "[]", "{}"):
        assert query.count(opening) == query.count(closing)


def test_the_dashboard_is_whole():
    dashboard = operators.dashboard()
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard["panels"])))
    assert used - {"__rate_interval"} == variables
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    corners = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(corners) == len(panels)


def test_grafana_finds_datasource_and_dashboard():
    (source,) = operators.documents("monitoring/grafana-datasource.yaml")
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    (provider,) = operators.documents("monitoring/grafana-dashboards.yaml")
    folder = provider["providers"][0]["options"]["path"]
    mounts = [v.split(":") for v in operators.compose()["grafana"]["volumes"]]
    targets = {source: target for source, target, _ in mounts}
    assert targets["./monitoring/dashboard.json"].startswith(folder + "/")
    for source in targets:
        assert (operators.FOLDER / source).is_file()


def readiness_path():
    holders = operators.container(), operators.inference_service()["model"]
    (path,) = {holder["readinessProbe"]["httpGet"]["path"] for holder in holders}
    return path


def answers(address, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def healthy(port):
    """Runs the health check of the container against another port."""
    command = operators.compose()["serving"]["healthcheck"]["test"]
    assert command[0] == "CMD"
    command = [part.replace("$$", "$").replace("8501", str(port)) for part in command]
    return subprocess.run(command[1:], stderr=subprocess.DEVNULL).returncode == 0


def test_a_server_runs_as_the_container_does(serve, toolbox, tmp_path):
    """The container's command and files, with the folders where they lie here."""
    name = models()[0].name
    for file in (operators.FOLDER / "config").iterdir():
        text = file.read_text().replace(f"/models/{name}", str(toolbox))
        (tmp_path / file.name).write_text(text)
    rest_port = free_port()
    flags = [flag.replace("/config", str(tmp_path)) for flag in COMMANDS["Kubernetes"]]
    soon = "--model_config_file_poll_wait_seconds=1"
    server = serve("--port=0", f"--rest_api_port={rest_port}", *flags, soon)
    assert not healthy(rest_port)
    server.wait_for_line("Exporting HTTP/REST API at")
    assert healthy(rest_port)
    address = f"127.0.0.1:{rest_port}"
    assert answers(address, readiness_path()) == 200
    assert answers(address, "/monitoring/prometheus/metrics") == 200
    # The model goes: its status still answers 200, the probes do not.
    text = (tmp_path / "models.config").read_text()
    (tmp_path / "models.config").write_text(text.replace(name, "other"))
    server.wait_for_line("Unloaded servable")
    assert answers(address, f"/v1/models/{name}") == 200
    assert answers(address, readiness_path()) == 404
    assert not healthy(rest_port)
