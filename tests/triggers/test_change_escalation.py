"""Rotating, enabling or changing a key takes all of its rights; only stopping a mightier key does not."""

from typing import Any

import pytest
from deployment import Deployment, Issued

MANAGING = ["keys:read", "keys:update", "keys:rotate", "keys:revoke"]


@pytest.fixture
def manager(deployment: Deployment) -> Issued:
    return deployment.issue(scopes=[*MANAGING, "ml:infer"])


@pytest.fixture
def mightier(deployment: Deployment) -> Issued:
    return deployment.issue(scopes=["ml:infer", "ml:train"])


def refused(deployment: Deployment, reply: Any, code: str, before: object) -> None:
    assert (reply.status_code, reply.json["code"]) == (403, code), reply.json
    assert deployment.records() == before


@pytest.mark.parametrize("rights", [{"scopes": ["ml:train"]}, {"roles": ["admin"]}, {"scopes": ["*"]}])
def test_a_mightier_key_is_not_rotated(deployment: Deployment, manager: Issued, rights: dict[str, Any]) -> None:
    key_id = deployment.issue(**rights).key_id
    before = deployment.records()
    refused(deployment, deployment.call("rotate", key_id=key_id, by=manager.key), "ESCALATION", before)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"owner": "me"},
        {"scopes": []},
        {"roles": []},
        {"expires_at": "2030-06-01T00:00:00Z"},
        {"not_before": None},
        {"labels": {}},
        {"metadata": {}},
        {"context": {}},
        {"rate": None},
        {"quota": None},
        {"state": "active"},
        {"state": "disabled", "name": "other"},
        {"state": "disabled", "context": {}},
    ],
)
def test_a_mightier_key_is_not_changed(
    deployment: Deployment, manager: Issued, mightier: Issued, change: dict[str, Any]
) -> None:
    before = deployment.records()
    reply = deployment.call("update_key", change, key_id=mightier.key_id, by=manager.key)
    refused(deployment, reply, "ESCALATION", before)


def test_a_mightier_key_is_stopped_but_not_started_again(
    deployment: Deployment, manager: Issued, mightier: Issued
) -> None:
    stop = {"state": "disabled", "state_reason": "leaked?"}
    view = deployment.do("update_key", mightier.key_id, stop, by=manager.key)
    assert (view["state"], view["state_reason"], view["state_by"]) == ("disabled", "leaked?", manager.key_id)
    assert deployment.code_of(mightier.key) == "DISABLED"
    before = deployment.records()
    start = deployment.call("update_key", {"state": "active"}, key_id=mightier.key_id, by=manager.key)
    refused(deployment, start, "ESCALATION", before)


def test_a_mightier_key_is_revoked(deployment: Deployment, manager: Issued, mightier: Issued) -> None:
    deployment.do("revoke_key", mightier.key_id, by=manager.key)
    assert deployment.code_of(mightier.key) == "REVOKED"


@pytest.mark.parametrize("more", [{"scopes": ["ml:infer", "ml:train"]}, {"scopes": ["*"]}, {"roles": ["admin"]}])
def test_no_key_is_given_more_than_its_giver_holds(
    deployment: Deployment, manager: Issued, more: dict[str, Any]
) -> None:
    for key_id in (deployment.issue(scopes=["ml:infer"]).key_id, manager.key_id):  # itself too
        before = deployment.records()
        reply = deployment.call("update_key", more, key_id=key_id, by=manager.key)
        refused(deployment, reply, "ESCALATION", before)


def test_a_role_that_is_not_there_is_not_given(deployment: Deployment, manager: Issued) -> None:
    reply = deployment.call("update_key", {"roles": ["emperor"]}, key_id=manager.key_id)
    assert (reply.status_code, reply.json["code"]) == (422, "UNKNOWN_ROLE")


def test_an_equal_or_lesser_key_is_changed_and_rotated(deployment: Deployment, manager: Issued) -> None:
    equal = deployment.issue(scopes=[*MANAGING, "ml:infer"])
    assert deployment.do("update_key", equal.key_id, {"name": "b"}, by=manager.key)["name"] == "b"
    key = deployment.do("rotate", equal.key_id, by=manager.key)["key"]
    assert deployment.code_of(key) == "VALID"


@pytest.mark.parametrize(
    "expires_at", ["2031-02-02T00:00:00Z", "9999-12-31T23:59:59Z"], ids=["a year and a day", "the end of days"]
)
def test_no_life_is_made_longer_than_allowed(deployment: Deployment, expires_at: str) -> None:
    key_id = deployment.issue().key_id
    before = deployment.records()
    reply = deployment.call("update_key", {"expires_at": expires_at}, key_id=key_id)
    refused(deployment, reply, "LIFETIME_TOO_LONG", before)


def test_nor_without_end(deployment: Deployment) -> None:
    key_id = deployment.issue().key_id
    before = deployment.records()
    reply = deployment.call("update_key", {"expires_at": None}, key_id=key_id)
    refused(deployment, reply, "LIFETIME_TOO_LONG", before)


@pytest.mark.parametrize(
    ("operation", "body", "scope"),
    [
        ("rotate", {}, "keys:rotate"),
        ("update_key", {"state": "disabled"}, "keys:update"),
        ("revoke_key", {}, "keys:revoke"),
        ("get_key", None, "keys:read"),
    ],
)
def test_each_takes_its_own_scope(deployment: Deployment, operation: str, body: object, scope: str) -> None:
    target = deployment.issue().key_id
    all_others = [held for held in (*MANAGING, "keys:issue", "keys:validate") if held != scope]
    before = None
    for scopes, status in [(all_others, 403), ([scope], 200)]:
        by = deployment.issue(scopes=scopes).key
        before = deployment.records()
        reply = deployment.call(operation, body, key_id=target, by=by)
        assert reply.status_code == status
        assert (deployment.records() == before) == (status == 403 or operation == "get_key")
