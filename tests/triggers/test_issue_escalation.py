"""Nobody issues what they don't hold, where they don't belong, or for longer than allowed."""

from datetime import timedelta
from typing import Any

import pytest
from deployment import NOW, Deployment

DAY_SECONDS = 86_400
OWN = {"owner": "ml-team", "name": "a key"}


def refused(deployment: Deployment, code: str, body: dict[str, Any], by: str, status: int = 403) -> None:
    before = deployment.records()
    reply = deployment.call("issue_key", OWN | body, by=by)
    assert (reply.status_code, reply.json["code"]) == (status, code), reply.json
    assert "key" not in reply.json
    assert deployment.records() == before


@pytest.fixture
def issuer(deployment: Deployment) -> str:
    scopes = ["keys:issue", "ml:infer", "data:read:models/*", "config:read:a"]
    return deployment.issue(scopes=scopes).key


@pytest.mark.parametrize(
    "scope",
    [
        "*",
        "keys:*",
        "*:issue",
        "*:*",
        "keys:revoke",
        "ml:train",
        "ml:*",
        "data:read",
        "data:read:*",
        "data:read:models",
        "data:read:modelsx/y",
        "data:write:models/x",
        "config:read:a/b",
        "config:read:a/*",
    ],
)
def test_a_scope_that_is_not_held(deployment: Deployment, issuer: str, scope: str) -> None:
    refused(deployment, "ESCALATION", {"scopes": ["ml:infer", scope]}, issuer)


@pytest.mark.parametrize("role", ["admin", "issuer", "operator", "auditor", "service"])
def test_a_role_that_holds_more(deployment: Deployment, issuer: str, role: str) -> None:
    refused(deployment, "ESCALATION", {"roles": [role]}, issuer)


def test_a_role_that_is_not_there(deployment: Deployment, issuer: str) -> None:
    refused(deployment, "UNKNOWN_ROLE", {"roles": ["emperor"]}, issuer, status=422)


def test_what_is_held_may_be_given_narrower_too(deployment: Deployment, issuer: str) -> None:
    scopes = ["keys:issue", "ml:infer", "ml:infer:x", "data:read:models/x", "data:read:models/x/*", "config:read:a"]
    reply = deployment.call("issue_key", OWN | {"scopes": scopes}, by=issuer)
    assert (reply.status_code, reply.json["scopes"]) == (201, scopes)


def test_roles_held_through_scopes_and_scopes_held_through_roles(deployment: Deployment) -> None:
    by = deployment.issue(roles=["issuer"], scopes=["keys:validate", "config:read"]).key
    reply = deployment.call("issue_key", OWN | {"roles": ["service"], "scopes": ["keys:read"]}, by=by)
    assert reply.status_code == 201


@pytest.mark.parametrize("tenant", ["globex", "system"])
def test_a_foreign_tenant(deployment: Deployment, tenant: str) -> None:
    mighty = deployment.issue(scopes=["*"]).key
    refused(deployment, "OTHER_TENANT", {"tenant": tenant}, mighty)


def test_its_own_tenant_is_taken_where_none_is_named(deployment: Deployment, issuer: str) -> None:
    assert deployment.call("issue_key", OWN, by=issuer).json["tenant"] == "acme"


def test_a_system_key_must_name_the_tenant(deployment: Deployment) -> None:
    refused(deployment, "INVALID_ARGUMENT", {}, deployment.admin, status=422)
    assert deployment.call("issue_key", OWN | {"tenant": "system"}).status_code == 201


def test_no_scope_to_issue(deployment: Deployment) -> None:
    refused(deployment, "INSUFFICIENT_SCOPE", {"scopes": ["ml:infer"]}, deployment.issue(scopes=["ml:infer"]).key)


@pytest.mark.parametrize(
    "life",
    [
        {"lifetime_seconds": 366 * DAY_SECONDS + 1},
        {"expires_at": (NOW + timedelta(days=366, seconds=60)).isoformat()},
        {"expires_at": "9999-12-31T23:59:59Z"},
    ],
)
def test_a_longer_life_than_allowed(deployment: Deployment, life: dict[str, Any]) -> None:
    refused(deployment, "LIFETIME_TOO_LONG", life | {"tenant": "acme"}, deployment.admin)


@pytest.mark.parametrize(
    "life",
    [
        {"expires_at": "2030-01-31T12:00:00Z"},
        {"expires_at": "2030-02-02T00:00:00Z", "not_before": "2030-02-02T00:00:00Z"},
        {"lifetime_seconds": DAY_SECONDS, "not_before": "2030-02-03T00:00:00Z"},
    ],
)
def test_a_life_that_never_begins(deployment: Deployment, life: dict[str, Any]) -> None:
    refused(deployment, "INVALID_ARGUMENT", life | {"tenant": "acme"}, deployment.admin, status=422)


def test_the_longest_life_and_the_usual_one(deployment: Deployment) -> None:
    longest = deployment.issue(lifetime_seconds=366 * DAY_SECONDS).key
    usual = deployment.validate(deployment.issue().key)["expires_at"]
    assert deployment.code_of(longest) == "VALID"
    assert usual.startswith((NOW + timedelta(days=90)).date().isoformat())


def test_a_life_grows_with_no_rotation(deployment: Deployment) -> None:
    """Set by hand, the end stays; counted from the rotation, it is as long as at first."""
    end = (NOW + timedelta(days=10)).isoformat().replace("+00:00", "Z")
    for life, expected in [
        ({"expires_at": end}, end),
        ({"lifetime_seconds": DAY_SECONDS}, None),
    ]:
        key_id = deployment.issue(**life).key_id
        deployment.wait(3600)
        rotated = deployment.do("rotate", key_id)
        assert rotated["expires_at"] == (expected or _in_a_day(deployment))


def _in_a_day(deployment: Deployment) -> str:
    return (deployment.clock.now() + timedelta(days=1)).isoformat().replace("+00:00", "Z")
