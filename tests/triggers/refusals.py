"""What every refusal of a message must be: a problem with a code, quotable, and nothing written."""

from typing import Any

from deployment import Deployment
from werkzeug.test import TestResponse

BODIES: dict[str, dict[str, Any]] = {
    "issue_key": {"tenant": "acme", "owner": "ml-team", "name": "a key"},
    "import_key": {"tenant": "acme", "owner": "ml-team", "name": "a key", "sha256": "0" * 64},
    "validate_key": {"key": "x"},
    "rotate": {"grace_seconds": 60},
    "revoke_key": {"reason": "leaked"},
    "update_key": {"name": "b"},
    "rotate_due": {"budget_seconds": 30},
    "sweep": {"unused_days": 30},
    "write_config": {"tenant": "acme", "value": {}},
}
TAKING_A_BODY = list(BODIES)


def refused(deployment: Deployment, operation: str, status: int, code: str, **message: Any) -> TestResponse:
    """Sends what would be fine but for `message`, at a key that is there."""
    message.setdefault("key_id", deployment.issue().key_id)
    before = deployment.records()
    reply = deployment.call(operation, message.pop("body", BODIES.get(operation)), **message)
    is_problem(reply, status, code)
    assert deployment.records() == before
    return reply


def is_problem(reply: TestResponse, status: int, code: str) -> None:
    assert (reply.status_code, (reply.json or {}).get("code")) == (status, code), reply.data[:500]
    assert reply.content_type == "application/problem+json"
    assert reply.json is not None
    assert reply.json["type"] == f"urn:keyrail:problem:{code.lower().replace('_', '-')}"
    assert reply.json["correlation_id"] == reply.headers["X-Correlation-ID"] != ""
    assert reply.json["status"] == status
    assert reply.json["detail"]
    assert reply.headers["Cache-Control"] == "no-store"


def sent_as(body: bytes | str, content_type: str | None = "application/json") -> dict[str, Any]:
    data = body.encode() if isinstance(body, str) else body
    return {"data": data, "content_type": content_type}
