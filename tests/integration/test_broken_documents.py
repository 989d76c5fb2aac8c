"""A policy taken away, a document replaced by rubbish, a mount moved: a fault is 503, never a "no", and passes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deployed import Deployment, Instance
from http_api import Key, Reply, a_key_like

from keyrail.domain.key_format import new_key_id

RECOVERY_SECONDS = 2.0
FRESH_SECONDS = 1.5
MAX_STALE_SECONDS = 5.0

RUBBISH: list[dict[str, Any]] = [{}, {"nonsense": True}, {"current": 2, "versions": {"1": "ab" * 32}}]


@pytest.fixture
def validator(deployment: Deployment) -> Instance:
    """Just started: it holds nothing in memory."""
    instance = deployment.all_of("validate_key")[0]
    instance.restart()
    return instance


@pytest.fixture
def key(deployment: Deployment) -> Key:
    return deployment.api.issue()


@contextlib.contextmanager
def replaced(deployment: Deployment, path: str, document: dict[str, Any]) -> Iterator[None]:
    before = deployment.document(path)
    deployment.overwrite(path, document)
    try:
        yield
    finally:
        deployment.overwrite(path, before)


@contextlib.contextmanager
def without_policy(deployment: Deployment, name: str) -> Iterator[None]:
    policy = deployment.policy_of(name)
    text = deployment.root.sys.read_policy(policy)["data"]["rules"]
    deployment.root.sys.delete_policy(policy)
    try:
        yield
    finally:
        deployment.root.sys.create_or_update_policy(policy, text)


@contextlib.contextmanager
def moved_away(deployment: Deployment) -> Iterator[None]:
    """While it moves, the server itself says of every document that it is absent: so only once it has moved."""
    elsewhere = f"{deployment.mount}-elsewhere"
    _move(deployment, deployment.mount, elsewhere)
    try:
        yield
    finally:
        _move(deployment, elsewhere, deployment.mount)


def _move(deployment: Deployment, old: str, new: str) -> None:
    moved = deployment.root.sys.move_backend(old, new)
    migration = moved.json()["migration_id"] if hasattr(moved, "json") else moved["migration_id"]
    _within(10, lambda: _status(deployment, migration) == "success")


def _status(deployment: Deployment, migration: str) -> str:
    answer = deployment.root.adapter.get(f"/v1/sys/remount/status/{migration}")
    document = answer.json() if hasattr(answer, "json") else answer
    return str(document["data"]["migration_info"]["status"])


def _is_unavailable(reply: Reply) -> bool:
    assert (reply.status, reply.code) in ((200, "VALID"), (503, "UNAVAILABLE")), reply.text
    assert reply.status == 200 or int(reply.headers["Retry-After"]) >= 1
    return reply.status == 503


def _within(seconds: float, is_so: Callable[[], bool]) -> None:
    began_at = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_at < seconds
        time.sleep(0.05)


def test_a_function_without_its_policy_is_unavailable_and_no_other_is(
    deployment: Deployment, validator: Instance, key: Key
) -> None:
    assert deployment.api.code_of(key.text) == "VALID"
    with without_policy(deployment, "validate_key"):
        assert _is_unavailable(deployment.api.validate(a_key_like(new_key_id())))
        _within(MAX_STALE_SECONDS + 1, lambda: _is_unavailable(deployment.api.validate(key.text)))
        assert not validator.is_up()
        assert deployment.api.get(key.key_id).status == 200
    _within(RECOVERY_SECONDS, lambda: validator.is_up() and not _is_unavailable(deployment.api.validate(key.text)))


@pytest.mark.parametrize(
    ("path", "document"),
    [*(("pepper", rubbish) for rubbish in RUBBISH), ("rbac/roles", {"nonsense": True}), ("rbac/roles", {"admin": "*"})],
)
def test_a_document_that_can_not_be_read_refuses_nobody(
    deployment: Deployment, validator: Instance, key: Key, path: str, document: dict[str, Any]
) -> None:
    with replaced(deployment, path, document):
        assert _is_unavailable(deployment.api.validate(key.text))
        assert _is_unavailable(deployment.api.validate(a_key_like(new_key_id())))
        assert validator.is_up("livez")
    _within(RECOVERY_SECONDS, lambda: not _is_unavailable(deployment.api.validate(key.text)))


def test_a_pepper_that_breaks_under_a_running_function_refuses_nobody(
    deployment: Deployment, validator: Instance, key: Key
) -> None:
    assert deployment.api.code_of(key.text) == "VALID"
    with replaced(deployment, "pepper", {"nonsense": True}):
        head = deployment.document("feed/head")
        deployment.overwrite("feed/head", {"seq": head["seq"] + 1, "ring": [*head["ring"], "pepper"][-200:]})
        _within(FRESH_SECONDS, lambda: _is_unavailable(deployment.api.validate(key.text)))
    _within(RECOVERY_SECONDS, lambda: not _is_unavailable(deployment.api.validate(key.text)))


@pytest.mark.parametrize("document", RUBBISH)
def test_a_broken_record_is_unavailable_and_its_neighbours_are_not(
    deployment: Deployment, key: Key, document: dict[str, Any]
) -> None:
    neighbour = deployment.api.issue()
    with replaced(deployment, f"keys/{key.key_id[:2]}/{key.key_id}", document):
        assert _is_unavailable(deployment.api.validate(key.text))
        assert deployment.api.code_of(neighbour.text) == "VALID"
    _within(RECOVERY_SECONDS, lambda: not _is_unavailable(deployment.api.validate(key.text)))


@pytest.mark.parametrize("document", RUBBISH)
def test_a_broken_tombstone_never_lets_a_key_pass(deployment: Deployment, key: Key, document: dict[str, Any]) -> None:
    path = f"revoked/{key.key_id[:2]}/{key.key_id}"
    deployment.root.secrets.kv.v2.create_or_update_secret(path, document, cas=0, mount_point=deployment.mount)
    assert _is_unavailable(deployment.api.validate(key.text))
    assert deployment.api.revoke(key.key_id).status == 503
    deployment.root.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point=deployment.mount)


def test_without_a_feed_every_key_is_read_anew_and_a_revocation_holds_within_max_stale(
    deployment: Deployment, validator: Instance, key: Key
) -> None:
    other = deployment.api.issue()
    assert deployment.api.code_of(key.text) == "VALID"
    with replaced(deployment, "feed/head", {"nonsense": True}):
        assert deployment.api.revoke(key.key_id).status == 503, "it could not be told to all"
        _within(MAX_STALE_SECONDS + 1, lambda: deployment.api.code_of(key.text) == "REVOKED")
        assert deployment.api.code_of(other.text) == "VALID"
        _within(FRESH_SECONDS, lambda: not validator.is_up())
    assert deployment.api.revoke(key.key_id).status == 200
    _within(RECOVERY_SECONDS, validator.is_up)


def test_a_mount_that_was_moved_away_refuses_nobody(deployment: Deployment, validator: Instance, key: Key) -> None:
    with moved_away(deployment):
        assert _is_unavailable(deployment.api.validate(a_key_like(new_key_id())))
        assert _is_unavailable(deployment.api.validate(key.text))
        assert deployment.api.get(key.key_id).status == 503
        assert deployment.api.list_page().status == 503
        _within(FRESH_SECONDS, lambda: not validator.is_up())
    _within(RECOVERY_SECONDS, lambda: not _is_unavailable(deployment.api.validate(key.text)))
    _within(RECOVERY_SECONDS, validator.is_up)
