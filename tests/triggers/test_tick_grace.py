"""The grace of the generation before: who still uses it is told, once; silence ends it early; its end is told once."""

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from deployment import Deployment, Issued
from test_tick import GRACE_SECONDS, in_sink, rotation, tick

from keyrail import bootstrap
from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.domain.due import USAGE_LAG_SECONDS

SILENT_SECONDS = 600


@pytest.fixture
def deployment(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """With an outbox that nobody empties, so that everything that is told stays in it."""
    services = replace(deployment.services, outbox=MemoryEventOutbox())
    monkeypatch.setattr(bootstrap, "_built", (os.getpid(), services))
    return Deployment(services, deployment.clock, deployment.client_of)


@pytest.fixture
def rotated(deployment: Deployment) -> Issued:
    """In its grace: `key` is of the old generation."""
    issued = deployment.issue(rotation=rotation())
    tick(deployment)
    return issued


def events(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    outbox = deployment.services.outbox
    assert outbox is not None
    return [event.facts for event in outbox.pending(1000) if event.name == name]


def warnings(deployment: Deployment) -> float:
    text = deployment.services.metrics.exposition()[0].decode()
    return sum(
        float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("keyrail_grace_still_used")
    )


class TestWarning:
    def test_comes_once_with_a_tenth_of_the_grace_left(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.wait(GRACE_SECONDS / 2)
        assert deployment.code_of(rotated.key) == "VALID"
        for _ in range(3):
            tick(deployment)
        assert events(deployment, "grace.still_used") == []
        before = warnings(deployment)
        deployment.wait(GRACE_SECONDS * 0.4)
        for _ in range(3):
            tick(deployment)
            deployment.code_of(rotated.key)
        (told,) = events(deployment, "grace.still_used")
        assert told["generation"] == 1
        last_used_at, retire_at = (datetime.fromisoformat(told[name]) for name in ("last_used_at", "retire_at"))
        assert timedelta(0) < retire_at - last_used_at < timedelta(seconds=GRACE_SECONDS / 2)
        assert warnings(deployment) == before + 1

    def test_does_not_come_where_nobody_uses_it(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.wait(GRACE_SECONDS * 0.9)
        tick(deployment)
        assert events(deployment, "grace.still_used") == []

    def test_does_not_come_of_a_use_just_after_the_rotation(self, deployment: Deployment, rotated: Issued) -> None:
        """Every consumer needs a moment to pick the new key up."""
        deployment.code_of(rotated.key)
        deployment.wait(GRACE_SECONDS * 0.9)
        tick(deployment)
        assert events(deployment, "grace.still_used") == []

    def test_comes_no_more_once_the_grace_is_over(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.wait(GRACE_SECONDS / 2)
        deployment.code_of(rotated.key)
        deployment.wait(GRACE_SECONDS)
        assert tick(deployment)["retired"] == 1
        assert events(deployment, "grace.still_used") == []


class TestItsEnd:
    def test_is_told_once(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.wait(GRACE_SECONDS)
        assert deployment.code_of(rotated.key) == "ROTATED_OUT", "by the clock: no tick is needed for that"
        assert tick(deployment)["retired"] == 1
        for _ in range(3):
            assert tick(deployment)["retired"] == 0
            deployment.wait(60)
        assert [each["generation"] for each in events(deployment, "rotation.retired")] == [1]

    def test_is_told_with_the_time_when_it_was(self, deployment: Deployment, rotated: Issued) -> None:
        retire_at = deployment.do("get_key", rotated.key_id)["generations"][0]["retire_at"]
        deployment.wait(2 * GRACE_SECONDS - 100)
        tick(deployment)
        outbox = deployment.services.outbox
        assert outbox is not None
        (told,) = [event for event in outbox.pending(1000) if event.name == "rotation.retired"]
        assert told.at == datetime.fromisoformat(retire_at)


class TestSilence:
    @pytest.fixture
    def quiet(self, deployment: Deployment) -> Issued:
        issued = deployment.issue(rotation=rotation(silent_seconds=SILENT_SECONDS))
        tick(deployment)
        return issued

    def test_ends_it_early(self, deployment: Deployment, quiet: Issued) -> None:
        deployment.wait(SILENT_SECONDS + USAGE_LAG_SECONDS - 5)
        assert tick(deployment)["retired"] == 0
        deployment.wait(5)
        assert tick(deployment)["retired"] == 1
        assert [each["generation"] for each in events(deployment, "rotation.retired")] == [1]
        assert deployment.code_of(quiet.key) == "ROTATED_OUT"
        assert deployment.code_of(in_sink(deployment)) == "VALID"

    def test_its_early_end_is_told_once_too(self, deployment: Deployment, quiet: Issued) -> None:
        deployment.wait(SILENT_SECONDS + USAGE_LAG_SECONDS)
        for _ in range(5):
            tick(deployment)
            deployment.wait(GRACE_SECONDS / 4)
        assert len(events(deployment, "rotation.retired")) == 1

    def test_begins_anew_with_each_use(self, deployment: Deployment, quiet: Issued) -> None:
        for _ in range(4):
            deployment.wait(SILENT_SECONDS - 10)
            assert deployment.code_of(quiet.key) == "VALID"
            assert tick(deployment)["retired"] == 0
        deployment.wait(SILENT_SECONDS + USAGE_LAG_SECONDS)
        assert tick(deployment)["retired"] == 1

    def test_of_the_new_key_means_nothing(self, deployment: Deployment, quiet: Issued) -> None:
        for _ in range(8):
            deployment.wait(100)
            deployment.code_of(quiet.key)
        deployment.wait(100)
        assert tick(deployment)["retired"] == 0

    def test_in_use_to_the_end_it_is_warned_of_and_lasts_for_its_grace(
        self, deployment: Deployment, quiet: Issued
    ) -> None:
        for _ in range(GRACE_SECONDS // 300 - 1):
            deployment.wait(300 - 4)
            assert deployment.code_of(quiet.key) == "VALID"
            tick(deployment)
        assert len(events(deployment, "grace.still_used")) == 1
        assert events(deployment, "rotation.retired") == []

    def test_is_counted_by_warm_instances_too(self, deployment: Deployment, quiet: Issued) -> None:
        """They hold the record, in which the grace lasts longer: the feed tells them."""
        assert deployment.code_of(quiet.key) == "VALID"
        deployment.wait(SILENT_SECONDS + USAGE_LAG_SECONDS)
        tick(deployment)
        assert deployment.code_of(quiet.key) == "ROTATED_OUT"


class TestWhoStillUsesIt:
    def test_get_key_tells_the_last_use_of_each_generation(self, deployment: Deployment, rotated: Issued) -> None:
        old_at = _used(deployment, rotated.key)
        deployment.wait(100)
        new_at = _used(deployment, in_sink(deployment))
        generations = deployment.do("get_key", rotated.key_id)["generations"]
        assert [(each["n"], datetime.fromisoformat(each["last_used_at"])) for each in generations] == [
            (1, old_at),
            (2, new_at),
        ]

    def test_of_one_that_was_not_used_nothing_is_told(self, deployment: Deployment, rotated: Issued) -> None:
        generations = deployment.do("get_key", rotated.key_id)["generations"]
        assert [each.get("last_used_at") for each in generations] == [None, None]

    def test_a_use_that_was_refused_is_none(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.validate(rotated.key, required_scopes="not:held")
        assert "last_used_at" not in deployment.do("get_key", rotated.key_id)["generations"][0]

    def test_no_listing_or_change_tells_it(self, deployment: Deployment, rotated: Issued) -> None:
        deployment.code_of(rotated.key)
        listed = deployment.call("list_keys", query={"tenant": "acme"})
        assert "last_used_at" not in listed.text
        assert "last_used_at" not in json.dumps(deployment.do("update_key", rotated.key_id, {"name": "another"}))


def test_events_and_audit_hold_no_key(deployment: Deployment, output: Any) -> None:
    issued = deployment.issue(rotation=rotation())
    tick(deployment)
    keys = [issued.key, in_sink(deployment)]
    deployment.wait(GRACE_SECONDS)
    tick(deployment)
    outbox = deployment.services.outbox
    assert outbox is not None
    told = output.text + "".join(json.dumps(event.as_cloudevent()) for event in outbox.pending(100))
    assert {"rotation.staged", "rotation.delivered", "rotation.promoted", "rotation.retired"} <= {
        line["event"] for line in output.lines("audit")
    }
    for key in keys:
        assert key.rpartition("_")[2] not in told


def _used(deployment: Deployment, key: str) -> datetime:
    assert deployment.code_of(key) == "VALID"
    return deployment.clock.now()
