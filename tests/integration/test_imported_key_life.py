"""A key from elsewhere on the real Vault, each function under its own policy: imported, used, rotated, revoked."""

import secrets
from hashlib import sha256
from typing import Any

import pytest
from deployed import Deployment
from dev_process import eventually
from http_api import Reply

from keyrail.domain.key_format import imported_key_id


@pytest.fixture
def key(deployment: Deployment) -> str:
    """That nothing but a presented key may ever show; nor its hash."""
    made = f"sk-proj-{secrets.token_urlsafe(32)}"
    deployment.canary.knows("an imported key", made)
    deployment.canary.knows("the hash of an imported key", sha256(made.encode()).hexdigest())
    return made


def import_key(deployment: Deployment, **fields: Any) -> Reply:
    api = deployment.api
    return api.call("issue_key", "POST", "/v1/keys/import", api.a_key(**fields))


def import_hash(deployment: Deployment, key: str, **fields: Any) -> dict[str, Any]:
    return import_key(deployment, sha256=sha256(key.encode()).hexdigest(), **fields).ok()


def test_the_whole_life_of_an_imported_key(deployment: Deployment, key: str) -> None:
    api = deployment.api
    assert api.code_of(key) == "NOT_FOUND"
    made = import_hash(deployment, key, rotation={"grace_seconds": 600})
    key_id = made["key_id"]
    assert key_id == imported_key_id(sha256(key.encode()).hexdigest())
    verdict = api.validate(key, required_scopes="ml:infer").ok()
    assert (verdict["valid"], verdict["key_id"], verdict["generation"]) == (True, key_id, 1)

    new = api.rotate(key_id).ok()["key"]
    assert new.startswith(f"krl_live_{key_id}_")
    assert eventually(lambda: bool(api.validate(key).headers["Sunset"]), 5), "in its grace"
    assert api.validate(key).ok()["generation"] == 1
    assert api.validate(new).ok()["generation"] == 2
    record = deployment.document(f"keys/{key_id[:2]}/{key_id}")
    assert [each.get("digest_scheme") for each in record["generations"]] == ["sha256", None]

    assert api.revoke(key_id, reason="a drill").ok()["state"] == "revoked"
    assert eventually(lambda: (api.code_of(key), api.code_of(new)) == ("REVOKED", "REVOKED"), 5)
    assert import_hash(deployment, key, rotation={"grace_seconds": 600})["state"] == "revoked"
    assert api.code_of(key) == "REVOKED"


def test_whole_and_by_hash_it_is_one_key(deployment: Deployment, key: str) -> None:
    first = import_key(deployment, key=key)
    assert first.status == 201
    again = import_hash(deployment, key)
    assert (again["replayed"], again["key_id"]) == (True, first.json["key_id"])
    assert [each["key_id"] for each in deployment.api.list_all()].count(first.json["key_id"]) == 1


def test_nothing_in_vault_holds_the_key_or_its_hash(deployment: Deployment, key: str) -> None:
    key_id = import_hash(deployment, key)["key_id"]
    record = str(deployment.document(f"keys/{key_id[:2]}/{key_id}"))
    assert key not in record
    assert sha256(key.encode()).hexdigest() not in record


def test_both_instances_accept_it_and_refuse_it(deployment: Deployment, key: str) -> None:
    api, second = deployment.api, deployment.all_of("validate_key")[1].url
    assert api.code_of(key, at=second) == "NOT_FOUND"
    key_id = import_hash(deployment, key)["key_id"]
    assert [api.code_of(key), api.code_of(key, at=second)] == ["VALID", "VALID"], "an absence is not remembered"
    assert api.revoke(key_id).status == 200
    assert eventually(lambda: api.code_of(key) == api.code_of(key, at=second) == "REVOKED", 5)


def test_in_a_url_it_is_refused_and_in_a_log_cut_out(deployment: Deployment, key: str) -> None:
    """What the functions write is looked through when they are stopped."""
    api = deployment.api
    assert api.call("get_key", "GET", f"/v1/keys/{key}").code == "KEY_IN_URL"
    for header in ("X-Correlation-ID", "traceparent", "Idempotency-Key"):
        assert api.call("get_key", "GET", "/v1/keys/0123456789abcdef", headers={header: key[:60]}).status == 404
    deployment.canary.knows("the start of an imported key", key[:40])


def test_it_authenticates_its_holder(deployment: Deployment, key: str) -> None:
    api = deployment.api
    key_id = import_hash(deployment, key, scopes=["keys:read"])["key_id"]
    by_holder = {"Authorization": f"Bearer {key}"}
    assert api.call("get_key", "GET", f"/v1/keys/{key_id}", headers=by_holder).ok()["key_id"] == key_id
    assert api.call("rotate", "POST", "/v1/rotation/tick", {}, headers=by_holder).code == "INSUFFICIENT_SCOPE"
