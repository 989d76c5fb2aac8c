"""Peppers, roles and the feed's head in Vault: malformed or missing is unavailable, and nothing of them is quoted."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from keyrail.adapters import vault_feed
from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
from keyrail.adapters.vault_feed import VaultChangeFeed
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import Unavailable
from vault_mount import Mount, RecordedMetrics
from vault_servers import LossyProxy

PEPPER = "c4" * 32

MALFORMED_PEPPERS: list[dict[str, Any]] = [
    {},
    {"current": 1},
    {"current": 1, "versions": {}},
    {"current": 2, "versions": {"1": PEPPER}},
    {"current": "1", "versions": {"1": PEPPER}},
    {"current": True, "versions": {"1": PEPPER}},
    {"current": 1, "versions": {"1": PEPPER}, "next": 2},
    {"current": 1, "versions": {"1": PEPPER, "01": PEPPER}},
    {"current": 1, "versions": {"1": PEPPER, "two": PEPPER}},
    {"current": 1, "versions": {"1": PEPPER[:-2]}},
    {"current": 1, "versions": {"1": PEPPER.upper()}},
    {"current": 1, "versions": {"1": PEPPER[:-1] + "g"}},
    {"current": 1, "versions": {"1": None}},
    {"current": 1, "versions": [PEPPER]},
    {"current": 0, "versions": {"0": PEPPER}},
]

MALFORMED_ROLES: list[dict[str, Any]] = [
    {"admin": "*"},
    {"admin": None},
    {"admin": ["*", 7]},
    {"admin": ["not a scope"]},
    {"admin": {"scopes": ["*"]}},
]

MALFORMED_HEADS: list[dict[str, Any]] = [
    {},
    {"seq": 1},
    {"seq": -1, "ring": []},
    {"seq": 0, "ring": ["more names than changes"]},
    {"seq": "1", "ring": []},
    {"seq": True, "ring": []},
    {"seq": 1, "ring": [7]},
    {"seq": 1, "ring": {}},
    {"seq": 1, "ring": [], "extra": 1},
]

CASES = [
    *[(VaultPepperSource, "pepper", document) for document in MALFORMED_PEPPERS],
    *[(VaultRoleSource, "rbac/roles", document) for document in MALFORMED_ROLES],
    *[(lambda session: _Head(session), "feed/head", document) for document in MALFORMED_HEADS],
]


class _Head:
    def __init__(self, session: VaultSession) -> None:
        self.read = VaultChangeFeed(session).head


@pytest.mark.parametrize(("source", "path", "document"), CASES)
def test_a_malformed_document_is_unavailable_and_not_quoted(
    mount: Mount,
    vault_session: VaultSession,
    source: Callable[[VaultSession], Any],
    path: str,
    document: dict[str, Any],
) -> None:
    mount.put(path, document)
    with pytest.raises(Unavailable) as caught:
        source(vault_session).read()
    assert path in caught.value.detail
    assert "c4c4" not in f"{caught.value} {caught.value.detail}".lower()


@pytest.mark.parametrize("source", [VaultPepperSource, VaultRoleSource, _Head])
def test_a_missing_document_is_unavailable_and_says_what_to_do(
    vault_session: VaultSession, source: Callable[[VaultSession], Any]
) -> None:
    with pytest.raises(Unavailable) as caught:
        source(vault_session).read()
    assert "keyrail bootstrap" in caught.value.detail


def test_peppers_are_not_shown_by_repr(mount: Mount, vault_session: VaultSession) -> None:
    mount.put("pepper", {"current": 1, "versions": {"1": PEPPER}})
    peppers = VaultPepperSource(vault_session).read()
    assert peppers.by_version == {1: bytes.fromhex(PEPPER)}
    assert repr(bytes.fromhex(PEPPER)) not in repr(peppers)


def test_a_head_costs_one_request_and_a_change_two(
    mount: Mount, vault_session: VaultSession, metrics: RecordedMetrics
) -> None:
    mount.put("feed/head", {"seq": 0, "ring": []})
    feed = VaultChangeFeed(vault_session)
    feed.head()
    feed.publish("a name")
    assert metrics.calls == [("read", "ok"), ("read", "ok"), ("write", "ok")]


def test_a_change_whose_answer_was_lost_is_known_to_be_told(mount: Mount) -> None:
    mount.put("feed/head", {"seq": 0, "ring": []})
    with LossyProxy(mount.server.address) as proxy:
        proxy.lose = lambda method, path: method == "POST"
        feed = VaultChangeFeed(VaultSession(mount.config(address=proxy.address)))
        feed.publish("a name")
        assert feed.head().ring == ("a name",)


def test_a_change_written_over_before_we_looked_is_told_again(mount: Mount) -> None:
    mount.put("feed/head", {"seq": 0, "ring": []})
    with LossyProxy(mount.server.address) as proxy:
        proxy.lose = lambda method, path: method == "POST" and not proxy.lost
        proxy.after_passing_on = lambda: mount.put("feed/head", {"seq": 2, "ring": ["a name", "other"]}, cas=2)
        feed = VaultChangeFeed(VaultSession(mount.config(address=proxy.address)))
        feed.publish("a name")
        assert feed.head().ring == ("a name", "other", "a name")


def test_a_publisher_that_never_gets_its_turn_gives_up(
    mount: Mount, vault_session: VaultSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.put("feed/head", {"seq": 0, "ring": []})
    monkeypatch.setattr(vault_feed, "PUBLISH_SECONDS", 0.2)
    monkeypatch.setattr(vault_session, "replace", lambda *_: None)
    started_at = time.monotonic()
    with pytest.raises(Unavailable):
        VaultChangeFeed(vault_session).publish("a name")
    assert 0.2 < time.monotonic() - started_at < 1.0
