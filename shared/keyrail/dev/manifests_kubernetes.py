"""Functions on a cluster without Knative: Deployments, the CronJobs that tick them, and routes of the Gateway API."""

import re
from collections.abc import Iterable, Iterator, Sequence

from keyrail.dev.manifest_parts import (
    NAMESPACE,
    DeployedFunction,
    Manifest,
    confined,
    container,
    dns_name,
    labels,
    metadata,
    projected_token,
    service_account,
    volumes,
)
from keyrail.operations.operation import Operation

STOP_SECONDS = 40  # a function has 30 s for what it has begun, docs/operations.md "Stopping"
CURL_IMAGE = "curlimages/curl:8.16.0"
TICKER, TICK_AUDIENCE = "ticker", "keyrail"
MAX_REPLICAS = 10
_SCALE_UP_AT_PERCENT = 70

# The token stands in curl's standard input, never among its arguments, where every process of a node can read it.
TICK_SCRIPT = """\
printf 'header = "Authorization: Bearer %s"\\n' "$(cat "$TOKEN_FILE")" |
  curl --config - --silent --show-error --fail-with-body --max-time "$MAX_SECONDS" \\
    --header 'Content-Type: application/json' --data '{}' "$TICK_URL"
"""


def functions(deployed: Iterable[DeployedFunction]) -> Iterator[Manifest]:
    for function in deployed:
        yield service_account(function.host)
        yield _deployment(function)
        yield _service(function)
        if function.min_instances:
            yield _autoscaler(function)
            yield _disruption_budget(function)


def _replicas(function: DeployedFunction) -> int:
    """Without Knative nothing scales to zero; what must always be there has two."""
    return 2 if function.min_instances else 1


def _deployment(function: DeployedFunction) -> Manifest:
    replicas = {} if function.min_instances else {"replicas": 1}  # else the autoscaler's
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(function)},
    }
    pod = {
        "serviceAccountName": function.host,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "topologySpreadConstraints": [spread],
        "containers": [container(function, "http", {"port": "http"})],
        "volumes": volumes(function),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(function.host),
        "spec": {
            **replicas,
            "selector": {"matchLabels": _selector(function)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels(function.host)}, "spec": pod},
        },
    }


def _selector(function: DeployedFunction) -> dict[str, str]:
    return {"app.kubernetes.io/name": function.host}


def _service(function: DeployedFunction) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(function.host),
        "spec": {
            "selector": _selector(function),
            "ports": [{"name": "http", "port": 8080, "targetPort": "http", "appProtocol": "http"}],
        },
    }


def _autoscaler(function: DeployedFunction) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": _SCALE_UP_AT_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(function.host),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": function.host},
            "minReplicas": _replicas(function),
            "maxReplicas": MAX_REPLICAS,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _disruption_budget(function: DeployedFunction) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(function.host),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(function)}},
    }


def cron_jobs(deployed: Iterable[DeployedFunction]) -> Iterator[Manifest]:
    """One for each route with a schedule. Each shows a token of the service account `ticker`, for us alone."""
    yield service_account(TICKER, "ticker")
    for function in deployed:
        for route in function.schedules:
            yield _cron_job(function, route["operation"], route["path"], route["schedule"])


def _cron_job(function: DeployedFunction, operation: str, path: str, schedule: str) -> Manifest:
    url = f"http://{function.host}.{NAMESPACE}.svc:8080{path}"
    call = {
        "name": "call",
        "image": CURL_IMAGE,
        "command": ["/bin/sh", "-euc", TICK_SCRIPT],
        "env": [
            {"name": "TICK_URL", "value": url},
            {"name": "TOKEN_FILE", "value": "/var/run/secrets/keyrail/token"},
            {"name": "MAX_SECONDS", "value": str(function.timeout_seconds)},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": confined(),
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/keyrail", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": TICKER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "containers": [call],
        "volumes": [{"name": "token", "projected": {"sources": [projected_token(TICK_AUDIENCE)]}}],
    }
    job = {
        "backoffLimit": 0,  # the next tick makes up for it
        "activeDeadlineSeconds": function.timeout_seconds + 30,
        "ttlSecondsAfterFinished": 3600,
        "template": {"metadata": {"labels": labels(dns_name(operation), "ticker")}, "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata(dns_name(operation), "ticker"),
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 60,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": job},
        },
    }


def http_routes(deployed: Sequence[DeployedFunction], operations: Iterable[Operation]) -> Iterator[Manifest]:
    """One rule an operation. What only the clock calls stays inside the cluster."""
    function_of = {route["operation"]: function for function in deployed for route in function.routes}
    rules = [
        _rule(operation, function_of[operation.name])
        for operation in sorted(operations, key=lambda each: each.path.count("{"))
        if not operation.takes_events
    ]
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata("keyrail", "route"),
        "spec": {"parentRefs": [{"name": "keyrail", "sectionName": "https"}], "rules": rules},
    }


def _rule(operation: Operation, function: DeployedFunction) -> Manifest:
    return {
        "matches": [{"method": operation.method, "path": _path(operation)}],
        "timeouts": {"request": f"{function.timeout_seconds}s"},
        "backendRefs": [{"name": function.host, "port": 8080}],
    }


def _path(operation: Operation) -> dict[str, str]:
    if "{" not in operation.path:
        return {"type": "Exact", "value": operation.path}
    return {"type": "RegularExpression", "value": re.sub(r"\?P<\w+>", "", operation.route())}
