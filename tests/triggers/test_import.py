"""POST /v1/keys/import: a key from elsewhere validates, rotates into one of ours, and nobody gains by importing it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from deployment import SETTINGS, Deployment
from werkzeug.test import TestResponse

from keyrail import telemetry
from keyrail.domain.key_format import imported_key_id
from keyrail.triggers import dispatch

KEY = "sk-proj-" + "Abc123._-" * 5
OWN = {"tenant": "acme", "owner": "ml-team", "name": "from before"}


@pytest.fixture
def known_in_logs() -> Iterator[None]:
    """As in a process of its own, whose settings name the prefixes."""
    telemetry.redact_imported_keys(("sk-", "pk_"))
    yield
    telemetry.redact_imported_keys(())


def hash_of(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def import_key(deployment: Deployment, key: str = KEY, **fields: Any) -> TestResponse:
    """By its hash."""
    by = {"by": fields.pop("by")} if "by" in fields else {}
    return deployment.call("import_key", OWN | {"sha256": hash_of(key)} | fields, **by)


def imported(deployment: Deployment, key: str = KEY, **fields: Any) -> dict[str, Any]:
    reply = import_key(deployment, key, **fields)
    assert reply.status_code == 201, reply.json
    return dict(reply.json)


class TestTheLifeOfAnImportedKey:
    def test_it_validates_with_what_it_was_given(self, deployment: Deployment) -> None:
        made = imported(deployment, scopes=["ml:infer"], metadata={"plan": "pro"}, expires_at="2030-06-01T00:00:00Z")
        assert made["key_id"] == imported_key_id(hash_of(KEY))
        assert made["generations"][0]["imported"] is True
        assert "key" not in made
        verdict = deployment.validate(KEY, required_scopes="ml:infer")
        assert (verdict["valid"], verdict["key_id"], verdict["principal"]) == (True, made["key_id"], "ml-team")
        assert (verdict["metadata"], verdict["expires_at"]) == ({"plan": "pro"}, "2030-06-01T00:00:00Z")

    def test_whole_it_is_the_same_key(self, deployment: Deployment) -> None:
        made = deployment.call("import_key", OWN | {"key": KEY})
        assert (made.status_code, made.json["key_id"]) == (201, imported_key_id(hash_of(KEY)))
        assert KEY not in made.text
        again = import_key(deployment)
        assert (again.status_code, again.json["replayed"]) == (200, True)
        assert deployment.code_of(KEY) == "VALID"

    def test_a_rotation_gives_it_a_key_of_ours(self, deployment: Deployment) -> None:
        made = imported(deployment, rotation={"grace_seconds": 600})
        rotated = deployment.do("rotate", made["key_id"])
        assert rotated["key"].startswith(f"krl_live_{made['key_id']}_")
        assert [each.get("imported") for each in rotated["generations"]] == [True, None]
        assert [deployment.validate(key)["generation"] for key in (KEY, rotated["key"])] == [1, 2]
        assert "sunset_at" in deployment.validate(KEY)
        deployment.wait(600)
        assert [deployment.code_of(key) for key in (KEY, rotated["key"])] == ["ROTATED_OUT", "VALID"]

    def test_into_a_sink_a_tick_brings_a_key_of_ours(self, deployment: Deployment) -> None:
        rotation = {"grace_seconds": 600, "sink": "vault:acme/gateway"}
        made = imported(deployment, rotation=rotation)
        assert deployment.call("rotate_due").json["rotated"] == 1
        assert [each.get("imported") for each in deployment.do("get_key", made["key_id"])["generations"]] == [
            True,
            None,
        ]
        assert deployment.code_of(KEY) == "VALID"

    def test_revoked_it_stays_revoked_also_when_it_is_imported_again(self, deployment: Deployment) -> None:
        made = imported(deployment)
        deployment.do("revoke_key", made["key_id"])
        assert deployment.code_of(KEY) == "REVOKED"
        again = import_key(deployment)
        assert (again.status_code, again.json["state"]) == (200, "revoked")
        assert deployment.code_of(KEY) == "REVOKED"

    def test_it_lives_as_long_as_the_deployment_says(self, deployment: Deployment) -> None:
        assert imported(deployment)["lifetime_seconds"] == 90 * 86_400
        assert import_key(deployment, KEY + "x", expires_at="2033-01-01T00:00:00Z").json["code"] == "LIFETIME_TOO_LONG"
        assert import_key(deployment, KEY + "x", expires_at="2030-01-01T00:00:00Z").status_code == 422

    def test_its_own_scopes_let_it_call_keyrail(self, deployment: Deployment) -> None:
        key_id = imported(deployment, scopes=["keys:read"])["key_id"]
        assert deployment.call("get_key", key_id=key_id, by=KEY).status_code == 200
        assert deployment.call("revoke_key", key_id=key_id, by=KEY).status_code == 200, "possession is enough"


class TestImportingTwice:
    def test_makes_one_record(self, deployment: Deployment) -> None:
        first, records = imported(deployment), deployment.records()
        again = import_key(deployment)
        assert (again.status_code, again.json) == (200, first | {"replayed": True})
        assert deployment.records() == records

    def test_after_a_rotation_brings_nothing_back(self, deployment: Deployment) -> None:
        made = imported(deployment)
        deployment.do("rotate", made["key_id"], {"grace_seconds": 0})
        assert import_key(deployment).json["replayed"] is True
        assert deployment.code_of(KEY) == "ROTATED_OUT"

    def test_with_other_fields_is_a_conflict(self, deployment: Deployment) -> None:
        imported(deployment)
        before = deployment.records()
        for other in ({"owner": "somebody-else"}, {"scopes": ["ml:infer"]}, {"expires_at": "2030-06-01T00:00:00Z"}):
            reply = import_key(deployment, **other)
            assert (reply.status_code, reply.json["code"]) == (409, "ALREADY_IMPORTED")
        assert deployment.records() == before

    def test_into_another_tenant_tells_nothing_of_the_first(self, deployment: Deployment) -> None:
        made = imported(deployment)
        importer = deployment.issue(tenant="globex", scopes=["keys:import"]).key
        before = deployment.records()
        reply = deployment.call(
            "import_key", {"owner": "ml-team", "name": "from before", "sha256": hash_of(KEY)}, by=importer
        )
        assert (reply.status_code, reply.json["code"]) == (409, "ALREADY_IMPORTED")
        assert "acme" not in reply.text
        assert made["key_id"] not in reply.text
        assert deployment.records() == before


class TestNobodyGains:
    def test_the_importer_holds_what_it_grants(self, deployment: Deployment) -> None:
        importer = deployment.issue(scopes=["keys:import", "ml:infer"]).key
        assert import_key(deployment, by=importer, scopes=["ml:infer"]).status_code == 201
        for more in ({"scopes": ["ml:train"]}, {"roles": ["admin"]}, {"scopes": ["*"]}):
            reply = import_key(deployment, KEY + "x", by=importer, **more)
            assert (reply.status_code, reply.json["code"]) == (403, "ESCALATION")
        assert deployment.code_of(KEY + "x") == "NOT_FOUND"

    def test_to_issue_is_not_to_import(self, deployment: Deployment) -> None:
        reply = import_key(deployment, by=deployment.issue(scopes=["keys:issue"]).key)
        assert (reply.status_code, reply.json["code"]) == (403, "INSUFFICIENT_SCOPE")

    def test_only_in_ones_own_tenant(self, deployment: Deployment) -> None:
        reply = import_key(deployment, by=deployment.issue(tenant="globex", scopes=["keys:import"]).key)
        assert (reply.status_code, reply.json["code"]) == (403, "OTHER_TENANT")

    def test_an_unknown_one_is_told_as_any_unknown_key(self, deployment: Deployment) -> None:
        ours = deployment.issue()
        wrong = deployment.services.key_format.assemble(ours.key_id, "s" * 32)
        assert deployment.validate(KEY) == deployment.validate(wrong) == {"valid": False, "code": "NOT_FOUND"}
        imported(deployment)
        assert deployment.validate(KEY, tenant="globex") == {"valid": False, "code": "NOT_FOUND"}

    def test_a_key_of_ours_can_not_be_imported(self, deployment: Deployment) -> None:
        key = deployment.issue().key
        reply = deployment.call("import_key", OWN | {"key": key})
        assert (reply.status_code, reply.json["code"]) == (422, "NOT_IMPORTABLE")
        assert key not in reply.text
        assert import_key(deployment, key).status_code == 201, "a hash tells nothing of its key"
        assert deployment.validate(key)["generation"] == 1

    @pytest.mark.parametrize("key", ["", "sk-short", "xk-" + "a" * 30, "sk-" + "a" * 30 + "\n", "sk-" + "a" * 20 + "é"])
    def test_what_would_never_validate_is_not_imported(self, deployment: Deployment, key: str) -> None:
        reply = deployment.call("import_key", OWN | {"key": key})
        assert (reply.status_code, reply.json["code"]) == (422, "NOT_IMPORTABLE")

    def test_what_is_malformed_asks_no_store(self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        deployment.validate(KEY)
        asked: list[str] = []
        find = deployment.services.keys.find
        monkeypatch.setattr(deployment.services.keys, "find", lambda key_id: asked.append(key_id) or find(key_id))
        deployment.code_of(KEY)
        asked_for_a_form_that_is_known = len(asked)
        assert deployment.code_of("xk-" + "a" * 30) == "MALFORMED"
        assert (asked_for_a_form_that_is_known > 0, len(asked)) == (True, asked_for_a_form_that_is_known)

    def test_in_a_url_it_is_refused_as_any_key(self, deployment: Deployment, known_in_logs: None) -> None:
        reply = deployment.call("list_keys", query={"tenant": "acme", "owner": KEY})
        assert (reply.status_code, reply.json["code"]) == (400, "KEY_IN_URL")
        assert KEY not in reply.text

    def test_as_the_callers_own_it_is_no_signed_token(self, deployment: Deployment) -> None:
        """A tick may be called with either, and both may have dots."""
        with_tokens = replace(deployment.services, tick_tokens=NoTokens())
        assert dispatch._is_token("a.b.c", with_tokens)
        assert not dispatch._is_token(KEY, with_tokens)


class NoTokens:
    def subject(self, token: str, now: datetime) -> str:
        raise AssertionError(token)


class TestWithoutPrefixes:
    @pytest.fixture
    def settings(self) -> dict[str, str]:
        return SETTINGS | {"KEYRAIL_IMPORTED_PREFIXES": ""}

    def test_nothing_is_imported_and_all_is_malformed(self, deployment: Deployment) -> None:
        for body in (OWN | {"key": KEY}, OWN | {"sha256": hash_of(KEY)}):
            reply = deployment.call("import_key", body)
            assert (reply.status_code, reply.json["code"]) == (422, "NOT_IMPORTABLE")
        assert deployment.code_of(KEY) == "MALFORMED"


def test_it_is_audited(deployment: Deployment, output: Any) -> None:
    made = imported(deployment)
    import_key(deployment)
    first, again = output.lines("audit")
    assert (first["event"], first["subject"], first["owner"]) == ("key.imported", made["key_id"], "ml-team")
    assert ("repeated" in first, again["repeated"]) == (False, True)
    assert hash_of(KEY) not in str(output.lines("audit") + output.lines("request"))


def test_wrong_fields_are_named_and_not_repeated(deployment: Deployment) -> None:
    reply = deployment.call("import_key", OWN | {"sha256": "hush"})
    assert reply.json["errors"][0]["field"] == "sha256"
    assert "hush" not in reply.text
    reply = deployment.call("import_key", OWN | {"sha256": hash_of(KEY), "key": KEY})
    assert (reply.status_code, KEY in reply.text) == (422, False)
