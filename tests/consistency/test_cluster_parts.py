"""What infra/knative and infra/kubernetes bring: each part that docs/deploy promises, for each function."""

from collections import Counter

import pytest
import yaml
from manifests import INFRA, Manifest, closure, manifests, pod_template
from repository import ROOT, text_of

from keyrail.dev.manifest_parts import dns_name

FUNCTIONS = sorted(file.parent.name for file in (ROOT / "functions").glob("*/function.yaml"))
SCHEDULED = {
    (route["schedule"], route["path"])
    for function in FUNCTIONS
    for route in yaml.safe_load(text_of(f"functions/{function}/function.yaml"))["routes"]
    if route["schedule"] is not None
}
CONFIG_SERVICE = {
    "ServiceAccount": 1,
    "Deployment": 1,
    "Service": 2,
    "HorizontalPodAutoscaler": 1,
    "PodDisruptionBudget": 1,
    "NetworkPolicy": 1,
}
KNATIVE = [each for each in manifests() if each.kind == "Service.serving.knative.dev"]


def of_kind(folder: str, kind: str) -> list[Manifest]:
    return [each for each in closure(INFRA / folder) if each.document["kind"] == kind]


def test_each_function_is_one_service_of_knative() -> None:
    (folder,) = {each.file.parent for each in KNATIVE if each.file.parent.name == "functions"}
    assert sorted(each.name for each in KNATIVE if each.file.parent == folder) == [dns_name(name) for name in FUNCTIONS]


@pytest.mark.parametrize("manifest", KNATIVE, ids=str)
def test_a_service_of_knative_is_private_and_scales_within_bounds(manifest: Manifest) -> None:
    """Private: the gateway is the one door."""
    assert manifest.document["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    told = manifest.spec["template"]["metadata"]["annotations"]
    least, most = (int(told[f"autoscaling.knative.dev/{end}-scale"]) for end in ("min", "max"))
    assert 0 <= least < most


def test_the_clock_calls_rotate_as_function_yaml_says() -> None:
    sources = {(each.spec["schedule"], each.spec["sink"]["uri"]) for each in of_kind("knative/rotation", "PingSource")}
    assert sources == SCHEDULED
    jobs = of_kind("kubernetes/rotation", "CronJob")
    urls = {
        (each.spec["schedule"], variable["value"].removeprefix("http://rotate.keyrail.svc:8080"))
        for each in jobs
        for container in each.spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]
        if variable["name"] == "TICK_URL"
    }
    assert urls == SCHEDULED


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_every_function_sends_its_events_to_a_broker_whose_triggers_pick_some(overlay: str) -> None:
    folder = f"knative/overlays/{overlay}"
    (broker,) = of_kind(folder, "Broker")
    (binding,) = of_kind(folder, "SinkBinding")
    assert binding.spec["sink"]["ref"]["name"] == broker.name
    wanted = binding.spec["subject"]["selector"]["matchLabels"].items()
    bound = {each.name for each in KNATIVE if wanted <= each.document["metadata"]["labels"].items()}
    assert bound == {dns_name(name) for name in FUNCTIONS}
    assert {each.spec["broker"] for each in of_kind(folder, "Trigger")} == {broker.name}


def test_the_grpc_container_has_all_that_keeps_it_up() -> None:
    there = closure(INFRA / "kubernetes/config-service")
    assert Counter(each.document["kind"] for each in there) == CONFIG_SERVICE
    assert [each.spec.get("clusterIP") for each in there if each.kind == "Service"] == [None, "None"]
    (deployment,) = [each for each in there if each.kind == "Deployment"]
    spread = pod_template(deployment)["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    (policy,) = [each for each in there if each.kind == "NetworkPolicy"]
    assert policy.spec["policyTypes"] == ["Ingress", "Egress"]


def test_each_function_of_kubernetes_has_its_own_account_and_a_network_policy_covers_it() -> None:
    deployments = of_kind("kubernetes/functions", "Deployment")
    assert sorted(each.name for each in deployments) == [dns_name(name) for name in FUNCTIONS]
    accounts = [pod_template(each)["spec"]["serviceAccountName"] for each in deployments]
    assert accounts == [each.name for each in deployments]
    (policy,) = of_kind("kubernetes/functions", "NetworkPolicy")
    wanted = policy.spec["podSelector"]["matchLabels"].items()
    assert all(wanted <= pod_template(each)["metadata"]["labels"].items() for each in deployments)


def test_plaintext_of_grpc_is_said_by_the_local_overlays_alone() -> None:
    said = {file for file in INFRA.rglob("*.yaml") if "KEYRAIL_GRPC_PLAINTEXT" in file.read_text()}
    local = {INFRA / f"{kind}/overlays/local/kustomization.yaml" for kind in ("kubernetes", "knative")}
    assert said == {*local, INFRA / "compose.yaml"}


@pytest.mark.parametrize("part", ["namespace/namespace.yaml", "vault/dev", "config-service"])
def test_the_page_applies_namespace_vault_and_service(part: str) -> None:
    assert f" infra/kubernetes/{part}" in text_of("docs/deploy/kubernetes.md")
    assert (INFRA / "kubernetes" / part).exists()
