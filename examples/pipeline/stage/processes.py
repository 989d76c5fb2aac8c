"""How each part is started here; in production each is a container, with its agent beside it."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from keyrail.adapters.vault_identities import read_identity
from keyrail.dev import openbao
from keyrail.dev.functions import environment
from keyrail.dev.processes import Child
from stage.places import PIPELINE
from stage.vault import role_id

SECONDS = 30.0
CERTIFICATE_SECONDS = 12  # in production a day: here they shall be renewed while we look on
QUIET = {"GRPC_VERBOSITY": "NONE"}  # a line of its own for each refused handshake


class DidNotStart(Exception):
    """The message ends with the last lines of the log."""


def wait_until(is_so: Callable[[], bool], *processes: Child) -> None:
    """Raises: DidNotStart where one of `processes` ends, or it takes too long."""
    ends_at = time.monotonic() + SECONDS
    while not is_so():
        ended = [process for process in processes if not process.is_running()]
        if ended or time.monotonic() > ends_at:
            raise DidNotStart("\n".join(f"{process.name} {process.epitaph()}" for process in ended or processes))
        time.sleep(0.05)


def agent(folder: Path, name: str, vault_address: str, identities: Path) -> Child:
    """Its files lie in `folder`: as <name>/agent.hcl says, but for the life of a certificate."""
    folder.mkdir(mode=0o700)
    (folder / "role-id").write_text(role_id(identities, name))
    shutil.copy(identities / f"{name}.secret-id", folder / "secret-id")
    config = (PIPELINE / name / "agent.hcl").read_text().replace("ttl=1h", f"ttl={CERTIFICATE_SECONDS}s")
    (folder / "agent.hcl").write_text(config)
    script = 'cd "$0" && exec "$1" agent -config=agent.hcl'
    command = ["/bin/sh", "-c", script, str(folder), str(openbao.binary())]
    return Child(f"agent of {name}", command, _system() | {"VAULT_ADDR": vault_address}, folder / "agent.log")


def keyrail_grpc(folder: Path, vault_address: str, identities: Path) -> tuple[Child, int]:
    """Keyrail's container: its process, and the port once it serves."""
    own = {
        "KEYRAIL_GRPC_ADDRESS": "127.0.0.1:0",
        "KEYRAIL_GRPC_PROBE_ADDRESS": "127.0.0.1:0",
        "KEYRAIL_GRPC_PKI_ROLE": "keyrail-grpc",
        "KEYRAIL_GRPC_PKI_NAME": "keyrail.svc",
        "KEYRAIL_GRPC_PKI_TTL_SECONDS": str(CERTIFICATE_SECONDS),
        "KEYRAIL_GRPC_CONNECTION_AGE_SECONDS": "5",  # as in mtls.py
        "KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": "0",
        "KEYRAIL_GRPC_CLIENT_CA": str(folder / "ca.pem"),
        "KEYRAIL_GRPC_CLIENTS": str(PIPELINE / "keyrail-clients.json"),
    }
    env = environment(vault_address, read_identity(identities, "grpc")) | QUIET | own
    process = Child(
        "Keyrail", [sys.executable, "-m", "keyrail.triggers.grpc_server"], env, folder / "logs" / "keyrail.log"
    )
    wait_until(lambda: bool(lines_of(process, "serving")), process)
    return process, int(lines_of(process, "serving")[0]["port"])


def lines_of(process: Child, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line["kind"] == kind]


def renewals(agent: Child) -> int:
    """Of its certificate, after the first one."""
    return max(agent.log.read_text().count('=> "tls.pem"') - 1, 0)


def service(folder: Path, name: str, *arguments: str) -> Child:
    """With its agent's files, and no other."""
    env = _system() | QUIET | {"PYTHONPATH": f"{PIPELINE}:{folder / 'stubs'}"}
    command = [sys.executable, "-m", f"{name}.main", *arguments, str(folder / name)]
    return Child(name, command, env, folder / "logs" / f"{name}.log")


def envoy(folder: Path, port: int, ports: Mapping[str, int]) -> Child:
    """As gateway/envoy.yaml says, but for addresses and the folder of its files. `ports` of the clusters."""
    own = folder / "gateway"
    shutil.copy(folder / "stubs" / "pipeline.pb", own)
    files = (PIPELINE / "gateway").glob("*.yaml")
    texts = {file.name: file.read_text().replace("/etc/envoy", str(own)) for file in files}
    (own / "certificate.yaml").write_text(texts["certificate.yaml"])
    config: dict[str, Any] = yaml.safe_load(texts["envoy.yaml"])
    static = config["static_resources"]
    static["listeners"][0]["address"] = _address(port)
    for cluster in static["clusters"]:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        cluster["type"], endpoint["address"] = "STATIC", _address(ports[cluster["name"]])
    file = own / "envoy.json"
    file.write_text(json.dumps(config))
    program = str(Path(sys.executable).parent / "envoy")
    command = [program, "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    return Child("Envoy", command, {"HOME": str(own)}, folder / "logs" / "envoy.log")


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _system() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
