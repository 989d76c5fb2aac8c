"""`python -m keyrail.dev.manifests`: what in infra/ follows from functions/*/function.yaml and the catalogue, and the
tables of Terraform's inputs.

A consistency test compares what is committed with what this makes: `make manifests` writes it anew.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from keyrail.dev import gateway, manifests_knative, manifests_kubernetes, terraform_inputs
from keyrail.dev.functions import function_of_operation
from keyrail.dev.manifest_parts import DeployedFunction, Manifest, dns_name
from keyrail.dev.yaml_text import yaml_text
from keyrail.operations.catalogue import CATALOGUE

_HEAD = "# Made by `make manifests` from functions/*/function.yaml: change those.\n"


def manifests(functions: Path) -> dict[str, str]:
    """The text of each file, by its path in infra/."""
    deployed = [_deployed(file) for file in sorted(functions.glob("*/function.yaml"))]
    files: dict[str, Iterable[Manifest]] = {
        "kubernetes/functions/functions.yaml": manifests_kubernetes.functions(deployed),
        "kubernetes/rotation/cronjobs.yaml": manifests_kubernetes.cron_jobs(deployed),
        "kubernetes/routes/gateway-api/http-routes.yaml": manifests_kubernetes.http_routes(deployed, CATALOGUE),
        "knative/functions/services.yaml": manifests_knative.services(deployed),
        "knative/rotation/ping-sources.yaml": manifests_knative.ping_sources(deployed),
    }
    sources = {each.name: functions / each.name / "main.py" for each in deployed}
    host_of = {operation: dns_name(name) for operation, name in function_of_operation(sources).items()}
    plain = {operation: f"{host}:8080" for operation, host in host_of.items()}
    knative = {operation: f"{host}.keyrail.svc.cluster.local:80" for operation, host in host_of.items()}
    offered = [operation for operation in CATALOGUE if not operation.takes_events]  # the clock calls those directly
    return {
        **{path: _text(documents) for path, documents in files.items()},
        "kubernetes/gateway/caddy.json": gateway.container_configuration(offered, plain, own_host=False),
        "knative/gateway/caddy.json": gateway.container_configuration(offered, knative, own_host=True),
    }


def _deployed(file: Path) -> DeployedFunction:
    told: dict[str, Any] = yaml.safe_load(file.read_text())
    return DeployedFunction(
        **{**told, "routes": tuple(told["routes"]), "extras": tuple(told["extras"])}, version=version("keyrail")
    )


def _text(documents: Iterable[Manifest]) -> str:
    return _HEAD + "---\n".join(yaml_text(document) for document in documents)


def main() -> int:
    for path, text in manifests(Path("functions")).items():
        file = Path("infra") / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for file, text in terraform_inputs.readmes(Path("infra/terraform")).items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
