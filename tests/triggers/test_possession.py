"""What holding a key is enough for: to read it and to end it, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from deployment import NOW, Deployment, Issued


@pytest.fixture
def plain(deployment: Deployment) -> Issued:
    """A key without any scope."""
    return deployment.issue()


def test_a_key_reads_itself(deployment: Deployment, plain: Issued) -> None:
    view = deployment.do("get_key", plain.key_id, by=plain.key)
    assert view["key_id"] == plain.key_id


def test_a_key_revokes_itself(deployment: Deployment, plain: Issued) -> None:
    reply = deployment.do("revoke_key", plain.key_id, {"reason": "found in a log"}, by=plain.key)
    assert reply["revoked_by"] == plain.key_id
    assert deployment.code_of(plain.key) == "REVOKED"


def test_also_when_it_is_revoked_already(deployment: Deployment, plain: Issued) -> None:
    first = deployment.do("revoke_key", plain.key_id, {"reason": "first"}, by=plain.key)
    assert deployment.do("revoke_key", plain.key_id, {"reason": "second"}, by=plain.key) == first


def test_also_when_it_is_disabled(deployment: Deployment, plain: Issued) -> None:
    deployment.do("update_key", plain.key_id, {"state": "disabled"})
    deployment.do("revoke_key", plain.key_id, by=plain.key)
    assert deployment.code_of(plain.key) == "REVOKED"


@pytest.mark.parametrize(
    "fields",
    [
        {"lifetime_seconds": 10},
        {"not_before": (NOW + timedelta(hours=1)).isoformat()},
        {"context": {"cidrs": ["10.0.0.0/8"]}},
        {"context": {"audiences": ["inference"]}},
    ],
    ids=["expired", "not yet valid", "from elsewhere", "for another audience"],
)
def test_also_when_it_could_do_nothing_else(deployment: Deployment, fields: dict[str, Any]) -> None:
    issued = deployment.issue(**fields)
    deployment.wait(10)
    assert deployment.call("get_key", key_id=issued.key_id, by=issued.key).status_code in (401, 403)
    deployment.do("revoke_key", issued.key_id, by=issued.key)
    assert deployment.code_of(issued.key) == "REVOKED"


def test_also_on_its_retiring_generation(deployment: Deployment, plain: Issued) -> None:
    new = deployment.do("rotate", plain.key_id)["key"]
    deployment.do("revoke_key", plain.key_id, by=plain.key)
    assert [deployment.code_of(key) for key in (plain.key, new)] == ["REVOKED", "REVOKED"]


def test_a_rotated_out_generation_ends_nothing(deployment: Deployment, plain: Issued) -> None:
    new = deployment.do("rotate", plain.key_id, {"grace_seconds": 0})["key"]
    reply = deployment.call("revoke_key", key_id=plain.key_id, by=plain.key)
    assert (reply.status_code, reply.json["code"]) == (401, "ROTATED_OUT")
    assert deployment.code_of(new) == "VALID"


def test_no_key_revokes_or_reads_another(deployment: Deployment, plain: Issued) -> None:
    other = deployment.issue()
    for operation in ("revoke_key", "get_key"):
        reply = deployment.call(operation, key_id=other.key_id, by=plain.key)
        assert (reply.status_code, reply.json["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert deployment.code_of(other.key) == "VALID"


def test_an_unusable_key_revokes_no_other_whatever_its_scopes(deployment: Deployment) -> None:
    mighty, other = deployment.issue(scopes=["*"], lifetime_seconds=10), deployment.issue()
    deployment.wait(10)
    reply = deployment.call("revoke_key", key_id=other.key_id, by=mighty.key)
    assert (reply.status_code, reply.json["code"]) == (401, "EXPIRED")
    assert deployment.code_of(other.key) == "VALID"


@pytest.mark.parametrize(
    ("operation", "body"), [("rotate", {}), ("update_key", {"state": "disabled"}), ("update_key", {"name": "mine"})]
)
def test_possession_is_not_enough_to_rotate_or_change(
    deployment: Deployment, plain: Issued, operation: str, body: object
) -> None:
    before = deployment.records()
    reply = deployment.call(operation, body, key_id=plain.key_id, by=plain.key)
    assert (reply.status_code, reply.json["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert deployment.records() == before


def test_with_the_scope_a_key_rotates_itself(deployment: Deployment) -> None:
    issued = deployment.issue(scopes=["keys:rotate"])
    new = deployment.do("rotate", issued.key_id, by=issued.key)["key"]
    assert [deployment.code_of(key) for key in (issued.key, new)] == ["VALID", "VALID"]


def test_a_disabled_key_does_not_enable_itself(deployment: Deployment) -> None:
    issued = deployment.issue(scopes=["keys:update"])
    deployment.do("update_key", issued.key_id, {"state": "disabled"}, by=issued.key)
    reply = deployment.call("update_key", {"state": "active"}, key_id=issued.key_id, by=issued.key)
    assert (reply.status_code, reply.json["code"]) == (401, "DISABLED")
