"""kill -9 of a rotator around each request to Vault of a tick that rotates a stored credential and sends its event.

Whatever had been done by then: whoever reads gets what works, the next ticks end the same rotation, and its one event
comes under one id. Before a change Vault holds what it did after the change before, so without KEYRAIL_FULL the
rotator dies after each, and with it before and after each read, too.
"""

import http.client
import itertools
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from credential_world import Credential, Database, Generated, database_engine, database_of, rotator_of
from deployed import FULL, Deployment
from rotating import Rotator
from vault_proxy import Asked, Cut

from event_receiver import Receiver, receiving
from keyrail.dev.postgres import PostgreSQL

# the next hint; done; told; the hint that led here is removed; a turn to send; sent, so removed; the turn's end
GENERATED = ["due", "acme", "outbox", "-due", "outbox", "-outbox", "-outbox"]
DATABASE = ["acme", "role", *GENERATED]  # claimed; the database
POLL_SECONDS = 0.1
READINGS = 5  # Vault itself has a moment between the database and its own storage


ASIDE = re.compile(r"/v1/auth/|/v1/[^/]+/data/(keys|revoked|feed|pepper|rbac|usage)\b")


def _is_any(asked: Asked) -> bool:
    """But who ticks is partly in memory, and uses of keys are written down whenever it is time for that."""
    return ASIDE.match(asked.path) is None


def _is_change(asked: Asked) -> bool:
    return _is_any(asked) and (asked.is_write or asked.method == "DELETE")


AROUND = [("after", _is_change), *([("before", _is_any), ("after", _is_any)] if FULL else [])]
around_each = pytest.mark.parametrize(("when", "counts"), AROUND)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("events")) as made:
        yield made


@pytest.fixture(scope="module")
def rotator(deployment: Deployment, receiver: Receiver) -> Iterator[Rotator]:
    with rotator_of(deployment, K_SINK=receiver.url) as made:
        yield made


@pytest.fixture
def generated(deployment: Deployment, rotator: Rotator) -> Iterator[Generated]:
    with Generated(deployment, rotator, f"secrets/{secrets.token_hex(4)}") as made:
        yield made


@pytest.fixture
def database(deployment: Deployment, rotator: Rotator) -> Iterator[Database]:
    with (
        PostgreSQL() as postgres,
        database_engine(deployment, postgres),
        database_of(deployment, rotator, postgres) as made,
    ):
        yield made


def _killed_at_each(
    credential: Credential, receiver: Receiver, when: str, counts: Callable[[Asked], bool]
) -> Iterator[str]:
    """The places of its changes, until a tick comes to its end alive."""
    for number in itertools.count(1):
        old, rotator = credential.read(), credential.rotator
        credential.make_due()
        due_at = credential.document()["version"]
        died_at = rotator.dies_at(number, when, credential.try_tick, counts)
        killed_at = time.monotonic()
        assert credential.works(credential.read()), (number, died_at)
        if died_at is not None:
            rotator.lives_again()
            credential.tick_until_done(killed_at)
        _assert_rotated_once(credential, receiver, old, due_at)
        if died_at is None:
            break
        if _is_change(died_at):
            yield rotator.place(died_at).replace(credential.name.split("/")[1], "role")


def _assert_rotated_once(credential: Credential, receiver: Receiver, old: dict[str, Any], due_at: int) -> None:
    """By its record, the audit lines and what the receiver was sent; nothing waits any more."""
    document, new = credential.document(), credential.read()
    assert document["rotation"]["step"] == "done"
    assert credential.works(new)
    assert not credential.works(old)
    (version,) = credential.rotated_versions(due_at)
    assert version == document["version"]
    assert credential.audited_versions(due_at) == {version}
    assert len(credential.told(receiver, due_at)) == 1
    assert not [path for path in credential.deployment.paths("outbox/")]


@around_each
def test_a_generated_secret_is_made_once(
    generated: Generated, receiver: Receiver, when: str, counts: Callable[[Asked], bool]
) -> None:
    assert list(_killed_at_each(generated, receiver, when, counts)) == GENERATED


@around_each
def test_a_database_is_rotated_once_while_its_consumer_logs_in(
    database: Database, receiver: Receiver, when: str, counts: Callable[[Asked], bool]
) -> None:
    before = database.times_rotated()
    with _consumer_of(database):
        assert list(_killed_at_each(database, receiver, when, counts)) == DATABASE
    assert database.times_rotated() - before == len(database.told(receiver, 0))


@contextmanager
def _consumer_of(database: Database) -> Iterator[None]:
    """One that logs in without pause, for as long as the block lasts."""
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        consumer = pool.submit(_consume, database, ended)
        try:
            yield
        finally:
            ended.set()
    logins, refused = consumer.result()
    print(f"\n{logins} logins, {refused} refused and then let in")
    assert refused > 0


def _consume(database: Database, ended: threading.Event) -> tuple[int, int]:
    held, logins, refused = database.read(), 0, 0
    while not ended.wait(POLL_SECONDS):
        logins += 1
        if not database.works(held):
            refused += 1
            held = _read_again(database)
    return logins, refused


def _read_again(database: Database) -> dict[str, Any]:
    """What lets it in."""
    for _ in range(READINGS):
        held = database.read()
        if database.works(held):
            return held
        time.sleep(POLL_SECONDS)
    raise AssertionError("it is refused whatever it reads")


# -- killed while Vault is at it -------------------------------------------------------------------------------------


def test_cut_off_between_the_database_and_vaults_own_storage_the_next_tick_ends_it(
    database: Database, receiver: Receiver
) -> None:
    """The database has a new password that nobody knows any more: Vault still gives the old one."""
    old, rotator = database.read(), database.rotator
    database.make_due()
    due_at = database.document()["version"]
    with _commits_unconfirmed(database.postgres):
        rotator.proxy.instead = lambda asked: _dies_once_committed(asked, database)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            database.try_tick()
        rotator.proxy.instead = lambda _: None
        killed_at = time.monotonic()
        _wait_until(database.postgres, waiting=0)
    assert database.read() == old
    assert not database.works(old)
    rotator.lives_again()
    database.tick_until_done(killed_at)
    _assert_rotated_once(database, receiver, old, due_at)


@contextmanager
def _commits_unconfirmed(postgres: PostgreSQL) -> Iterator[None]:
    """What is committed waits for a standby that there is not: it is done, and nobody is told."""
    postgres.run_as_admin("alter system set synchronous_standby_names = 'nobody'")
    postgres.run_as_admin("select pg_reload_conf()")
    try:
        yield
    finally:
        postgres.run_as_admin("alter system reset synchronous_standby_names")
        postgres.run_as_admin("select pg_reload_conf()")


def _dies_once_committed(asked: Asked, database: Database) -> None:
    """With the rotator its connection to Vault ends, too."""
    if "/rotate-role/" not in asked.path:
        return
    vault = urlsplit(database.deployment.vault.address)
    connection = http.client.HTTPConnection(vault.hostname or "", vault.port)
    connection.request(asked.method, asked.path, asked.body or None, dict(asked.headers.items()))
    _wait_until(database.postgres, waiting=1)
    database.rotator.instance.kill()
    connection.close()
    raise Cut


def _wait_until(postgres: PostgreSQL, *, waiting: int) -> None:
    ends_at = time.monotonic() + 15
    while postgres.run_as_admin("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") != str(waiting):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
