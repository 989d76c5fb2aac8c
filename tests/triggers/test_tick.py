"""POST /v1/rotation/tick: what is due is rotated into its sink, once, and what fails is told and stops nobody else."""

from collections import Counter
from typing import Any

import pytest
from deployment import Deployment, Issued, unavailable

from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink, parse_sink
from keyrail.rotation_ports import DueEntry

INTERVAL_SECONDS = 7200
GRACE_SECONDS = 3600
NOTHING = {"rotated": 0, "resumed": 0, "retired": 0, "skipped": 0, "failed": 0, "remaining": 0, "failures": []}


def rotation(sink: str = "vault:acme/gateway", **fields: Any) -> dict[str, Any]:
    return {"grace_seconds": GRACE_SECONDS, "interval_seconds": INTERVAL_SECONDS, "sink": sink, **fields}


@pytest.fixture
def issued(deployment: Deployment) -> Issued:
    return deployment.issue(rotation=rotation())


def tick(deployment: Deployment, status: int = 200, **fields: Any) -> dict[str, Any]:
    reply = deployment.call("rotate_due", fields)
    assert reply.status_code == status, reply.json
    told: dict[str, Any] = dict(reply.json)
    return {name: told[name] for name in NOTHING}


def in_sink(deployment: Deployment, sink: str = "vault:acme/gateway") -> str:
    held = deployment.services.delivery.read(parse_sink(sink, "acme"))
    return "" if held is None else held.key


def fail_for(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Sinks with one of these names can't be read."""
    read = deployment.services.delivery.read

    def failing(sink: Sink) -> Any:
        if sink.segments[-1] in names:
            raise DeliveryFailed("the sink is away")
        return read(sink)

    monkeypatch.setattr(deployment.services.delivery, "read", failing)


class TestWhatIsDue:
    def test_is_a_key_with_a_sink_that_holds_nothing_yet(self, deployment: Deployment, issued: Issued) -> None:
        assert tick(deployment) == NOTHING | {"rotated": 1}
        assert deployment.validate(in_sink(deployment))["generation"] == 2
        assert deployment.code_of(issued.key) == "VALID"
        assert tick(deployment) == NOTHING

    def test_is_a_key_again_an_interval_later(self, deployment: Deployment, issued: Issued) -> None:
        tick(deployment)
        second = in_sink(deployment)
        view = deployment.do("get_key", issued.key_id)
        assert view["rotation"]["step"] == "promoted"
        assert INTERVAL_SECONDS * 0.9 <= _seconds_until(deployment, view["rotation"]["next_at"]) <= INTERVAL_SECONDS
        deployment.wait(INTERVAL_SECONDS)
        assert tick(deployment) == NOTHING | {"rotated": 1, "retired": 1}
        third = in_sink(deployment)
        codes = [deployment.code_of(key) for key in (issued.key, second, third)]
        assert codes == ["ROTATED_OUT", "VALID", "VALID"]

    @pytest.mark.parametrize("fields", [{}, {"grace_seconds": 60}])
    def test_is_no_key_without_a_sink(self, deployment: Deployment, fields: dict[str, Any]) -> None:
        deployment.issue(rotation=fields)
        deployment.wait(10 * INTERVAL_SECONDS)
        assert tick(deployment) == NOTHING

    def test_is_a_key_without_an_interval_once(self, deployment: Deployment) -> None:
        deployment.issue(rotation={"sink": "vault:acme/gateway"})
        assert tick(deployment)["rotated"] == 1
        deployment.wait(100 * INTERVAL_SECONDS)
        assert tick(deployment) == NOTHING | {"retired": 1}

    @pytest.mark.parametrize("operation", ["revoke_key", "update_key"])
    def test_is_no_key_that_was_stopped(self, deployment: Deployment, issued: Issued, operation: str) -> None:
        deployment.do(operation, issued.key_id, {"state": "disabled"} if operation == "update_key" else {})
        assert tick(deployment) == NOTHING
        assert in_sink(deployment) == ""

    def test_is_a_disabled_key_once_it_is_enabled(self, deployment: Deployment, issued: Issued) -> None:
        deployment.do("update_key", issued.key_id, {"state": "disabled"})
        tick(deployment)
        deployment.do("update_key", issued.key_id, {"state": "active"})
        assert tick(deployment)["rotated"] == 1

    def test_is_a_key_at_once_that_is_given_another_sink(self, deployment: Deployment, issued: Issued) -> None:
        tick(deployment)
        deployment.do("update_key", issued.key_id, {"rotation": rotation("vault:acme/elsewhere")})
        assert tick(deployment)["skipped"] == 1, "the grace of the last rotation comes first"
        deployment.wait(GRACE_SECONDS)
        assert tick(deployment)["rotated"] == 1
        assert deployment.code_of(in_sink(deployment, "vault:acme/elsewhere")) == "VALID"


class TestAHintWithoutAnythingToDo:
    """It comes before its record: a tick in between must not take it away."""

    @pytest.mark.parametrize("key_id", ["0Keyrail0Nobody0", ""])
    def test_is_left_for_a_lease_and_then_removed(self, deployment: Deployment, key_id: str) -> None:
        key_id = key_id or deployment.issue().key_id
        entry = DueEntry.of(deployment.clock.now(), "key", key_id)
        deployment.services.due.add(entry)
        for _ in range(2):
            assert tick(deployment) == NOTHING
            assert deployment.services.due.due(deployment.clock.now()) == [entry]
        deployment.wait(30)
        assert tick(deployment) == NOTHING
        assert deployment.services.due.due(deployment.clock.now()) == []


class TestWhoMayTick:
    def test_a_key_with_that_scope(self, deployment: Deployment, issued: Issued) -> None:
        by = deployment.issue(tenant="system", roles=["ticker"]).key
        assert deployment.call("rotate_due", {}, by=by).json["rotated"] == 1

    @pytest.mark.parametrize("fields", [{"scopes": ["keys:rotate"]}, {"roles": ["operator"]}])
    def test_no_other(self, deployment: Deployment, issued: Issued, fields: dict[str, Any]) -> None:
        reply = deployment.call("rotate_due", {}, by=deployment.issue(**fields).key)
        assert (reply.status_code, reply.json["code"]) == (403, "INSUFFICIENT_SCOPE")
        assert in_sink(deployment) == ""


class TestOneThatFails:
    def test_is_told_with_503_and_the_others_are_rotated(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = [deployment.issue(rotation=rotation(f"vault:acme/app-{n}")) for n in range(5)]
        fail_for(deployment, monkeypatch, "app-2")
        failures = [{"subject": keys[2].key_id, "code": "DELIVERY_FAILED"}]
        assert tick(deployment, 503) == NOTHING | {"rotated": 4, "failed": 1, "failures": failures}
        view = deployment.do("get_key", keys[2].key_id)
        assert view["rotation"]["failures"] == 1
        assert deployment.code_of(keys[2].key) == "VALID"

    def test_is_counted_and_none_is_counted_as_none(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted: Counter[str] = Counter()
        monkeypatch.setattr(deployment.services.metrics, "ticked", lambda name, times: counted.update({name: times}))
        tick(deployment)
        assert dict(counted) == dict.fromkeys(("rotated", "resumed", "retired", "skipped", "failed"), 0)
        for n in range(3):
            deployment.issue(rotation=rotation(f"vault:acme/app-{n}"))
        fail_for(deployment, monkeypatch, "app-2")
        tick(deployment, 503)
        assert (counted["rotated"], counted["failed"]) == (2, 1)

    def test_waits_longer_each_time_and_then_goes_on(
        self, deployment: Deployment, issued: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as away:
            fail_for(deployment, away, "gateway")
            for pause in (60, 120, 240):
                assert tick(deployment, 503)["failed"] == 1
                deployment.wait(pause - 4)
                assert tick(deployment)["skipped"] == 1, "not yet, and that is no failure"
                deployment.wait(4)
        assert tick(deployment)["rotated"] == 1
        assert deployment.do("get_key", issued.key_id)["rotation"]["failures"] == 0

    def test_a_store_that_is_away_stops_the_tick_and_tells_what_is_left(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(10):
            deployment.issue(rotation=rotation(f"vault:acme/app-{n}"))
        find = deployment.services.keys.find
        admin_id = deployment.admin.split("_")[2]
        monkeypatch.setattr(
            deployment.services.keys, "find", lambda key_id: find(key_id) if key_id == admin_id else unavailable()
        )
        told = tick(deployment, 503)
        assert (told["failed"], told["remaining"]) == (3, 7)
        assert {failure["code"] for failure in told["failures"]} == {"UNAVAILABLE"}

    def test_an_index_that_is_away_is_503(
        self, deployment: Deployment, issued: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deployment.services.due, "due", unavailable)
        reply = deployment.call("rotate_due", {})
        assert (reply.status_code, reply.json["code"]) == (503, "UNAVAILABLE")
        assert int(reply.headers["Retry-After"]) >= 1


class TestBudget:
    def test_it_stops_after_as_many_as_were_asked_for(self, deployment: Deployment) -> None:
        for n in range(5):
            deployment.issue(rotation=rotation(f"vault:acme/app-{n}"))
        assert tick(deployment, max_rotations=2) == NOTHING | {"rotated": 2, "remaining": 3}
        assert tick(deployment) == NOTHING | {"rotated": 3}

    def test_it_stops_before_its_time_is_up_by_the_slowest_so_far(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(8):
            deployment.issue(rotation=rotation(f"vault:acme/app-{n}"))
        read = deployment.services.delivery.read

        def slow(sink: Sink) -> Any:
            deployment.clock.seconds += 2.0  # twice a rotation
            return read(sink)

        monkeypatch.setattr(deployment.services.delivery, "read", slow)
        began_at = deployment.clock.seconds + 2.0
        assert tick(deployment, budget_seconds=11) == NOTHING | {"rotated": 2, "remaining": 6}
        assert deployment.clock.seconds - began_at <= 11

    @pytest.mark.parametrize(
        "fields",
        [{"budget_seconds": 0}, {"budget_seconds": 841}, {"max_rotations": 0}, {"max_rotations": 10_001}, {"more": 1}],
    )
    def test_what_is_no_budget_is_refused(self, deployment: Deployment, issued: Issued, fields: dict[str, Any]) -> None:
        reply = deployment.call("rotate_due", fields)
        assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")
        assert in_sink(deployment) == ""


class TestByHand:
    """POST /v1/keys/{key_id}/rotate of a key with a sink."""

    def test_the_new_key_is_in_the_sink_and_not_in_the_reply(self, deployment: Deployment, issued: Issued) -> None:
        by = deployment.issue(scopes=["keys:rotate"]).key  # it holds none of the key's scopes, and gets no key
        reply = deployment.call("rotate", {}, key_id=issued.key_id, by=by)
        assert (reply.status_code, reply.json["delivered_to"]) == (200, "vault:acme/gateway")
        assert "key" not in reply.json
        assert in_sink(deployment) not in reply.text
        assert deployment.validate(in_sink(deployment))["generation"] == 2

    def test_a_repeat_is_answered_as_done_and_without_its_id_is_a_conflict(
        self, deployment: Deployment, issued: Issued
    ) -> None:
        intent = {"Idempotency-Key": "intent-1"}
        first = deployment.do("rotate", issued.key_id, headers=intent)
        again = deployment.do("rotate", issued.key_id, headers=intent)
        assert (again["etag"], again["generations"]) == (first["etag"], first["generations"])
        reply = deployment.call("rotate", {}, key_id=issued.key_id)
        assert (reply.status_code, reply.json["code"]) == (409, "ROTATION_IN_PROGRESS")

    def test_an_emergency_ends_every_older_key_at_once(self, deployment: Deployment, issued: Issued) -> None:
        deployment.do("rotate", issued.key_id)
        second = in_sink(deployment)
        deployment.do("rotate", issued.key_id, {"grace_seconds": 0})
        codes = [deployment.code_of(key) for key in (issued.key, second, in_sink(deployment))]
        assert codes == ["ROTATED_OUT", "ROTATED_OUT", "VALID"]

    def test_a_sink_that_is_away_is_told_and_left_to_the_ticks(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issued = deployment.issue(rotation={"sink": "vault:acme/gateway"})
        tick(deployment)
        deployment.wait(25 * 3600)
        tick(deployment)
        with monkeypatch.context() as away:
            away.setattr(deployment.services.delivery, "write", _fail)
            reply = deployment.call("rotate", {}, key_id=issued.key_id)
        assert (reply.status_code, reply.json["code"]) == (503, "DELIVERY_FAILED")
        assert "sink" in reply.json["detail"]
        assert deployment.code_of(in_sink(deployment)) == "VALID"
        deployment.wait(60)
        assert tick(deployment)["resumed"] == 1
        assert deployment.validate(in_sink(deployment))["generation"] > 2


def _fail(*_: object) -> bool:
    raise DeliveryFailed("the sink is away")


def _seconds_until(deployment: Deployment, at: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(at) - deployment.clock.now()).total_seconds()
