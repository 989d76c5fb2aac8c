"""What the manifests run by themselves, run here: the script that lets pods log in to Vault, a CronJob's call, and a
server of the chart."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hvac
import jwt
import pytest
import yaml
from canary import Canary
from cryptography.hazmat.primitives.asymmetric import rsa
from deployed import SOURCES, Deployment
from grpc_container import wait_until
from jwt.algorithms import RSAAlgorithm

import own_tls
from keyrail.dev.openbao import OpenBao, binary
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

ROOT = Path(__file__).parents[2]
TICKS = yaml.safe_load((ROOT / "infra/kubernetes/rotation/ticks.yaml").read_text())["data"]
JOBS = {
    each["metadata"]["name"]: each["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    for each in yaml.safe_load_all((ROOT / "infra/kubernetes/rotation/cronjobs.yaml").read_text())
    if each["kind"] == "CronJob"
}
CLUSTER = rsa.generate_private_key(65537, 2048)


def test_each_account_gets_the_policy_of_its_function_for_tokens_made_for_vault(
    own_vault: OpenBao, tmp_path: Path
) -> None:
    root = hvac.Client(own_vault.address, own_vault.root_token)
    (ca := tmp_path / "ca.crt").write_text(own_tls.make(tmp_path).ca_pem)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "VAULT_CLI": str(binary()),
        "BAO_ADDR": own_vault.address,
        "BAO_TOKEN": own_vault.root_token,
        "KUBERNETES_HOST": "https://127.0.0.1:6443",
        "KUBERNETES_CA": str(ca),
    }
    for _ in range(2):  # it may be repeated
        command = ["infra/kubernetes/vault/kubernetes-auth"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    names = [folder.name for folder in SOURCES.iterdir() if folder.is_dir()] + ["grpc"]
    assert set(root.auth.kubernetes.list_roles()["keys"]) == {f"keyrail-{name}" for name in names}
    role = root.auth.kubernetes.read_role("keyrail-validate_key")
    assert role["bound_service_account_names"] == ["validate-key"]
    assert role["bound_service_account_namespaces"] == ["keyrail"]
    assert role["token_policies"] == ["keyrail-validate_key"]
    assert role["audience"] == "vault"
    assert role["token_type"] == "batch"
    assert role["token_no_default_policy"] is True


@pytest.fixture
def ticked(openbao: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose rotate takes what the manifest says it takes, with this test's keys as the cluster's."""
    key = RSAAlgorithm.to_jwk(CLUSTER.public_key(), as_dict=True) | {"kid": "cluster", "use": "sig", "alg": "RS256"}
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key]}))
    made = Deployment(openbao, tmp_path, canary)
    try:
        made.start("rotate", **TICKS | {"KEYRAIL_TICK_OIDC_JWKS": str(jwks)})
        yield made
    finally:
        made.stop()


def token(subject: str) -> str:
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "iss": TICKS["KEYRAIL_TICK_OIDC_ISSUER"],
        "aud": ["keyrail"],
        "sub": subject,
        "iat": now,
        "exp": now + timedelta(minutes=10),
    }
    return jwt.encode(claims, CLUSTER, "RS256", headers={"kid": "cluster"})


def call(job: dict[str, Any], url: str, folder: Path, subject: str) -> subprocess.CompletedProcess[str]:
    """The container's command with its environment, but for the address and the token's file."""
    assert shutil.which("curl"), "curl is not installed: apt-get install curl"
    (folder / "token").write_text(token(subject))
    told = {each["name"]: each["value"] for each in job["env"]}
    path = told["TICK_URL"].removeprefix("http://rotate.keyrail.svc:8080")
    environ = {**told, "PATH": os.environ["PATH"], "TICK_URL": url + path, "TOKEN_FILE": str(folder / "token")}
    return subprocess.run(job["command"], env=environ, capture_output=True, text=True, timeout=60)


def test_cron_jobs_prove_themselves_and_nobody_else_is_let_in(ticked: Deployment, tmp_path: Path) -> None:
    url, ticker = ticked.url_of("rotate"), TICKS["KEYRAIL_TICK_OIDC_SUBJECT"]
    for name, told in (("rotate-due", '"rotated"'), ("sweep", '"looked_at"')):
        done = call(JOBS[name], url, tmp_path, ticker)
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
        refused = call(JOBS[name], url, tmp_path, "system:serviceaccount:keyrail:default")
        assert refused.returncode != 0
        assert "TOKEN_REFUSED" in refused.stdout


def test_a_server_starts_by_the_values_of_the_chart(tmp_path: Path) -> None:
    """Not yet initialised, as docs/deploy/kubernetes.md has it; service_registration needs a cluster."""
    port, cluster_port = free_ports(2)
    values = yaml.safe_load((ROOT / "infra/kubernetes/vault/values-ha.yaml").read_text())["server"]
    (ca := tmp_path / "ca.crt").write_text(own_tls.make(tmp_path).ca_pem)
    edits = {
        "[::]:8200": f"127.0.0.1:{port}",
        "[::]:8201": f"127.0.0.1:{cluster_port}",
        "/vault/userconfig/vault-tls/tls.crt": f"{tmp_path}/server.pem",
        "/vault/userconfig/vault-tls/tls.key": f"{tmp_path}/server.key",
        "/vault/userconfig/vault-tls": str(tmp_path),
        "/vault/data": str(tmp_path),
        'service_registration "kubernetes" {}': "",
    }
    config = values["ha"]["raft"]["config"]
    for told, used in edits.items():
        assert told in config
        config = config.replace(told, used)
    (tmp_path / "vault.hcl").write_text(config)
    own = f"https://127.0.0.1:{port}"
    of_the_chart = {
        "BAO_RAFT_NODE_ID": "vault-0",
        "BAO_API_ADDR": own,
        "BAO_CLUSTER_ADDR": f"https://127.0.0.1:{cluster_port}",
    }
    env = {"HOME": str(tmp_path)} | of_the_chart
    server = Child("vault", [str(binary()), "server", f"-config={tmp_path}/vault.hcl"], env, tmp_path / "vault.log")
    client = hvac.Client(own, verify=str(ca))
    try:
        wait_until(lambda: is_listening(port), server)
        assert client.sys.is_initialized() is False
    finally:
        server.stop()


def is_listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
