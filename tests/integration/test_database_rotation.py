"""A static role on a real PostgreSQL, rotated by ticks of the real functions: the new password logs in, the old one
is refused, also after the function was killed in between."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from deployed import Deployment
from http_api import Reply
from rotating import Rotator
from vault_proxy import Proxy, proxy_to

from keyrail.adapters.vault_due import _path
from keyrail.dev.postgres import ADMIN, PostgreSQL
from keyrail.rotation_ports import DueEntry

LEASE_SECONDS = 1
# claim; the database; a hint; done; the hint that led here is removed
CHANGES = ["acme", "role", "due", "acme", "-due"]
MOMENTS = [(number, when) for number in range(1, len(CHANGES) + 1) for when in ("before", "after")]
NAME = "databases/orders"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@dataclass(frozen=True)
class Database:
    """One static role a test, and the functions that read, write and rotate."""

    deployment: Deployment
    postgres: PostgreSQL
    proxy: Proxy
    role: str
    seen: list[str] = field(default_factory=list)

    def call(self, function: str, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return self.deployment.api.call(function, method, path, body, headers=headers)

    def put(self, **body: Any) -> Reply:
        return self.call("write_config", "PUT", f"/v1/config/{NAME}", {"tenant": "acme", **body})

    def credentials(self) -> dict[str, Any]:
        read = self.call("read_config", "GET", f"/v1/config/{NAME}?tenant=acme").ok()
        value: dict[str, Any] = read["value"]
        self.seen.append(value["password"])
        return value

    def tick(self) -> dict[str, Any]:
        report = self.call("rotate", "POST", "/v1/rotation/tick", {}).ok()
        return {name: n for name, n in report.items() if isinstance(n, int) and n}

    def try_tick(self) -> Reply:
        return self.call("rotate", "POST", "/v1/rotation/tick", {})

    def tick_until_done(self) -> None:
        """Once the dead rotator's lease is over; then there is nothing more to do."""
        time.sleep(LEASE_SECONDS + 0.1)
        self.tick()
        assert self.tick() == {}

    def rotator(self) -> Rotator:
        return Rotator(self.deployment, self.proxy, self.deployment.all_of("rotate")[0])

    def logs_in(self, credentials: dict[str, Any]) -> bool:
        answer = self.postgres.answer(credentials["username"], credentials["password"])
        assert answer in (None, self.role)
        return answer is not None

    def rotated_at(self) -> str:
        path = f"{self.deployment.database_mount}/static-roles/{self.role}"
        return str(self.deployment.root.read(path)["data"]["last_vault_rotation"])

    def document(self) -> dict[str, Any]:
        mount = self.deployment.config_mount
        found = self.deployment.root.read(f"{mount}/data/acme/{NAME}")["data"]
        return {**found["data"], "version": found["metadata"]["version"]}

    def make_due(self) -> None:
        """As after an interval: its time came two seconds ago."""
        document = self.document()
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=2)
        document["rotation"]["next_at"] = at.isoformat()
        version = document.pop("version")
        root, deployment = self.deployment.root, self.deployment
        root.write_data(
            f"{deployment.config_mount}/data/acme/{NAME}", data={"data": document, "options": {"cas": version}}
        )
        hint = _path(DueEntry(at, "config", f"acme/{NAME}"))
        data = {"data": {"name": f"acme/{NAME}"}, "options": {"cas": 0}}
        root.write_data(f"{deployment.mount}/data/{hint}", data=data)


@pytest.fixture(scope="module")
def functions(deployment: Deployment, postgres: PostgreSQL) -> Iterator[tuple[Deployment, Proxy]]:
    """`rotate` goes through a proxy to Vault, so that it can be killed at a known step."""
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
    with proxy_to(deployment.vault.address) as proxy:
        rotator = deployment.launch(
            "rotate", vault_address=proxy.address, KEYRAIL_ROTATION_LEASE_SECONDS=str(LEASE_SECONDS)
        )
        deployment.instances.remove(rotator)
        deployment.instances.insert(0, rotator)  # the one that url_of names
        rotator.wait()
        yield deployment, proxy
        deployment.stop(rotator)
    root.sys.disable_secrets_engine(mount)


@pytest.fixture
def database(functions: tuple[Deployment, Proxy], postgres: PostgreSQL) -> Iterator[Database]:
    deployment, proxy = functions
    role = f"acme_{secrets.token_hex(4)}"
    postgres.make_user(role)
    deployment.root.write(
        f"{deployment.database_mount}/static-roles/{role}", db_name="orders", username=role, rotation_period="8760h"
    )
    made = Database(deployment, postgres, proxy, role)
    rotation = {"kind": "database", "interval_seconds": 3600, "role": role}
    made.put(value={"host": "127.0.0.1", "port": postgres.port}, rotation=rotation).ok()
    yield made
    proxy.before = proxy.after = lambda _: None
    made.put(destroy_versions="all").ok()
    logs = [log.read_text() for instance in deployment.instances for log in instance.logs]
    assert not [password for password in made.seen if any(password in text for text in logs)]


def test_a_tick_sets_a_new_password_and_the_old_one_is_refused(database: Database) -> None:
    old = database.credentials()
    assert old["host"] == "127.0.0.1"
    assert database.logs_in(old)
    assert database.tick() == {}
    database.make_due()
    assert database.tick() == {"rotated": 1}
    new = database.credentials()
    assert new["password"] != old["password"]
    assert database.logs_in(new)
    assert not database.logs_in(old)
    assert database.tick() == {}
    assert database.credentials() == new


def test_the_password_is_in_no_document(database: Database) -> None:
    database.make_due()
    database.tick()
    assert database.credentials()["password"] not in json.dumps(database.document())


def test_the_changes_of_a_rotation_are_those_below(database: Database) -> None:
    database.make_due()
    assert [
        change.replace(database.role, "role") for change in database.rotator().changes_of(database.try_tick)
    ] == CHANGES


@pytest.mark.parametrize(("number", "when"), MOMENTS)
def test_killed_around_a_change_the_next_ticks_end_it(database: Database, number: int, when: str) -> None:
    """Whoever reads gets the password that is true, whatever the document says by then; Vault was asked once."""
    old, rotator = database.credentials(), database.rotator()
    first_at = database.rotated_at()
    database.make_due()
    assert rotator.dies(number, when, database.try_tick)
    was_rotated = database.rotated_at() != first_at
    assert was_rotated is not database.logs_in(old)
    assert database.logs_in(database.credentials())
    rotated_at = database.rotated_at()
    rotator.lives_again()
    database.tick_until_done()
    assert not database.logs_in(old)
    assert database.logs_in(database.credentials())
    assert database.document()["rotation"]["step"] == "done"
    assert not was_rotated or database.rotated_at() == rotated_at


def test_a_tenant_names_no_role_but_its_own(database: Database) -> None:
    api = database.deployment.api
    key = api.issue(tenant="other", scopes=["config:*"])
    body = {"value": {}, "rotation": {"kind": "database", "interval_seconds": 3600, "role": database.role}}
    reply = api.call("write_config", "PUT", "/v1/config/mine", body, headers={"Authorization": f"Bearer {key.text}"})
    assert (reply.status, reply.code) == (422, "BAD_ROTATION")


def test_a_role_that_is_not_there_fails_alone(database: Database) -> None:
    name = quote("databases/none", safe="/")
    body = {
        "tenant": "acme",
        "value": {},
        "rotation": {"kind": "database", "interval_seconds": 3600, "role": "acme_none"},
    }
    assert database.call("write_config", "PUT", f"/v1/config/{name}", body).status == 200
    assert database.call("read_config", "GET", f"/v1/config/{name}?tenant=acme").status == 503
