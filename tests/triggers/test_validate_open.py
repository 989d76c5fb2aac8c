"""KEYRAIL_VALIDATE_OPEN: validation without a caller's key, where the network is the guard; and nothing else so."""

from typing import Any

import pytest
from deployment import OPERATIONS, SETTINGS, Deployment

BODIES: dict[str, Any] = {"issue_key": {"tenant": "acme", "owner": "o", "name": "n"}, "update_key": {"name": "n"}}


@pytest.fixture
def settings() -> dict[str, str]:
    return SETTINGS | {"KEYRAIL_VALIDATE_OPEN": "true"}


def test_anyone_validates(deployment: Deployment, output: Any) -> None:
    issued = deployment.issue()
    output.clear()
    reply = deployment.call("validate_key", {"key": issued.key}, by=None)
    assert (reply.status_code, reply.json["code"], reply.json["key_id"]) == (200, "VALID", issued.key_id)
    (line,) = output.lines("request")
    assert "actor" not in line


def test_a_batch_too(deployment: Deployment) -> None:
    assert deployment.call("validate_key", {"batch": [{"key": "x"}]}, by=None).json["code"] == "MALFORMED"


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "validate_key"])
def test_anything_else_takes_a_key(deployment: Deployment, operation: str) -> None:
    reply = deployment.call(operation, BODIES.get(operation), by=None)
    assert (reply.status_code, reply.json["code"]) == (401, "MISSING")


def test_a_key_that_is_sent_is_held_to_its_rights(deployment: Deployment) -> None:
    for by, status in [
        ("x", 401),
        (deployment.issue().key, 403),
        (deployment.issue(scopes=["keys:validate"]).key, 200),
    ]:
        assert deployment.call("validate_key", {"key": "y"}, by=by).status_code == status


def test_a_key_that_is_sent_narrows_to_its_tenant(deployment: Deployment) -> None:
    key, validator = deployment.issue().key, deployment.issue(tenant="globex", scopes=["keys:validate"]).key
    codes = [deployment.call("validate_key", {"key": key}, by=by).json["code"] for by in (None, validator)]
    assert codes == ["VALID", "NOT_FOUND"]


def test_a_gateway_needs_no_key_but_one_that_it_sends_is_held_to_its_rights(deployment: Deployment) -> None:
    issued = deployment.issue()
    statuses = []
    for sent in ({}, {"X-Keyrail-Gateway-Key": ""}, {"X-Keyrail-Gateway-Key": issued.key}):
        headers = {"Authorization": f"Bearer {issued.key}"} | sent
        reply = deployment.call("validate_key", by=None, headers=headers, path="/v1/authorize", method="GET", data=b"")
        statuses.append(reply.status_code)
    assert statuses == [200, 200, 503]
