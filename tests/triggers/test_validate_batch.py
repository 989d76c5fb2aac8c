"""Up to 100 keys in one call: each has its own verdict, in the order of the request."""

from typing import Any

import pytest
from deployment import Deployment, unavailable


def entries(count: int) -> list[dict[str, Any]]:
    return [{"key": f"not a key {number}"} for number in range(count)]


def test_a_hundred(deployment: Deployment) -> None:
    keys = [deployment.issue(name=f"key {number}").key for number in range(50)]
    reply = deployment.call("validate_key", {"batch": [{"key": key} for key in keys * 2]})
    assert reply.status_code == 200
    assert (reply.json["valid"], reply.json["code"]) == (True, "VALID")
    assert [result["name"] for result in reply.json["results"]] == [f"key {number % 50}" for number in range(100)]


def test_one_more_is_refused_and_none_is_looked_at(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = deployment.call("validate_key", {"batch": entries(101)})
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")
    assert reply.json["errors"][0]["field"] == "batch"


def test_none_is_refused(deployment: Deployment) -> None:
    assert deployment.call("validate_key", {"batch": []}).status_code == 422


def test_mixed_in_order_each_with_its_own_needs(deployment: Deployment) -> None:
    bound = deployment.issue(scopes=["ml:infer"], context={"cidrs": ["10.0.0.0/8"]})
    revoked = deployment.issue()
    deployment.do("revoke_key", revoked.key_id)
    batch = [
        {"key": bound.key, "ip": "10.0.0.1", "required_scopes": "ml:infer"},
        {"key": bound.key, "ip": "11.0.0.1"},
        {"key": bound.key, "ip": "10.0.0.1", "required_scopes": "ml:train"},
        {"key": revoked.key},
        {"key": ""},
        {"key": "x"},
    ]
    reply = deployment.call("validate_key", {"batch": batch}).json
    assert [result["code"] for result in reply["results"]] == [
        "VALID",
        "CONTEXT_DENIED",
        "INSUFFICIENT_SCOPE",
        "REVOKED",
        "MISSING",
        "MALFORMED",
    ]
    assert (reply["valid"], reply["code"]) == (False, "CONTEXT_DENIED")  # the first that is not valid
    assert reply["results"][0]["principal"] == "ml-team"
    assert reply.keys() == {"valid", "code", "results"}


@pytest.mark.parametrize(
    "body",
    [
        {"batch": [{"key": "x"}], "key": "x"},
        {"batch": [{"key": "x"}], "required_scopes": "ml:infer"},
        {"batch": [{"key": "x"}], "ip": "10.0.0.1"},
        {"batch": [{"key": "x"}], "audience": "inference"},
        {"batch": [{"key": "x", "tenant": "acme"}]},
        {"batch": [{"key": "x"}, {}]},
        {"batch": [{"key": "x"}, "y"]},
        {"batch": {"key": "x"}},
        {},
    ],
)
def test_forms_that_say_two_things_are_refused(deployment: Deployment, body: object) -> None:
    reply = deployment.call("validate_key", body)
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")


def test_each_use_counts_against_the_keys_limit(deployment: Deployment) -> None:
    key = deployment.issue(rate={"requests": 2, "window_seconds": 60}).key
    reply = deployment.call("validate_key", {"batch": [{"key": key}] * 3}).json
    assert [result["code"] for result in reply["results"]] == ["VALID", "VALID", "RATE_LIMITED"]


def test_one_that_could_not_be_answered_makes_the_whole_503(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, other = deployment.issue().key, deployment.issue().key
    deployment.code_of(known)  # held in memory now, the other is not
    monkeypatch.setattr(deployment.services.keys, "find", unavailable)
    reply = deployment.call("validate_key", {"batch": [{"key": known}, {"key": other}]})
    assert (reply.status_code, reply.json["code"]) == (503, "UNAVAILABLE")
