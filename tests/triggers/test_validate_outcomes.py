"""POST /v1/keys/validate answers 200 with a code; one test for each code, and what is told with it."""

from datetime import timedelta

import pytest
from deployment import NOW, UNKNOWN_ID, Deployment, Issued, unavailable

from keyrail.domain.decisions import Code
from keyrail.domain.key_format import KeyFormat, new_secret

HOUR_SECONDS = 3600
UNTOLD = {"valid", "code"}
TOLD = {"key_id", "generation", "tenant", "principal", "name", "scopes", "labels", "metadata", "expires_at"}


@pytest.fixture
def issued(deployment: Deployment) -> Issued:
    return deployment.issue(scopes=["ml:infer"], labels={"team": "search"}, metadata={"cost": {"centre": 7}})


def test_valid(deployment: Deployment, issued: Issued) -> None:
    verdict = deployment.validate(issued.key, required_scopes="ml:infer and (ml:infer or data:read)")
    assert verdict == {
        "valid": True,
        "code": "VALID",
        "key_id": issued.key_id,
        "generation": 1,
        "tenant": "acme",
        "principal": "ml-team",
        "name": "a key",
        "scopes": ["ml:infer"],
        "labels": {"team": "search"},
        "metadata": {"cost": {"centre": 7}},
        "expires_at": verdict["expires_at"],
    }


def test_valid_with_the_scopes_of_its_roles(deployment: Deployment) -> None:
    key = deployment.issue(roles=["auditor"], scopes=["ml:infer"]).key
    assert deployment.validate(key, required_scopes="keys:read")["scopes"] == ["ml:infer", "keys:read", "config:list"]


def test_missing(deployment: Deployment) -> None:
    assert deployment.validate("") == {"valid": False, "code": "MISSING"}


@pytest.mark.parametrize(
    "how",
    [
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),  # checksum
        lambda key: key.replace("krl_", "krx_"),
        lambda key: key.replace("_live_", "_test_"),
        lambda key: f" {key}",
        lambda key: f"{key}\n",
        lambda key: "Bearer " + key,
        lambda key: "no key at all",
        lambda key: "ключ",
    ],
)
def test_malformed(deployment: Deployment, issued: Issued, how: object) -> None:
    assert callable(how)
    assert deployment.validate(how(issued.key)) == {"valid": False, "code": "MALFORMED"}


def test_not_found_for_an_unknown_id(deployment: Deployment) -> None:
    assert deployment.validate(KeyFormat().assemble(UNKNOWN_ID, new_secret())) == {"valid": False, "code": "NOT_FOUND"}


def test_not_found_for_a_wrong_secret(deployment: Deployment, issued: Issued) -> None:
    wrong = KeyFormat().assemble(issued.key_id, new_secret())
    assert deployment.validate(wrong) == {"valid": False, "code": "NOT_FOUND"}


def test_not_found_for_another_tenant(deployment: Deployment, issued: Issued) -> None:
    assert deployment.validate(issued.key, tenant="globex") == {"valid": False, "code": "NOT_FOUND"}
    assert deployment.code_of(issued.key, tenant="acme") == "VALID"


def test_not_found_for_a_caller_of_another_tenant(deployment: Deployment, issued: Issued) -> None:
    validator = deployment.issue(tenant="globex", scopes=["keys:validate"]).key
    reply = deployment.call("validate_key", {"key": issued.key}, by=validator)
    assert reply.json == {"valid": False, "code": "NOT_FOUND"}


def test_disabled_and_enabled_again(deployment: Deployment, issued: Issued) -> None:
    assert deployment.code_of(issued.key) == "VALID"
    deployment.do("update_key", issued.key_id, {"state": "disabled"})
    verdict = deployment.validate(issued.key)
    assert (verdict["valid"], verdict["code"]) == (False, "DISABLED")
    assert verdict.keys() == UNTOLD | TOLD
    deployment.do("update_key", issued.key_id, {"state": "active"})
    assert deployment.code_of(issued.key) == "VALID"


def test_revoked(deployment: Deployment, issued: Issued) -> None:
    assert deployment.code_of(issued.key) == "VALID"
    deployment.do("revoke_key", issued.key_id)
    assert deployment.code_of(issued.key) == "REVOKED"


def test_expired_to_the_second(deployment: Deployment) -> None:
    key = deployment.issue(expires_at=(NOW + timedelta(seconds=100)).isoformat()).key
    deployment.wait(97 - deployment.clock.seconds)
    assert deployment.code_of(key) == "VALID"  # at 99, and held in memory from now on
    deployment.wait(-1)
    assert deployment.code_of(key) == "EXPIRED"  # at 100


def test_not_yet_valid_to_the_second(deployment: Deployment) -> None:
    key = deployment.issue(not_before=(NOW + timedelta(seconds=100)).isoformat()).key
    deployment.wait(97 - deployment.clock.seconds)
    assert deployment.code_of(key) == "NOT_YET_VALID"
    deployment.wait(-1)
    assert deployment.code_of(key) == "VALID"


def test_rotated_out_when_its_grace_is_over(deployment: Deployment, issued: Issued) -> None:
    deployment.do("rotate", issued.key_id, {"grace_seconds": HOUR_SECONDS})
    assert deployment.code_of(issued.key) == "VALID"
    deployment.wait(HOUR_SECONDS)
    assert deployment.code_of(issued.key) == "ROTATED_OUT"


def test_rotated_out_at_once_without_grace(deployment: Deployment, issued: Issued) -> None:
    new = deployment.do("rotate", issued.key_id, {"grace_seconds": 0})["key"]
    assert deployment.code_of(issued.key) == "ROTATED_OUT"
    assert deployment.code_of(new) == "VALID"


@pytest.mark.parametrize(
    ("context", "given", "code"),
    [
        ({"cidrs": ["10.0.0.0/8"]}, {"ip": "10.1.2.3"}, "VALID"),
        ({"cidrs": ["10.0.0.0/8"]}, {"ip": "::ffff:10.1.2.3"}, "VALID"),
        ({"cidrs": ["10.0.0.0/8"]}, {"ip": "11.1.2.3"}, "CONTEXT_DENIED"),
        ({"cidrs": ["10.0.0.0/8"]}, {}, "CONTEXT_DENIED"),
        ({"cidrs": ["2001:db8::/32"]}, {"ip": "2001:db8::1"}, "VALID"),
        ({"audiences": ["inference"]}, {"audience": "inference"}, "VALID"),
        ({"audiences": ["inference"]}, {"audience": "training"}, "CONTEXT_DENIED"),
        ({"audiences": ["inference"]}, {}, "CONTEXT_DENIED"),
    ],
)
def test_context_denied(deployment: Deployment, context: object, given: dict[str, str], code: str) -> None:
    assert deployment.code_of(deployment.issue(context=context).key, **given) == code


def test_insufficient_scope(deployment: Deployment, issued: Issued) -> None:
    assert deployment.code_of(issued.key, required_scopes="data:read or ml:train") == "INSUFFICIENT_SCOPE"


def test_rate_limited_until_the_window_is_over(deployment: Deployment) -> None:
    key = deployment.issue(rate={"requests": 2, "window_seconds": 60}).key
    assert [deployment.code_of(key) for _ in range(2)] == ["VALID", "VALID"]
    verdict = deployment.validate(key)
    assert (verdict["valid"], verdict["code"]) == (False, "RATE_LIMITED")
    assert verdict["retry_after_seconds"] == 56
    deployment.wait(56)
    assert deployment.code_of(key) == "VALID"


def test_quota_exceeded_and_refusals_count_against_nothing(deployment: Deployment) -> None:
    both = {"rate": {"requests": 1, "window_seconds": 10}, "quota": {"requests": 2, "window_seconds": 3600}}
    key = deployment.issue(**both).key
    assert [deployment.code_of(key) for _ in range(3)] == ["VALID", "RATE_LIMITED", "RATE_LIMITED"]
    deployment.wait(10)
    assert deployment.code_of(key) == "VALID"
    deployment.wait(10)
    assert deployment.code_of(key) == "QUOTA_EXCEEDED"


def test_a_refused_use_takes_nothing_from_the_rate(deployment: Deployment) -> None:
    key = deployment.issue(rate={"requests": 1, "window_seconds": 60}, scopes=["ml:infer"]).key
    assert deployment.code_of(key, required_scopes="data:read") == "INSUFFICIENT_SCOPE"
    assert deployment.code_of(key, required_scopes="ml:infer") == "VALID"


def test_unavailable_is_503_and_never_a_no(
    deployment: Deployment, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment.services.keys, "find", unavailable)
    reply = deployment.call("validate_key", {"key": issued.key})
    assert (reply.status_code, reply.json["code"]) == (503, "UNAVAILABLE")
    assert reply.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in reply.headers


def test_a_malformed_key_needs_no_store(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.code_of("warm up")
    monkeypatch.setattr(deployment.services.keys, "find", unavailable)
    assert deployment.code_of("no key") == "MALFORMED"


def test_every_code_has_its_test() -> None:
    tested = {name.removeprefix("test_").upper() for name in globals() if name.startswith("test_")}
    assert {code for code in Code if not any(name.startswith(code) for name in tested)} == set()
