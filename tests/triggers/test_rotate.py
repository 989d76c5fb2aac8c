"""POST /v1/keys/{key_id}/rotate: one key id, one new secret, one grace period at a time."""

import pytest
from deployment import Deployment, Issued
from werkzeug.test import TestResponse

GRACE_SECONDS = 600


@pytest.fixture
def issued(deployment: Deployment) -> Issued:
    return deployment.issue(rotation={"grace_seconds": GRACE_SECONDS, "max_grace_seconds": 3600})


def rotate(deployment: Deployment, key_id: str, idempotency_key: str = "", **body: object) -> TestResponse:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return deployment.call("rotate", body, key_id=key_id, headers=headers)


def codes(deployment: Deployment, *keys: str) -> list[str]:
    return [deployment.code_of(key) for key in keys]


def is_conflict(reply: TestResponse, code: str) -> None:
    assert (reply.status_code, reply.json["code"]) == (409, code)
    assert "key" not in reply.json


def test_the_new_key_is_shown_once_with_the_id_of_the_old(deployment: Deployment, issued: Issued) -> None:
    reply = rotate(deployment, issued.key_id)
    assert reply.json["key_id"] == issued.key_id
    assert [(g["n"], g["state"]) for g in reply.json["generations"]] == [(1, "retiring"), (2, "current")]
    assert (reply.json["step"], reply.headers["ETag"]) == ("promoted", '"2"')
    assert codes(deployment, issued.key, reply.json["key"]) == ["VALID", "VALID"]
    assert "key" not in deployment.do("get_key", issued.key_id)


def test_the_grace_of_the_key_holds_where_none_is_asked(deployment: Deployment, issued: Issued) -> None:
    rotate(deployment, issued.key_id)
    deployment.wait(GRACE_SECONDS - 4)
    assert codes(deployment, issued.key, issued.key) == ["VALID", "ROTATED_OUT"]


def test_a_second_rotation_inside_the_grace_is_a_conflict(deployment: Deployment, issued: Issued) -> None:
    second = rotate(deployment, issued.key_id).json["key"]
    before = deployment.records()
    is_conflict(rotate(deployment, issued.key_id), "ROTATION_IN_PROGRESS")
    is_conflict(rotate(deployment, issued.key_id, "another-intent"), "ROTATION_IN_PROGRESS")
    assert deployment.records() == before
    deployment.wait(GRACE_SECONDS)
    third = rotate(deployment, issued.key_id).json["key"]
    assert codes(deployment, issued.key, second, third) == ["ROTATED_OUT", "VALID", "VALID"]


def test_zero_grace_ends_every_older_generation_at_once(deployment: Deployment, issued: Issued) -> None:
    second = rotate(deployment, issued.key_id).json["key"]
    third = rotate(deployment, issued.key_id, grace_seconds=0).json["key"]
    assert codes(deployment, issued.key, second, third) == ["ROTATED_OUT", "ROTATED_OUT", "VALID"]


def test_repeated_with_its_idempotency_key_it_replaces_the_secret_that_was_lost(
    deployment: Deployment, issued: Issued
) -> None:
    lost = rotate(deployment, issued.key_id, "intent-1").json
    again = rotate(deployment, issued.key_id, "intent-1")
    assert again.status_code == 200
    assert codes(deployment, issued.key, lost["key"], again.json["key"]) == ["VALID", "ROTATED_OUT", "VALID"]
    retiring = [[g for g in view["generations"] if g["state"] == "retiring"] for view in (lost, again.json)]
    assert retiring[0] == retiring[1]  # the grace is not made longer


def test_the_idempotency_key_of_another_caller_is_another_intent(deployment: Deployment, issued: Issued) -> None:
    rotate(deployment, issued.key_id, "intent-1")
    by = deployment.issue(scopes=["keys:rotate"]).key
    headers = {"Idempotency-Key": "intent-1"}
    is_conflict(deployment.call("rotate", key_id=issued.key_id, by=by, headers=headers), "ROTATION_IN_PROGRESS")


@pytest.mark.parametrize("grace_seconds", [3601, 30 * 86_400])
def test_a_grace_beyond_what_the_key_allows_is_refused(
    deployment: Deployment, issued: Issued, grace_seconds: int
) -> None:
    before = deployment.records()
    reply = rotate(deployment, issued.key_id, grace_seconds=grace_seconds)
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_ARGUMENT")
    assert deployment.records() == before
    assert rotate(deployment, issued.key_id, grace_seconds=3600).status_code == 200


@pytest.mark.parametrize("grace_seconds", [-1, 30 * 86_400 + 1, "60", 1.5, True])
def test_what_is_no_grace_is_refused(deployment: Deployment, issued: Issued, grace_seconds: object) -> None:
    reply = rotate(deployment, issued.key_id, grace_seconds=grace_seconds)
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")


def test_a_revoked_key_is_not_rotated(deployment: Deployment, issued: Issued) -> None:
    deployment.do("revoke_key", issued.key_id)
    is_conflict(rotate(deployment, issued.key_id), "KEY_NOT_LIVE")
    is_conflict(rotate(deployment, issued.key_id, grace_seconds=0), "KEY_NOT_LIVE")


def test_an_expired_key_is_not_rotated(deployment: Deployment) -> None:
    issued = deployment.issue(lifetime_seconds=60)
    deployment.wait(60)
    is_conflict(rotate(deployment, issued.key_id), "KEY_NOT_LIVE")


def test_a_disabled_key_is_rotated_and_stays_disabled(deployment: Deployment, issued: Issued) -> None:
    deployment.do("update_key", issued.key_id, {"state": "disabled"})
    assert deployment.code_of(rotate(deployment, issued.key_id).json["key"]) == "DISABLED"


def test_one_that_loses_a_race_is_a_conflict(
    deployment: Deployment, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment.services.keys, "replace", lambda *_: None)
    is_conflict(rotate(deployment, issued.key_id), "ROTATION_IN_PROGRESS")


def test_a_rotated_key_is_valid_at_once_where_the_record_was_held(deployment: Deployment, issued: Issued) -> None:
    assert deployment.code_of(issued.key) == "VALID"  # held in memory from now on
    new = rotate(deployment, issued.key_id).json["key"]
    deployment.wait(-1.9)  # too early for the feed to be read again
    assert deployment.code_of(new) == "VALID"
