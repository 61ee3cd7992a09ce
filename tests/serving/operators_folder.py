"""The operators' folder as data, and the fields that its objects may have."""

import json
import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "serving"


def documents(*names):
    """Every YAML document of the files."""
    return [
        document
        for name in names
        for document in yaml.safe_load_all((FOLDER / name).read_text())
    ]


def compose():
    (document,) = documents("compose.yaml")
    return document["services"]


def kubernetes():
    """What `kubectl apply -k` applies, by kind and name."""
    (kustomization,) = documents("kustomization.yaml")
    return {
        (item["kind"], item["metadata"]["name"]): item
        for item in documents(*kustomization["resources"])
    }


def pod():
    return kubernetes()["Deployment", "serving"]["spec"]["template"]["spec"]


def container():
    (only,) = pod()["containers"]
    return only


def inference_service():
    (document,) = documents("kubernetes/inference-service.yaml")
    return document["spec"]["predictor"]


def dashboard():
    return json.loads((FOLDER / "monitoring" / "dashboard.json").read_text())


def queries():
    """The PromQL of dashboard and alerts, by title."""
    panels = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }
    (alerts,) = documents("monitoring/alerts.yaml")
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    return panels | {rule["alert"]: rule["expr"] for rule in rules}


PROBE = {
    **dict.fromkeys("periodSeconds timeoutSeconds failureThreshold".split(), int),
    "grpc": {"port": int},
    "httpGet": {"path": str, "port": (str, int)},
}
LABELS = {"app.kubernetes.io/name": str}
SELECTOR = {"matchLabels": LABELS}
METADATA = {"name": str, "labels": LABELS}
AMOUNTS = {"cpu": str, "memory": str}
RESOURCES = {"requests": AMOUNTS, "limits": AMOUNTS}
CONTAINER = {
    "name": str,
    "image": str,
    "args": [str],
    "ports": [{"name": str, "containerPort": int}],
    "startupProbe": PROBE,
    "readinessProbe": PROBE,
    "livenessProbe": PROBE,
    "lifecycle": {"preStop": {"exec": {"command": [str]}}},
    "resources": RESOURCES,
    "securityContext": {
        "allowPrivilegeEscalation": bool,
        "capabilities": {"drop": [str]},
        "seccompProfile": {"type": str},
    },
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
POD = {
    "terminationGracePeriodSeconds": int,
    "topologySpreadConstraints": [
        {
            "maxSkew": int,
            "topologyKey": str,
            "whenUnsatisfiable": str,
            "labelSelector": SELECTOR,
        }
    ],
    "containers": [CONTAINER],
    "volumes": [
        {
            "name": str,
            "configMap": {"name": str},
            "persistentVolumeClaim": {"claimName": str, "readOnly": bool},
        }
    ],
}
SCALING = {
    "stabilizationWindowSeconds": int,
    "policies": [{"type": str, "value": int, "periodSeconds": int}],
}
# The fields of the API that the files may use, and the types of their values.
FIELDS = {
    ("apps/v1", "Deployment"): {
        "selector": SELECTOR,
        "strategy": {
            "type": str,
            "rollingUpdate": {"maxSurge": int, "maxUnavailable": int},
        },
        "template": {"metadata": {"labels": LABELS}, "spec": POD},
    },
    ("v1", "Service"): {
        "clusterIP": str,
        "selector": LABELS,
        "ports": [{"name": str, "port": int, "targetPort": str}],
    },
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {
        "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str},
        "minReplicas": int,
        "maxReplicas": int,
        "metrics": [
            {
                "type": str,
                "resource": {
                    "name": str,
                    "target": {"type": str, "averageUtilization": int},
                },
            }
        ],
        "behavior": {"scaleUp": SCALING, "scaleDown": SCALING},
    },
    ("policy/v1", "PodDisruptionBudget"): {"maxUnavailable": int, "selector": SELECTOR},
    ("monitoring.coreos.com/v1", "PodMonitor"): {
        "selector": SELECTOR,
        "podMetricsEndpoints": [{"port": str, "path": str, "interval": str}],
    },
    ("serving.kserve.io/v1beta1", "InferenceService"): {
        "predictor": {
            "minReplicas": int,
            "maxReplicas": int,
            "scaleMetric": str,
            "scaleTarget": int,
            "model": {
                "modelFormat": {"name": str},
                "runtime": str,
                "runtimeVersion": str,
                "storageUri": str,
                "args": [str],
                "readinessProbe": PROBE,
                "resources": RESOURCES,
            },
        }
    },
}


def misfits(value, fields, where=""):
    """What in `value` is no field that `fields` knows, or of another type."""
    if isinstance(fields, dict) and isinstance(value, dict):
        for name, item in value.items():
            if name not in fields:
                yield f"{where}.{name} is no known field"
            else:
                yield from misfits(item, fields[name], f"{where}.{name}")
    elif isinstance(fields, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, fields[0], f"{where}[{index}]")
    elif isinstance(fields, dict | list) or not isinstance(value, fields):
        yield f"{where} is {value!r}"


def metric_names(query):
    """The series that a query reads; they are told by their first colon."""
    return set(re.findall(r"(?<![\w:]):[\w:]+", query))
