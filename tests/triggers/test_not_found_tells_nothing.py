"""Who does not hold a key can't tell an unknown id from a wrong secret from another tenant's key."""

import re

import pytest
from deployment import UNKNOWN_ID, Deployment
from werkzeug.test import TestResponse

from keyrail.domain.key_format import KeyFormat, new_secret


def shown(reply: TestResponse) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that a client sees, but the correlation id, of which each reply has its own."""
    its_own = reply.headers["X-Correlation-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", its_own)
    headers = [(name, value.replace(its_own, "...")) for name, value in reply.headers]
    return reply.status_code, reply.data.replace(its_own.encode(), b"..."), headers


@pytest.fixture
def three_keys(deployment: Deployment) -> list[str]:
    """Unknown id, wrong secret, other tenant; each asked for by a validator of globex."""
    form = KeyFormat()
    foreign, own = deployment.issue(), deployment.issue(tenant="globex")
    return [form.assemble(UNKNOWN_ID, new_secret()), form.assemble(own.key_id, new_secret()), foreign.key]


@pytest.mark.parametrize("state", ["active", "disabled", "revoked"])
def test_three_no_s_are_one(deployment: Deployment, three_keys: list[str], state: str) -> None:
    parse = KeyFormat().parse
    for key in three_keys[1:]:
        if state == "disabled":
            deployment.do("update_key", parse(key).key_id, {"state": state})
        if state == "revoked":
            deployment.do("revoke_key", parse(key).key_id)
    validator = deployment.issue(tenant="globex", scopes=["keys:validate"]).key
    for _ in range(2):  # from the store, then from memory
        replies = [deployment.call("validate_key", {"key": key}, by=validator) for key in three_keys]
        assert shown(replies[0]) == shown(replies[1]) == shown(replies[2])
        assert replies[0].json == {"valid": False, "code": "NOT_FOUND"}
        assert len({reply.headers["X-Correlation-ID"] for reply in replies}) == 3


def test_nor_in_a_batch(deployment: Deployment, three_keys: list[str]) -> None:
    validator = deployment.issue(tenant="globex", scopes=["keys:validate"]).key
    reply = deployment.call("validate_key", {"batch": [{"key": key} for key in three_keys]}, by=validator)
    assert reply.json["results"] == [{"valid": False, "code": "NOT_FOUND"}] * 3


@pytest.mark.parametrize(
    ("operation", "body"),
    [("get_key", None), ("rotate", {}), ("revoke_key", {}), ("update_key", {"state": "disabled"})],
)
def test_an_id_of_another_tenant_is_unknown(deployment: Deployment, operation: str, body: object) -> None:
    foreign = deployment.issue().key_id
    mighty = deployment.issue(tenant="globex", scopes=["*"]).key
    before = deployment.records()
    replies = [deployment.call(operation, body, key_id=key_id, by=mighty) for key_id in (foreign, UNKNOWN_ID)]
    assert [reply.status_code for reply in replies] == [404, 404]
    first, second = (
        (status, data.replace(an_id.encode(), b"..."), headers)
        for (status, data, headers), an_id in zip(map(shown, replies), (foreign, UNKNOWN_ID), strict=True)
    )
    assert first == second
    assert b'"KEY_NOT_FOUND"' in first[1]
    assert deployment.records() == before
