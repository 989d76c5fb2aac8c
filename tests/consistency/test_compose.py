"""infra/compose.yaml: every function is in it, in an order that works, with no more rights and ports than it needs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ROOT, names_in, rows, text_of

from keyrail.dev.manifest_parts import dns_name
from keyrail.operations.catalogue import CATALOGUE

COMPOSE: dict[str, Any] = yaml.safe_load(text_of("infra/compose.yaml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FUNCTIONS = sorted(file.parent.name for file in (ROOT / "functions").glob("*/function.yaml"))
ONE_SHOT, WITHOUT_PROBE = {"bootstrap"}, {"ticker", "jaeger"}  # an image without a shell, and a loop
for_each_service = pytest.mark.parametrize("name", SERVICES)
for_each_function = pytest.mark.parametrize("function", FUNCTIONS)


@for_each_function
def test_a_function_is_built_and_run_as_its_function_yaml_says(function: str) -> None:
    service = SERVICES[dns_name(function)]
    told = yaml.safe_load(text_of(f"functions/{function}/function.yaml"))
    assert service["build"]["dockerfile"] == "containers/function.Dockerfile"
    assert service["build"]["args"] == {"FUNCTION": function}
    assert service["image"].startswith(f"keyrail/{function}:")
    assert service["environment"]["FUNCTION"] == function
    assert service["environment"]["THREADS"] == str(told["concurrency"])
    assert service["depends_on"] == {"bootstrap": {"condition": "service_completed_successfully"}}


@for_each_function
def test_what_a_function_runs_is_what_its_image_runs(function: str) -> None:
    shell = SERVICES[dns_name(function)]["command"][-1]
    (command,) = re.findall(r"^CMD (\[.*\])$", text_of("containers/function.Dockerfile"), re.MULTILINE)
    assert shell.endswith(f"exec {' '.join(yaml.safe_load(command))}")


def test_the_grpc_container_runs_what_its_image_runs() -> None:
    service = SERVICES["config-service"]
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    (command,) = re.findall(r"^CMD (\[.*\])$", text_of(service["build"]["dockerfile"]), re.MULTILINE)
    assert service["command"][-1].endswith(f"exec {' '.join(yaml.safe_load(command))}")


@for_each_service
def test_what_no_registry_has_can_be_built(name: str) -> None:
    """By each service that runs it: docker compose would else ask a registry first."""
    image = SERVICES[name]["image"].partition(":")[0]
    build = SERVICES[name].get("build")
    assert (build is not None) == image.startswith("keyrail/")
    if build is not None and "args" in build:
        assert image == f"keyrail/{build['args']['FUNCTION']}"


def test_the_gateway_waits_for_every_function_and_knows_where_it_is() -> None:
    hosts = {dns_name(function) for function in FUNCTIONS}
    assert SERVICES["gateway"]["depends_on"] == {host: {"condition": "service_healthy"} for host in hosts}
    dialled = re.findall(r'"dial": "([^"]+)"', text_of("infra/kubernetes/gateway/caddy.json"))
    assert set(dialled) == {f"{host}:8080" for host in hosts}


@pytest.mark.parametrize("kind", ["kubernetes", "knative"])
def test_the_gateway_of_a_container_offers_no_probe_no_metrics_and_nothing_that_the_clock_calls(kind: str) -> None:
    config = json.loads(text_of(f"infra/{kind}/gateway/caddy.json"))
    server = config["apps"]["http"]["servers"]["keyrail"]
    assert (server["listen"], config["admin"]["disabled"]) == ([":8080"], True)
    offered = {
        match["path_regexp"]["pattern"]
        for route in server["routes"]
        for match in route.get("match", ())
        if "path_regexp" in match
    }
    assert offered == {f"^{operation.route()}$" for operation in CATALOGUE if not operation.takes_events}
    plain = [match["path"] for route in server["routes"] for match in route.get("match", ()) if "path" in match]
    assert plain == [["/livez"]]


@pytest.mark.parametrize("dockerfile", sorted((ROOT / "containers").glob("*.Dockerfile")), ids=lambda file: file.name)
def test_hadolint_finds_nothing_in_a_dockerfile(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_prometheus_scrapes_everything_that_has_metrics() -> None:
    jobs = yaml.safe_load(text_of("infra/compose/prometheus.yaml"))["scrape_configs"]
    targets = {target for job in jobs for each in job["static_configs"] for target in each["targets"]}
    assert targets == {f"{dns_name(function)}:8080" for function in FUNCTIONS} | {"config-service:9464"}


@for_each_service
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "65532:65532", ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", ())) <= {"NET_BIND_SERVICE"}


@for_each_service
def test_a_port_is_on_loopback_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@for_each_service
def test_an_image_is_the_one_that_the_manifests_name(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z0-9./_-]+:v?\d+\.\d+\.\d+", image)
    manifests = "".join(file.read_text() for file in (ROOT / "infra/kubernetes").rglob("*.yaml"))
    assert f"image: {image}\n" in manifests or name in ("prometheus", "jaeger")


@for_each_service
def test_what_is_waited_for_can_tell_that_it_is_ready(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) != (name in ONE_SHOT | WITHOUT_PROBE)
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] == ("service_completed_successfully" if other in ONE_SHOT else "service_healthy"), other
        assert other not in WITHOUT_PROBE


@for_each_service
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable in SERVICES[name].get("environment", {}):
        assert not re.search(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$", variable)


def test_logins_and_keys_are_kept_in_memory_for_one_user() -> None:
    assert set(COMPOSE["volumes"]) == {"home", "identities", "admin"}
    for volume in COMPOSE["volumes"].values():
        options = volume["driver_opts"]
        assert (options["type"], options["o"]) == ("tmpfs", "uid=65532,gid=65532,mode=0700")


def test_every_service_is_on_its_page() -> None:
    assert {name for row in rows(text_of("docs/deploy/compose.md")) for name in names_in(row[0])} == set(SERVICES)


def test_the_ticker_ticks_each_minute_and_sweeps_each_day_whatever_fails() -> None:
    *shell, script = SERVICES["ticker"]["command"]
    minutes = 2 * 24 * 60
    stubs = f"""
        slept=0
        sleep() {{ [ "$1" = 60 ] && slept=$((slept + 1)) && [ $slept -le {minutes} ]; }}
        keyrail() {{ echo "$1"; return 3; }}
        cat() {{ echo "a key"; }}
    """
    run = subprocess.run([*shell, stubs + script.replace("$$", "$")], capture_output=True, text=True, check=True)
    called = run.stdout.split()
    assert (called.count("tick"), called.count("sweep")) == (minutes, 2)
    assert called[:3] == ["tick", "sweep", "tick"], "the first at once, to be seen"
