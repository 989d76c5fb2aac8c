"""Functions as Knative Services, and the sources that tick them."""

import json
from collections.abc import Iterable, Iterator

from keyrail.dev.manifest_parts import (
    DeployedFunction,
    Manifest,
    container,
    dns_name,
    labels,
    metadata,
    service_account,
    volumes,
)

MAX_SCALE = 10
TARGET_PERCENT = 70  # of the concurrency; above it another instance starts before requests queue
TICK_AUDIENCE = "keyrail"
_PRIVATE = {"networking.knative.dev/visibility": "cluster-local"}


def services(deployed: Iterable[DeployedFunction]) -> Iterator[Manifest]:
    """All private: the gateway is the one door, since it reads a request to its end."""
    for function in deployed:
        yield service_account(function.host)
        yield _service(function)


def _service(function: DeployedFunction) -> Manifest:
    scale = {
        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "concurrency",
        "autoscaling.knative.dev/target-utilization-percentage": str(TARGET_PERCENT),
        "autoscaling.knative.dev/min-scale": str(function.min_instances),
        "autoscaling.knative.dev/max-scale": str(MAX_SCALE),
    }
    pod = {
        "serviceAccountName": function.host,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containerConcurrency": function.concurrency,
        "timeoutSeconds": function.timeout_seconds,
        "containers": [container(function, "http1", {})],
        "volumes": volumes(function),
    }
    told = metadata(function.host)
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {**told, "labels": {**told["labels"], **_PRIVATE}},
        "spec": {"template": {"metadata": {"labels": labels(function.host), "annotations": scale}, "spec": pod}},
    }


def ping_sources(deployed: Iterable[DeployedFunction]) -> Iterator[Manifest]:
    """With Knative's feature authentication-oidc each shows a token of its own service account."""
    for function in deployed:
        for route in function.schedules:
            yield {
                "apiVersion": "sources.knative.dev/v1",
                "kind": "PingSource",
                "metadata": metadata(dns_name(route["operation"]), "ticker"),
                "spec": {
                    "schedule": route["schedule"],
                    "timezone": "Etc/UTC",
                    "contentType": "application/json",
                    "data": json.dumps({}),
                    "sink": {
                        "ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": function.host},
                        "uri": route["path"],
                        "audience": TICK_AUDIENCE,
                    },
                },
            }


def ping_source_account(name: str) -> str:
    """The service account that Knative Eventing makes for a PingSource (its pkg/auth/serviceaccount.go)."""
    return f"{name}-oidc-sources.knative.dev-pingsource"
