"""The audit log: who did what to which key, and who was not let."""

from typing import Any

import pytest
from deployment import OPERATIONS, UNKNOWN_ID, Deployment

from keyrail.domain.key_format import KeyFormat, new_secret


def event(output: Any, name: str) -> dict[str, Any]:
    (line,) = [line for line in output.lines("audit") if line["event"] == name]
    return {fact: value for fact, value in line.items() if fact not in ("at", "level", "kind", "event")}


@pytest.fixture
def admin_id(deployment: Deployment) -> str:
    return KeyFormat().parse(deployment.admin).key_id


def test_the_life_of_a_key(deployment: Deployment, output: Any, admin_id: str) -> None:
    issued = deployment.issue()
    deployment.do("rotate", issued.key_id)
    deployment.do("update_key", issued.key_id, {"state": "disabled", "state_reason": "why", "labels": {}})
    deployment.do("revoke_key", issued.key_id, {"reason": "leaked"})
    same = {"subject": issued.key_id, "tenant": "acme", "actor": admin_id}
    events = [line["event"] for line in output.lines("audit")]
    assert events == ["key.issued", "rotation.promoted", "key.updated", "key.revoked"]
    told = {name: event(output, name) for name in events}
    ids = {line.pop("correlation_id") for line in told.values()}
    assert ids == {line["correlation_id"] for line in output.lines("request")}
    assert told == {
        "key.issued": same | {"owner": "ml-team"},
        "rotation.promoted": same | {"generation": 2},
        "key.updated": same | {"state": "disabled", "fields": ["labels", "state", "state_reason"]},
        "key.revoked": same | {"reason": "leaked", "repeated": False},
    }


def test_a_repeated_revocation_says_so(deployment: Deployment, output: Any) -> None:
    key_id = deployment.issue().key_id
    deployment.do("revoke_key", key_id)
    output.clear()
    deployment.do("revoke_key", key_id)
    assert event(output, "key.revoked")["repeated"] is True


def test_a_replayed_issue_says_so(deployment: Deployment, output: Any) -> None:
    """And is told at all: the process that made the key may have died before it could write its event."""
    for _ in range(2):
        deployment.call("issue_key", {"tenant": "acme", "owner": "o", "name": "n", "idempotency_key": "i-1"})
    first, again = output.lines("audit")
    assert (first["event"], "repeated" in first) == ("key.issued", False)
    assert (again["event"], again["subject"], again["repeated"]) == ("key.issued", first["subject"], True)


def test_reading_and_validating_change_nothing(deployment: Deployment, output: Any) -> None:
    issued = deployment.issue()
    output.clear()
    deployment.do("get_key", issued.key_id)
    deployment.do("list_keys", "", query={"tenant": "acme"})
    deployment.code_of(issued.key)
    deployment.code_of("x")
    assert output.lines("audit") == []


class TestDenials:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_missing_scope(self, deployment: Deployment, output: Any, operation: str) -> None:
        target, plain = deployment.issue(), deployment.issue()
        output.clear()
        bodies = {
            "issue_key": {"owner": "o", "name": "n"},
            "import_key": {"owner": "o", "name": "n", "sha256": "0" * 64},
            "validate_key": {"key": "x"},
            "update_key": {"name": "n"},
            "write_config": {"value": 1},
        }
        reply = deployment.call(operation, bodies.get(operation), key_id=target.key_id, by=plain.key)
        assert reply.status_code == 403
        denied = event(output, "access.denied")
        assert denied.pop("correlation_id") == reply.headers["X-Correlation-ID"]
        known = {"operation": operation, "code": "INSUFFICIENT_SCOPE", "actor": plain.key_id}
        about = {"key_id": target.key_id} if "{key_id}" in OPERATIONS[operation].path else {}
        assert denied == known | about

    def test_an_escalation(self, deployment: Deployment, output: Any) -> None:
        issuer = deployment.issue(scopes=["keys:issue"])
        deployment.call("issue_key", {"owner": "o", "name": "n", "scopes": ["*"]}, by=issuer.key)
        denied = event(output, "access.denied")
        assert (denied["code"], denied["actor"]) == ("ESCALATION", issuer.key_id)

    def test_a_key_of_another_tenant(self, deployment: Deployment, output: Any) -> None:
        """404 outside; inside it is seen that somebody tried."""
        target, foreign = deployment.issue(), deployment.issue(tenant="globex", scopes=["*"])
        output.clear()
        assert deployment.call("rotate", key_id=target.key_id, by=foreign.key).status_code == 404
        denied = event(output, "access.denied")
        assert (denied["code"], denied["actor"], denied["key_id"]) == (
            "KEY_NOT_FOUND",
            foreign.key_id,
            target.key_id,
        )

    @pytest.mark.parametrize(
        ("state", "code"),
        [("disabled", "DISABLED"), ("revoked", "REVOKED"), ("expired", "EXPIRED")],
    )
    def test_a_key_that_is_not_usable(self, deployment: Deployment, output: Any, state: str, code: str) -> None:
        issued = deployment.issue(scopes=["*"], lifetime_seconds=60)
        if state == "disabled":
            deployment.do("update_key", issued.key_id, {"state": "disabled"})
        if state == "revoked":
            deployment.do("revoke_key", issued.key_id)
        deployment.wait(60 if state == "expired" else 0)
        deployment.call("list_keys", by=issued.key)
        denied = event(output, "access.denied")
        assert (denied["code"], denied["actor"]) == (code, issued.key_id)

    def test_a_secret_that_is_wrong_an_id_that_is_unknown_and_one_that_is_rotated_out(
        self, deployment: Deployment, output: Any
    ) -> None:
        """The client is told NOT_FOUND alone; here is which, and of which key."""
        issued, form = deployment.issue(), KeyFormat()
        deployment.do("rotate", issued.key_id, {"grace_seconds": 0})
        for key, code, key_id, reason in [
            (form.assemble(issued.key_id, new_secret()), "NOT_FOUND", issued.key_id, "wrong_secret"),
            (form.assemble(UNKNOWN_ID, new_secret()), "NOT_FOUND", UNKNOWN_ID, "unknown_id"),
            (issued.key, "ROTATED_OUT", issued.key_id, "rotated_out"),
        ]:
            output.clear()
            deployment.call("list_keys", by=key)
            denied = event(output, "access.denied")
            assert (denied["code"], denied["presented_id"], denied["presented_reason"]) == (code, key_id, reason)
            assert "actor" not in denied  # nobody proved to be anybody

    def test_an_id_that_is_nobodys_is_a_mistake_and_no_denial(self, deployment: Deployment, output: Any) -> None:
        assert deployment.call("rotate", key_id=UNKNOWN_ID).status_code == 404
        assert output.lines("audit") == []
        assert output.lines("request")[0]["detail"] == "unknown_id"

    def test_nothing_is_made_of_a_caller_who_sent_no_key(self, deployment: Deployment, output: Any) -> None:
        deployment.call("list_keys", by=None)
        assert output.lines("audit") == []


def test_a_quiet_log_still_audits(deployment: Deployment, output: Any) -> None:
    from keyrail.telemetry import configure_logging

    configure_logging("ERROR")
    deployment.issue()
    assert output.lines("request") == []
    assert len(output.lines("audit")) == 1
