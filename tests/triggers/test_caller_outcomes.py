"""The caller's own key on an operation: which status, which code, and what WWW-Authenticate says (RFC 6750)."""

from datetime import timedelta
from typing import Any

import pytest
from deployment import NOW, OPERATIONS, UNKNOWN_ID, Deployment, unavailable
from werkzeug.test import TestResponse

from keyrail.domain.key_format import KeyFormat, new_secret

REALM = 'Bearer realm="keyrail"'
INVALID_TOKEN = REALM + ', error="invalid_token"'
ALL = {"scopes": ["*"]}
BODIES: dict[str, Any] = {
    "issue_key": {"owner": "o", "name": "n"},
    "import_key": {"owner": "o", "name": "n", "sha256": "0" * 64},
    "validate_key": {"key": "x"},
    "update_key": {"name": "n"},
    "write_config": {"tenant": "acme", "value": 1},
}
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)


def is_problem(reply: TestResponse, status: int, code: str, challenge: str | None = None) -> None:
    assert (reply.status_code, reply.json["code"]) == (status, code), reply.json
    assert reply.headers.get("WWW-Authenticate") == challenge
    assert reply.content_type == "application/problem+json"
    assert reply.json["status"] == status
    assert reply.json["correlation_id"] == reply.headers["X-Correlation-ID"]
    assert reply.headers["Cache-Control"] == "no-store"


def called(deployment: Deployment, operation: str, by: str | None, **more: Any) -> TestResponse:
    return deployment.call(operation, BODIES.get(operation), by=by, **more)


@EVERY_OPERATION
def test_missing(deployment: Deployment, operation: str) -> None:
    is_problem(called(deployment, operation, None), 401, "MISSING", REALM)


@EVERY_OPERATION
def test_malformed(deployment: Deployment, operation: str) -> None:
    is_problem(called(deployment, operation, "not-a-key"), 401, "MALFORMED", INVALID_TOKEN)


@EVERY_OPERATION
def test_not_found(deployment: Deployment, operation: str) -> None:
    unknown = KeyFormat().assemble(UNKNOWN_ID, new_secret())
    is_problem(called(deployment, operation, unknown), 401, "NOT_FOUND", INVALID_TOKEN)


def test_not_found_is_the_same_for_an_unknown_id_and_a_wrong_secret(deployment: Deployment) -> None:
    key_id = deployment.issue(**ALL).key_id
    replies = [
        called(
            deployment, "list_keys", KeyFormat().assemble(an_id, new_secret()), headers={"X-Correlation-ID": "same" * 4}
        )
        for an_id in (UNKNOWN_ID, key_id)
    ]
    assert replies[0].data == replies[1].data
    assert list(replies[0].headers) == list(replies[1].headers)


@EVERY_OPERATION
def test_disabled(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(**ALL)
    deployment.do("update_key", issued.key_id, {"state": "disabled"})
    is_problem(called(deployment, operation, issued.key), 401, "DISABLED", INVALID_TOKEN)


@EVERY_OPERATION
def test_revoked(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(**ALL)
    deployment.do("revoke_key", issued.key_id)
    is_problem(called(deployment, operation, issued.key), 401, "REVOKED", INVALID_TOKEN)


@EVERY_OPERATION
def test_expired(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(**ALL, lifetime_seconds=60)
    deployment.wait(60)
    is_problem(called(deployment, operation, issued.key), 401, "EXPIRED", INVALID_TOKEN)


@EVERY_OPERATION
def test_not_yet_valid(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(**ALL, not_before=(NOW + timedelta(hours=1)).isoformat())
    is_problem(called(deployment, operation, issued.key), 401, "NOT_YET_VALID", INVALID_TOKEN)


@EVERY_OPERATION
def test_rotated_out(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(**ALL)
    deployment.do("rotate", issued.key_id, {"grace_seconds": 0})
    is_problem(called(deployment, operation, issued.key), 401, "ROTATED_OUT", INVALID_TOKEN)


@EVERY_OPERATION
@pytest.mark.parametrize("context", [{"cidrs": ["10.0.0.0/8"]}, {"audiences": ["inference"]}])
def test_context_denied(deployment: Deployment, operation: str, context: object) -> None:
    issued = deployment.issue(**ALL, context=context)
    is_problem(called(deployment, operation, issued.key), 403, "CONTEXT_DENIED")


def test_a_key_bound_to_networks_and_to_keyrail_is_accepted_from_there(deployment: Deployment) -> None:
    issued = deployment.issue(**ALL, context={"cidrs": ["10.0.0.0/8"], "audiences": ["keyrail"]})
    inside = {"environ_overrides": {"REMOTE_ADDR": "10.1.2.3"}}
    assert called(deployment, "list_keys", issued.key, **inside).status_code == 200


@EVERY_OPERATION
def test_insufficient_scope(deployment: Deployment, operation: str) -> None:
    issued = deployment.issue(scopes=["ml:infer"])
    challenge = REALM + ', error="insufficient_scope"'
    is_problem(called(deployment, operation, issued.key), 403, "INSUFFICIENT_SCOPE", challenge)


@EVERY_OPERATION
@pytest.mark.parametrize("limit", ["rate", "quota"])
def test_rate_limited(deployment: Deployment, operation: str, limit: str) -> None:
    issued = deployment.issue(**ALL, **{limit: {"requests": 1, "window_seconds": 60}})
    assert called(deployment, "list_keys", issued.key).status_code == 200
    refused = called(deployment, operation, issued.key)
    is_problem(refused, 429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "58"


@EVERY_OPERATION
def test_unavailable(deployment: Deployment, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.services.keys, "find", unavailable)
    refused = called(deployment, operation, deployment.admin)
    is_problem(refused, 503, "UNAVAILABLE")
    assert refused.headers["Retry-After"] == "1"
