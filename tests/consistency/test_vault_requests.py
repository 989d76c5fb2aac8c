"""How many requests to Vault the pages promise, counted on a real server, each function under its own policy."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from repository import rows, section, text_of

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.generated_secret import GeneratedSecret
from keyrail.adapters.json_audit import JsonAuditLog
from keyrail.adapters.memory_limiter import MemoryRateLimiter
from keyrail.adapters.rotators import InstalledRotators
from keyrail.adapters.system_clock import SystemClock
from keyrail.adapters.vault_config_store import VaultConfigStore
from keyrail.adapters.vault_delivery import VaultKeyDelivery
from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
from keyrail.adapters.vault_due import VaultDueIndex
from keyrail.adapters.vault_feed import VaultChangeFeed
from keyrail.adapters.vault_keys import VaultKeyStore
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.access import Caller
from keyrail.domain.key_format import KeyFormat
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.roles import BUILT_IN_ROLES
from keyrail.operations import rotate_due
from keyrail.operations.catalogue import CATALOGUE
from keyrail.ports import Services
from keyrail.validation import authenticate
from vault_mount import NOW, Mount, QuietUsageLog, RecordedMetrics

ADMIN = Caller(key_id="0Keyrail0AdminId", tenant="acme", owner="admin", scopes=("*",))
BOUNDS = CacheBounds(poll_seconds=60, max_stale_seconds=300, ttl_seconds=300, background=False)
SINK, GRACE_SECONDS = "vault:acme/gateway", 600
OPERATIONS = {operation.name: operation for operation in CATALOGUE}


class MovedClock(SystemClock):
    """Goes on where a test says so, and begins early in an hour: all hints here are of that one."""

    seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Function:
    """One operation in a process of its own, as far as Vault can tell."""

    name: str
    services: Services
    metrics: RecordedMetrics
    clock: "MovedClock"

    def run(self, **payload: Any) -> Any:
        operation = OPERATIONS[self.name]
        return operation.run(operation.request.model_validate(payload), ADMIN, self.services)

    def requests(self, call: Callable[[], object]) -> int:
        """Without what every instance does now and then: the feed, the pepper and the roles are in memory already."""
        self.services.lookup.peppers()
        self.services.lookup.roles()
        before = len(self.metrics.calls)
        call()
        return len(self.metrics.calls) - before


@pytest.fixture
def function(mount: Mount) -> Iterator[Callable[[str], Function]]:
    mount.put("pepper", {"current": 1, "versions": {"1": "ab" * 32}})
    mount.put("rbac/roles", {name: list(scopes) for name, scopes in BUILT_IN_ROLES.items()})
    mount.put("feed/head", {"seq": 0, "ring": []})
    sessions: list[VaultSession] = []

    def make(name: str) -> Function:
        policy = (
            text_of(f"functions/{name}/policy.hcl")
            .replace('"keyrail/', '"MOUNT/')
            .replace('"keyrail-config/', '"MOUNT/')
            .replace('"keyrail-delivery/', '"MOUNT/')
        )
        metrics, clock = RecordedMetrics(), MovedClock()
        session = VaultSession(mount.config(token=mount.token(policy)), metrics)
        sessions.append(session)
        keys, feed = VaultKeyStore(session), VaultChangeFeed(session)
        lookup = CachedLookup(keys, VaultPepperSource(session), VaultRoleSource(session), feed, clock, metrics, BOUNDS)
        services = Services(
            delivery=VaultKeyDelivery(session),
            due=VaultDueIndex(session),
            usage=QuietUsageLog(session),
            configs=VaultConfigStore(session),
            rotators=InstalledRotators({"generated": GeneratedSecret()}),
            key_format=KeyFormat(),
            life_policy=LifePolicy(3600, None),
            keys=keys,
            lookup=lookup,
            feed=feed,
            audit=JsonAuditLog(),
            limiter=MemoryRateLimiter(clock.elapsed_seconds),
            clock=clock,
            metrics=metrics,
        )
        return Function(name, services, metrics, clock)

    yield make
    for session in sessions:
        session.close()


def promised(operation: str, when: str) -> int:
    return _number(section(f"docs/operations/{operation}.md", "What it costs"), when)


def _number(text: str, when: str) -> int:
    (told,) = [row[1] for row in rows(text) if row[0] == when]
    return int(re.sub(r"\D", "", told))


def issue(function: Callable[[str], Function], **changes: Any) -> Any:
    return function("issue_key").run(owner="svc", name="a key", scopes=["ml:infer"], **changes)


def test_issue(function: Callable[[str], Function]) -> None:
    issuer = function("issue_key")
    again = {"owner": "svc", "name": "a key", "idempotency_key": "once"}
    assert issuer.requests(lambda: issuer.run(**again)) == promised("issue_key", "a new key") <= 4
    assert issuer.requests(lambda: issuer.run(**again)) == promised("issue_key", "the same again")


def test_import(function: Callable[[str], Function]) -> None:
    importer = function("issue_key")
    operation = OPERATIONS["import_key"]
    importing = replace(importer.services, key_format=KeyFormat(imported_prefixes=("sk-",)))
    asked = operation.request.model_validate({"owner": "svc", "name": "a key", "sha256": "0" * 64})
    run = lambda: operation.run(asked, ADMIN, importing)  # noqa: E731
    assert importer.requests(run) == promised("import_key", "a new key")
    assert importer.requests(run) == promised("import_key", "the same again")


def test_validate(function: Callable[[str], Function]) -> None:
    key = issue(function).key
    validator = function("validate_key")
    validate = lambda: validator.run(key=key)  # noqa: E731
    assert validator.requests(validate) == promised("validate_key", "a key that is not") <= 2
    assert validator.requests(validate) == promised("validate_key", "a key that is in memory") == 0
    malformed = validator.requests(lambda: validator.run(key="not a key"))
    assert malformed == promised("validate_key", "a malformed key") == 0


def test_rotate(function: Callable[[str], Function]) -> None:
    key_id, rotator = issue(function).key_id, function("rotate")
    assert rotator.requests(lambda: rotator.run(key_id=key_id)) == promised("rotate", "a rotation")


def test_rotate_into_a_sink(function: Callable[[str], Function]) -> None:
    """By hand a hint is left for whoever would have to end it, and taken away again."""
    rotation = {"sink": SINK, "grace_seconds": GRACE_SECONDS}
    key_id, rotator = issue(function, rotation=rotation).key_id, function("rotate")
    tick(rotator)
    rotator.clock.seconds += GRACE_SECONDS
    promise = promised("rotate", "a rotation into a sink")
    assert rotator.requests(lambda: rotator.run(key_id=key_id)) == promise
    assert rotator.requests(lambda: rotator.run(key_id=key_id, grace_seconds=0)) == promise - 2, "no grace to look at"


def test_tick(function: Callable[[str], Function]) -> None:
    rotator = function("rotate")
    assert rotator.requests(lambda: tick(rotator)) == 1
    issue(function, rotation={"sink": SINK, "grace_seconds": GRACE_SECONDS, "interval_seconds": 3000})
    looks = 2 * 2  # at the hours and one of them; then once more, for what came meanwhile
    rotation = promised("rotate_due", "a rotation into a sink")
    assert rotator.requests(lambda: tick(rotator)) == looks + rotation
    rotator.clock.seconds += 0.9 * GRACE_SECONDS
    assert rotator.requests(lambda: tick(rotator)) == looks + promised("rotate_due", "a look at a grace")
    rotator.clock.seconds += 0.1 * GRACE_SECONDS
    assert rotator.requests(lambda: tick(rotator)) == looks + promised("rotate_due", "the end of a grace")


def tick(rotator: Function) -> None:
    rotator.clock.seconds += 1  # a hint is of the second that follows
    reply = rotate_due.run(rotate_due.TickRequest(), ADMIN, rotator.services)
    assert reply.failed == 0


def test_revoke(function: Callable[[str], Function]) -> None:
    key_id, revoker = issue(function).key_id, function("revoke_key")
    assert revoker.requests(lambda: revoker.run(key_id=key_id)) == promised("revoke_key", "a revocation")
    assert revoker.requests(lambda: revoker.run(key_id=key_id)) == promised("revoke_key", "the same again")


def test_update(function: Callable[[str], Function]) -> None:
    key_id, updater = issue(function).key_id, function("update_key")
    assert updater.requests(lambda: updater.run(key_id=key_id, name="new")) == promised("update_key", "a change")


def test_get(function: Callable[[str], Function]) -> None:
    key_id, getter = issue(function).key_id, function("get_key")
    assert getter.requests(lambda: getter.run(key_id=key_id)) == promised("get_key", "a key")


def test_list(function: Callable[[str], Function]) -> None:
    for _ in range(3):
        issue(function)
    lister = function("list_keys")
    assert 8 <= lister.requests(lister.run) <= promised("list_keys", "a page of 3 keys")


def test_configs(function: Callable[[str], Function], mount: Mount) -> None:
    mount.root.secrets.kv.v2.configure(mount_point=mount.name, cas_required=True, max_versions=20)
    reader, writer = function("read_config"), function("write_config")

    def costs(**fields: Any) -> int:
        return writer.requests(lambda: writer.run(name="some/config", **fields))

    def reads(**fields: Any) -> int:
        return reader.requests(lambda: reader.run(name="some/config", **fields))

    assert costs(value=1) == promised("write_config", "a new config")
    assert costs(value=2, if_match='"1"') == promised("write_config", "a change")
    assert costs(restore_version=1, if_match='"2"') == promised("write_config", "restoring")
    rotation = {"kind": "generated", "interval_seconds": 60}
    assert costs(value=3, rotation=rotation, if_match='"3"') == promised("write_config", "a change") + 1
    assert reads() == promised("read_config", "the newest version")
    assert reads(version=2) == promised("read_config", "an old version")
    assert reads(history=True) == promised("read_config", "the history")
    assert costs(destroy_versions=[1]) == promised("write_config", "destroying some versions")
    assert costs(destroy_versions="all") == promised("write_config", "destroying all")


def test_authenticating_the_caller(function: Callable[[str], Function]) -> None:
    key, getter = issue(function).key, function("get_key")
    table = section("docs/operations.md", "Requests to Vault")
    ask = lambda: authenticate(key, None, getter.services)  # noqa: E731
    assert getter.requests(ask) == _number(table, "it is not")
    assert getter.requests(ask) == _number(table, "the caller's key is in memory")
