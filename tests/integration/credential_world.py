"""Credentials that are stored as configs and rotate: what their consumers read, and what is told of each rotation."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from deployed import Deployment
from http_api import Reply
from rotating import LEASE_SECONDS, Rotator
from vault_proxy import proxy_to

from event_receiver import Receiver
from keyrail.adapters.vault_due import _path
from keyrail.dev.postgres import ADMIN, PostgreSQL
from keyrail.rotation_ports import DueEntry


@contextmanager
def rotator_of(deployment: Deployment, **env: str) -> Iterator[Rotator]:
    """Of credentials: it reaches Vault through a proxy, so that it can be killed at a known step."""
    with proxy_to(deployment.vault.address) as proxy:
        lease = {"KEYRAIL_ROTATION_LEASE_SECONDS": str(LEASE_SECONDS)}
        instance = deployment.launch("rotate", vault_address=proxy.address, **lease, **env)
        instance.wait()
        try:
            yield Rotator(deployment, proxy, instance)
        finally:
            deployment.stop(instance)


@contextmanager
def database_engine(deployment: Deployment, postgres: PostgreSQL) -> Iterator[None]:
    """Vault's, for static roles of this server."""
    root, mount = deployment.root, deployment.database_mount
    root.sys.enable_secrets_engine("database", path=mount)
    root.write(
        f"{mount}/config/orders",
        plugin_name="postgresql-database-plugin",
        allowed_roles="*",
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{postgres.port}/postgres?sslmode=disable",
        username=ADMIN,
        password=postgres.admin_password,
    )
    try:
        yield
    finally:
        root.sys.disable_secrets_engine(mount)


@dataclass(frozen=True)
class Credential:
    """A config for as long as the block lasts, and the one rotator that looks at it. None of its passwords is in the
    output of any function."""

    deployment: Deployment
    rotator: Rotator
    name: str
    seen: list[str] = field(default_factory=list, kw_only=True, repr=False)

    def __enter__(self) -> Self:
        self.put(value=self.value, rotation={"interval_seconds": 3600, **self.rotation}).ok()
        return self

    def __exit__(self, *_: object) -> None:
        self.put(destroy_versions="all").ok()
        logs = [log.read_text() for instance in self.deployment.instances for log in instance.logs]
        assert not [password for password in self.seen if any(password in text for text in logs)]

    @property
    def value(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def rotation(self) -> dict[str, Any]:
        raise NotImplementedError

    def works(self, value: dict[str, Any]) -> bool:
        raise NotImplementedError

    # -- what is asked ----------------------------------------------------------------------------------------------

    def put(self, **body: Any) -> Reply:
        body["tenant"] = "acme"
        return self.deployment.api.call("write_config", "PUT", f"/v1/config/{self.name}", body)

    def get(self) -> Reply:
        return self.deployment.api.call("read_config", "GET", f"/v1/config/{self.name}?tenant=acme")

    def read(self) -> dict[str, Any]:
        value: dict[str, Any] = self.get().ok()["value"]
        self.seen.append(value["password"])
        return value

    def try_tick(self) -> Reply:
        return self.rotator.api.call("rotate", "POST", "/v1/rotation/tick", {})

    def tick(self) -> dict[str, int]:
        report = self.try_tick().ok()
        return {name: n for name, n in report.items() if isinstance(n, int) and n}

    def tick_until_done(self, died_at: float) -> None:
        """Once whoever died at that time.monotonic() has lost lease and turn; then there is nothing more to do."""
        time.sleep(max(0.0, died_at + LEASE_SECONDS + 0.1 - time.monotonic()))
        turn, mount = "outbox/sender/turn", self.deployment.mount  # it would last for a tick's whole time
        self.deployment.root.secrets.kv.v2.delete_metadata_and_all_versions(turn, mount_point=mount)
        self.tick()
        assert self.tick() == {}

    # -- what lies in Vault -----------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        mount = self.deployment.config_mount
        found = self.deployment.root.read(f"{mount}/data/acme/{self.name}")["data"]
        return {**found["data"], "version": found["metadata"]["version"]}

    def make_due(self) -> None:
        """As after an interval: its time came two seconds ago. The next one is longer, so no two have one hint."""
        document = self.document()
        document["rotation"]["interval_seconds"] += 60
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=2)
        document["rotation"]["next_at"] = at.isoformat()
        version = document.pop("version")
        root, deployment = self.deployment.root, self.deployment
        data = {"data": document, "options": {"cas": version}}
        root.write_data(f"{deployment.config_mount}/data/acme/{self.name}", data=data)
        hint = _path(DueEntry(at, "config", f"acme/{self.name}"))
        data = {"data": {"name": f"acme/{self.name}"}, "options": {"cas": 0}}
        root.write_data(f"{deployment.mount}/data/{hint}", data=data)

    def rotated_versions(self, since: int) -> list[int]:
        """By the document, those after this version."""
        writes = self.document()["writes"]
        return [write["version"] for write in writes if write["how"] == "rotated" and write["version"] > since]

    # -- what is told -----------------------------------------------------------------------------------------------

    def audited_versions(self, since: int) -> set[int]:
        """By audit lines: one may be there twice, of whoever was killed after it and of whoever went on."""
        lines = [line for log in self.rotator.instance.logs for line in log.read_text().splitlines()]
        told = [json.loads(line) for line in lines if '"config.rotated"' in line]
        mine = [each["version"] for each in told if (each["kind"], each["subject"]) == ("audit", self.name)]
        return {version for version in mine if version > since}

    def told(self, receiver: Receiver, since: int) -> list[tuple[str, str, str]]:
        """Id, time and body of each event that came to `receiver` of versions after this one; each once."""
        mine = [
            (each["headers"]["ce-id"], each["headers"]["ce-time"], each["body"])
            for each in receiver.requests()
            if (each["headers"]["ce-type"], each["headers"]["ce-subject"]) == ("keyrail.config.rotated", self.name)
        ]
        return [each for each in dict.fromkeys(mine) if json.loads(each[2])["version"] > since]


class Generated(Credential):
    """For two sides that read it here: it works where both have the same."""

    @property
    def value(self) -> dict[str, Any]:
        return {"user": "app", "password": secrets.token_hex(16)}

    @property
    def rotation(self) -> dict[str, Any]:
        return {"kind": "generated", "field": "password"}

    def works(self, value: dict[str, Any]) -> bool:
        return value == self.read()


@dataclass(frozen=True)
class Database(Credential):
    """The password of a static role."""

    postgres: PostgreSQL
    role: str

    def __enter__(self) -> Self:
        self.postgres.make_user(self.role)
        path = f"{self.deployment.database_mount}/static-roles/{self.role}"
        self.deployment.root.write(path, db_name="orders", username=self.role, rotation_period="8760h")
        return super().__enter__()

    @property
    def value(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.postgres.port}

    @property
    def rotation(self) -> dict[str, Any]:
        return {"kind": "database", "role": self.role}

    def works(self, value: dict[str, Any]) -> bool:
        """By a login."""
        answer = self.postgres.answer(value["username"], value["password"])
        assert answer in (None, self.role)
        return answer is not None

    def times_rotated(self) -> int:
        """How often Vault did it, by its own audit log."""
        assert self.deployment.vault.audit_log is not None
        path = f"{self.deployment.database_mount}/rotate-role/{self.role}"
        lines = [line for line in self.deployment.vault.audit_log.read_text().splitlines() if path in line]
        done = [entry for entry in map(json.loads, lines) if entry["type"] == "response" and not entry.get("error")]
        return len(done)


def database_of(deployment: Deployment, rotator: Rotator, postgres: PostgreSQL) -> Database:
    """Of a role that no other test has."""
    role = f"acme_{secrets.token_hex(4)}"
    return Database(deployment, rotator, f"databases/{role}", postgres, role)
