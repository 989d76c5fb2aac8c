"""A static role on a real PostgreSQL, rotated by ticks of the real functions: the new password logs in, the old one
is refused. test_credential_rotation_killed.py kills the function in between."""

import json
from collections.abc import Iterator

import pytest
from credential_world import Database, database_engine, database_of, rotator_of
from deployed import Deployment
from rotating import Rotator

from keyrail.dev.postgres import PostgreSQL


@pytest.fixture(scope="module")
def postgres(deployment: Deployment) -> Iterator[PostgreSQL]:
    with PostgreSQL() as server, database_engine(deployment, server):
        yield server


@pytest.fixture(scope="module")
def rotator(deployment: Deployment) -> Iterator[Rotator]:
    with rotator_of(deployment) as made:
        yield made


@pytest.fixture
def database(deployment: Deployment, rotator: Rotator, postgres: PostgreSQL) -> Iterator[Database]:
    with database_of(deployment, rotator, postgres) as made:
        yield made


def test_a_tick_sets_a_new_password_and_the_old_one_is_refused(database: Database) -> None:
    old = database.read()
    assert old["host"] == "127.0.0.1"
    assert database.works(old)
    assert database.tick() == {}
    database.make_due()
    assert database.tick() == {"rotated": 1}
    new = database.read()
    assert new["password"] != old["password"]
    assert database.works(new)
    assert not database.works(old)
    assert database.tick() == {}
    assert database.read() == new


def test_the_password_is_in_no_document(database: Database) -> None:
    database.make_due()
    database.tick()
    assert database.read()["password"] not in json.dumps(database.document())


def test_a_tenant_names_no_role_but_its_own(database: Database) -> None:
    api = database.deployment.api
    key = api.issue(tenant="other", scopes=["config:*"])
    body = {"value": {}, "rotation": {"interval_seconds": 3600, **database.rotation}}
    reply = api.call("write_config", "PUT", "/v1/config/mine", body, headers={"Authorization": f"Bearer {key.text}"})
    assert (reply.status, reply.code) == (422, "BAD_ROTATION")


def test_a_role_that_is_not_there_fails_alone(database: Database) -> None:
    none = Database(database.deployment, database.rotator, "databases/none", database.postgres, "acme_none")
    none.put(value={}, rotation={"interval_seconds": 3600, **none.rotation}).ok()
    assert none.get().status == 503
    assert database.get().status == 200
