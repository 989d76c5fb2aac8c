"""PATCH /v1/keys/{key_id}: what is named is replaced, the rest stays, and If-Match guards against others."""

from typing import Any

import pytest
from deployment import Deployment, Issued
from werkzeug.test import TestResponse

BOUND = {
    "scopes": ["ml:infer"],
    "labels": {"team": "search"},
    "metadata": {"a": 1},
    "context": {"cidrs": ["10.0.0.0/8"], "audiences": ["inference"]},
    "rate": {"requests": 5, "window_seconds": 1},
    "quota": {"requests": 500, "window_seconds": 3600},
    "not_before": "2030-01-31T12:30:00Z",
}


@pytest.fixture
def bound(deployment: Deployment) -> Issued:
    """A key with everything that can be taken away."""
    return deployment.issue(**BOUND)


def update(deployment: Deployment, key_id: str, change: object, if_match: str | None = None) -> TestResponse:
    headers = {} if if_match is None else {"If-Match": if_match}
    return deployment.call("update_key", change, key_id=key_id, headers=headers)


def is_refused(reply: TestResponse, status: int, code: str) -> None:
    assert (reply.status_code, reply.json["code"]) == (status, code), reply.json


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"owner": "other-team"},
        {"scopes": ["data:read"]},
        {"roles": ["auditor"]},
        {"labels": {}},
        {"metadata": {"b": [1, {"c": None}]}},
        {"context": {"cidrs": [], "audiences": []}},
        {"rate": {"requests": 1, "window_seconds": 2}},
        {"expires_at": "2030-06-01T00:00:00Z"},
        {"not_before": "2030-02-01T00:00:00Z"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_only_what_is_named_changes(deployment: Deployment, bound: Issued, change: dict[str, Any]) -> None:
    before = deployment.do("get_key", bound.key_id)
    changed = update(deployment, bound.key_id, change).json
    assert changed == deployment.do("get_key", bound.key_id)
    moved = {"etag", "lifetime_seconds"} if "expires_at" in change else {"etag"}
    assert {name for name in changed.keys() | before.keys() if changed.get(name) != before.get(name)} == {
        *change,
        *moved,
    }
    assert {name: changed[name] for name in change} == change


class TestIfMatch:
    def test_the_version_it_names_is_changed(self, deployment: Deployment, bound: Issued) -> None:
        etag = deployment.call("get_key", key_id=bound.key_id).headers["ETag"]
        reply = update(deployment, bound.key_id, {"name": "b"}, etag)
        assert (reply.status_code, reply.json["name"]) == (200, "b")
        assert reply.headers["ETag"] == reply.json["etag"] != etag

    @pytest.mark.parametrize("stale", ['"1"', '"3"', "2", 'W/"2"', '"2", "3"', '""', "anything"])
    def test_another_version_is_left_alone(self, deployment: Deployment, bound: Issued, stale: str) -> None:
        update(deployment, bound.key_id, {"name": "b"})
        before = deployment.records()
        is_refused(update(deployment, bound.key_id, {"name": "c"}, stale), 412, "ETAG_MISMATCH")
        assert deployment.records() == before

    @pytest.mark.parametrize("anything", [None, "*"])
    def test_a_star_or_nothing_is_any_version(
        self, deployment: Deployment, bound: Issued, anything: str | None
    ) -> None:
        update(deployment, bound.key_id, {"name": "b"})
        assert update(deployment, bound.key_id, {"name": "c"}, anything).json["name"] == "c"

    def test_it_may_come_in_the_body(self, deployment: Deployment, bound: Issued) -> None:
        is_refused(update(deployment, bound.key_id, {"name": "b", "if_match": '"9"'}), 412, "ETAG_MISMATCH")
        assert update(deployment, bound.key_id, {"name": "b", "if_match": '"1"'}).status_code == 200

    def test_a_change_that_comes_between_is_seen(
        self, deployment: Deployment, bound: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between reading and writing, somebody else writes."""
        _others_write_first(deployment, bound, monkeypatch, times=1)
        is_refused(update(deployment, bound.key_id, {"name": "b"}, '"1"'), 412, "ETAG_MISMATCH")


class TestOthersWriting:
    def test_without_if_match_the_change_is_made_on_what_they_wrote(
        self, deployment: Deployment, bound: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _others_write_first(deployment, bound, monkeypatch, times=4)
        view = update(deployment, bound.key_id, {"name": "b"}).json
        assert (view["name"], view["labels"], view["etag"]) == ("b", {"write": "4"}, '"6"')

    def test_without_end_it_is_a_conflict(
        self, deployment: Deployment, bound: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _others_write_first(deployment, bound, monkeypatch, times=99)
        is_refused(update(deployment, bound.key_id, {"name": "b"}), 409, "CONCURRENT_CHANGE")


def _others_write_first(deployment: Deployment, issued: Issued, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    from dataclasses import replace

    keys = deployment.services.keys
    write, written = keys.replace, []

    def after_others(record: Any, version: int) -> int | None:
        if len(written) < times:
            written.append(version)
            stored = keys.find(issued.key_id)
            assert stored is not None
            write(replace(stored.record, labels={"write": str(len(written))}), stored.version)
        return write(record, version)

    monkeypatch.setattr(keys, "replace", after_others)


class TestNull:
    @pytest.mark.parametrize("name", ["not_before", "rate", "quota"])
    def test_takes_away_what_may_be_absent(self, deployment: Deployment, bound: Issued, name: str) -> None:
        assert name in deployment.do("get_key", bound.key_id)
        view = update(deployment, bound.key_id, {name: None}).json
        assert name not in view
        assert name not in deployment.do("get_key", bound.key_id)

    @pytest.mark.parametrize(
        "name", ["name", "owner", "scopes", "roles", "labels", "metadata", "context", "state", "state_reason"]
    )
    def test_is_refused_for_what_may_not(self, deployment: Deployment, bound: Issued, name: str) -> None:
        before = deployment.records()
        is_refused(update(deployment, bound.key_id, {name: None}), 422, "INVALID_FIELD")
        assert deployment.records() == before


@pytest.mark.parametrize("nothing", [{}, {"state_reason": "why"}, {"if_match": "*"}])
def test_a_change_of_nothing_is_refused(deployment: Deployment, bound: Issued, nothing: object) -> None:
    is_refused(update(deployment, bound.key_id, nothing), 422, "INVALID_FIELD")


@pytest.mark.parametrize(
    "what", ["key", "tenant", "state_at", "generations", "rotation", "created_by", "lifetime_seconds", "etag"]
)
def test_what_is_not_to_be_changed_is_unknown(deployment: Deployment, bound: Issued, what: str) -> None:
    is_refused(update(deployment, bound.key_id, {what: "x", "name": "b"}), 422, "INVALID_FIELD")


@pytest.mark.parametrize("change", [{"name": "b"}, {"state": "disabled"}, {"state": "active"}])
def test_a_revoked_key_is_not_changed(deployment: Deployment, bound: Issued, change: object) -> None:
    deployment.do("revoke_key", bound.key_id)
    before = deployment.records()
    is_refused(update(deployment, bound.key_id, change), 409, "KEY_NOT_LIVE")
    assert deployment.records() == before


def test_an_end_before_the_beginning_is_refused(deployment: Deployment, bound: Issued) -> None:
    is_refused(update(deployment, bound.key_id, {"expires_at": "2030-01-31T12:30:00Z"}), 422, "INVALID_ARGUMENT")


def test_an_end_set_by_hand_is_not_moved_by_a_rotation(deployment: Deployment) -> None:
    key_id = deployment.issue(lifetime_seconds=86_400).key_id
    update(deployment, key_id, {"expires_at": "2030-02-10T00:00:00Z"})
    assert deployment.do("rotate", key_id)["expires_at"] == "2030-02-10T00:00:00Z"


def test_merge_patch_is_a_name_for_the_same(deployment: Deployment, bound: Issued) -> None:
    sent = {"data": b'{"name": "b"}', "content_type": "application/merge-patch+json"}
    assert deployment.call("update_key", key_id=bound.key_id, **sent).json["name"] == "b"
