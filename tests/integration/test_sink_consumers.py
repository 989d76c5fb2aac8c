"""The consumers of docs/rotation.md, as they are written there: each picks a rotated key up without a restart."""

import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hvac
import pytest
from rotating import Rotations, SunkKey

from keyrail.dev.openbao import binary
from keyrail.dev.processes import Child

PAGE = (Path(__file__).parents[2] / "docs/rotation.md").read_text()
PICKED_UP_SECONDS = 15.0


def block(language: str, part: str) -> str:
    """The one block of code on the page that has `part` in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if part in text]
    return str(found)


@pytest.fixture
def key(rotations: Rotations) -> SunkKey:
    """Delivered, so its consumer can start."""
    made = rotations.issue(grace_seconds=600)
    rotations.tick_until_done(made)
    return made


@pytest.fixture
def policy(rotations: Rotations, key: SunkKey) -> Iterator[str]:
    """The consumer's own."""
    name = f"consumer-{key.key_id.lower()}"
    text = block("hcl", "capabilities").replace("keyrail-delivery/data/acme/gateway", at(rotations, key, "data"))
    rotations.deployment.root.sys.create_or_update_policy(name, text)
    yield name
    rotations.deployment.root.sys.delete_policy(name)


def at(rotations: Rotations, key: SunkKey, *between: str) -> str:
    return "/".join((rotations.deployment.delivery_mount, *between, key.sink))


def rotate(rotations: Rotations, key: SunkKey) -> str:
    """The new key."""
    rotations.api.rotate(key.key_id, grace_seconds=0).ok()
    return rotations.in_sink(key)


class Guarded(BaseHTTPRequestHandler):
    """A service that asks Keyrail about each caller."""

    def do_GET(self) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.send_response(200 if self.server.api.code_of(key) == "VALID" else 401)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def service(rotations: Rotations) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    server.api = rotations.api  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_plain_application_is_never_refused_twice(
    rotations: Rotations, key: SunkKey, policy: str, service: str
) -> None:
    names: dict[str, Any] = {}
    source = block("python", "class Consumer").replace("keyrail-delivery", rotations.deployment.delivery_mount)
    exec(source, names)
    vault = rotations.deployment.vault
    token = rotations.deployment.root.auth.token.create(policies=[policy])["auth"]["client_token"]
    consumer = names["Consumer"](hvac.Client(vault.address, token), key.sink)
    for _ in range(5):
        assert consumer.get(service).status_code == 200
        rotate(rotations, key)


def test_vault_agent_writes_the_file_anew(rotations: Rotations, key: SunkKey, policy: str, tmp_path: Path) -> None:
    file = agent_file(rotations, key, policy, tmp_path)
    config = tmp_path / "agent.hcl"
    agent = Child("bao agent", [str(binary()), "agent", f"-config={config}"], {"HOME": str(tmp_path)}, tmp_path / "log")
    try:
        assert_holds(file, rotations.in_sink(key), agent)
        assert os.stat(file).st_mode & 0o777 == 0o600
        for _ in range(3):
            assert_holds(file, rotate(rotations, key), agent)
    finally:
        agent.stop()
    rotations.deployment.canary.search("the agent's output", agent.log.read_text())


def agent_file(rotations: Rotations, key: SunkKey, policy: str, folder: Path) -> Path:
    """Writes the agent's configuration and identity; where it will write the key."""
    root, mount, file = rotations.deployment.root, f"agent-{key.key_id.lower()}", folder / "api-key"
    root.sys.enable_auth_method("approle", path=mount)
    root.auth.approle.create_or_update_approle("gateway", token_policies=[policy], mount_point=mount)
    role = root.auth.approle.read_role_id("gateway", mount_point=mount)["data"]["role_id"]
    secret = root.auth.approle.generate_secret_id("gateway", mount_point=mount)["data"]["secret_id"]
    (folder / "role-id").write_text(role)
    (folder / "secret-id").write_text(secret)
    rotations.deployment.canary.knows("a secret id", secret)
    text = block("hcl", "auto_auth")
    for told, real in {
        "https://vault.example.com:8200": rotations.deployment.vault.address,
        "/etc/gateway": str(folder),
        "/run/gateway/api-key": str(file),
        "keyrail-delivery/data/acme/gateway": at(rotations, key, "data"),
        '"60s"': '"1s"',
        'method "approle" {': f'method "approle" {{\n    mount_path = "auth/{mount}"',
    }.items():
        assert told in text
        text = text.replace(told, real)
    (folder / "agent.hcl").write_text(text)
    return file


def assert_holds(file: Path, key: str, agent: Child) -> None:
    ends_at = time.monotonic() + PICKED_UP_SECONDS
    while not file.exists() or file.read_text() != key:
        assert time.monotonic() < ends_at, agent.log_tail()
        time.sleep(0.05)
