"""Issuing with an Idempotency-Key: never a second live key, and the secret is shown once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from deployment import Deployment
from werkzeug.test import TestResponse

BODY = {"tenant": "acme", "owner": "ml-team", "name": "a key", "scopes": ["ml:infer"], "metadata": {"a": 1, "b": [2]}}


def issue(
    deployment: Deployment, idempotency_key: str, body: dict[str, Any] | None = None, **more: Any
) -> TestResponse:
    return deployment.call("issue_key", body or BODY, headers={"Idempotency-Key": idempotency_key}, **more)


def test_the_same_again_answers_the_same_id_without_the_secret(deployment: Deployment) -> None:
    first = issue(deployment, "attempt-1")
    again = issue(deployment, "attempt-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json["replayed"], again.json["replayed"]) == (False, True)
    assert "key" not in again.json
    assert again.json == {name: value for name, value in first.json.items() if name != "key"} | {"replayed": True}
    assert deployment.code_of(first.json["key"]) == "VALID"
    assert len(deployment.do("list_keys", "", query={"tenant": "acme"})["keys"]) == 1


def test_a_lost_reply_is_healed_by_rotating(deployment: Deployment) -> None:
    issue(deployment, "attempt-1")
    key_id = issue(deployment, "attempt-1").json["key_id"]
    assert deployment.code_of(deployment.do("rotate", key_id, {"grace_seconds": 0})["key"]) == "VALID"


def test_the_same_body_written_in_another_order_is_the_same(deployment: Deployment) -> None:
    first = issue(deployment, "attempt-1")
    turned = {name: BODY[name] for name in reversed(BODY)} | {"metadata": {"b": [2], "a": 1}}
    text = json.dumps(turned, indent=2)
    again = issue(deployment, "attempt-1", data=text, content_type="application/json")
    assert (again.status_code, again.json["key_id"]) == (200, first.json["key_id"])


@pytest.mark.parametrize(
    "change", [{"name": "b"}, {"scopes": []}, {"metadata": {"a": 2}}, {"lifetime_seconds": 60}, {"roles": ["auditor"]}]
)
def test_another_body_is_a_conflict(deployment: Deployment, change: dict[str, Any]) -> None:
    issue(deployment, "attempt-1")
    before = deployment.records()
    reply = issue(deployment, "attempt-1", BODY | change)
    assert (reply.status_code, reply.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert deployment.records() == before


def test_another_caller_another_tenant_or_another_key_is_another_issue(deployment: Deployment) -> None:
    other = deployment.issue(scopes=["keys:issue", "ml:infer"]).key
    replies = [
        issue(deployment, "attempt-1"),
        issue(deployment, "attempt-1", by=other),
        issue(deployment, "attempt-1", BODY | {"tenant": "globex"}),
        issue(deployment, "attempt-2"),
    ]
    assert [reply.status_code for reply in replies] == [201] * 4
    assert len({reply.json["key_id"] for reply in replies}) == 4


def test_without_one_each_call_makes_a_key(deployment: Deployment) -> None:
    assert deployment.issue().key_id != deployment.issue().key_id


def test_header_and_body_are_the_same_field(deployment: Deployment) -> None:
    first = deployment.call("issue_key", BODY | {"idempotency_key": "attempt-1"})
    assert issue(deployment, "attempt-1").json["key_id"] == first.json["key_id"]
    both = issue(deployment, "attempt-1", BODY | {"idempotency_key": "attempt-1"})
    assert both.json["key_id"] == first.json["key_id"]
    differing = issue(deployment, "attempt-1", BODY | {"idempotency_key": "attempt-2"})
    assert (differing.status_code, differing.json["code"]) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("wrong", ["", " ", "a b", "x" * 129, "é", "a\tb"])
def test_what_is_no_idempotency_key_is_refused(deployment: Deployment, wrong: str) -> None:
    before = deployment.records()
    reply = issue(deployment, wrong)
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")
    assert reply.json["errors"][0]["field"] == "idempotency_key"
    assert deployment.records() == before


@pytest.mark.parametrize("after", ["revoke_key", "update_key", "rotate"])
def test_the_same_again_after_a_change_shows_the_key_as_it_is(deployment: Deployment, after: str) -> None:
    key_id = issue(deployment, "attempt-1").json["key_id"]
    deployment.do(after, key_id, {"state": "disabled"} if after == "update_key" else {})
    again = issue(deployment, "attempt-1")
    assert (again.status_code, again.json["key_id"]) == (200, key_id)
    assert again.json["state"] == {"revoke_key": "revoked", "update_key": "disabled", "rotate": "active"}[after]
    assert "key" not in again.json


def test_the_same_again_is_a_replay_also_when_the_key_has_ended_by_then(deployment: Deployment) -> None:
    body = BODY | {"expires_at": (deployment.clock.now() + timedelta(seconds=60)).isoformat()}
    first = issue(deployment, "attempt-1", body)
    deployment.clock.seconds += 61
    again = issue(deployment, "attempt-1", body)
    assert (again.status_code, again.json["key_id"], again.json["state"]) == (200, first.json["key_id"], "expired")
    assert issue(deployment, "attempt-2", body).status_code == 422
