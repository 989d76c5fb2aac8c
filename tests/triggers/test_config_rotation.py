"""Stored credentials that rotate with the tick: on time, once, whatever fails in between."""

import json
import os
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from configs import Configs, code_of
from deployment import Deployment

from keyrail import bootstrap
from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.domain.errors import InvalidArgument, Unavailable
from keyrail.ports import Services
from keyrail.rotation_ports import CredentialRotation
from keyrail.telemetry import noted

HOUR = 3600
EVERY_HOUR = {"kind": "generated", "interval_seconds": HOUR}


class _Killed(BaseException):
    """As a process ends: nothing of ours catches it."""


@dataclass
class Counter:
    """A credential of a system outside: each rotation there is counted, and its number is the new password."""

    has_effects: bool = True
    done: int = 0
    seen: list[CredentialRotation] = field(default_factory=list)
    fails: Exception | None = None

    def checked(self, settings: Any, tenant: str, *, is_system: bool) -> dict[str, Any]:
        if set(settings) - {"account"}:
            raise InvalidArgument("It takes account.", code="BAD_ROTATION")
        return dict(settings)

    def mark(self, asked: CredentialRotation) -> str | None:
        return str(self.done)

    def rotate(self, asked: CredentialRotation) -> Any:
        self.seen.append(asked)
        if self.fails is not None:
            raise self.fails
        if self.mark(asked) == asked.mark:
            self.done += 1
        return {**asked.value, "password": f"number {self.done}"}

    def live(self, value: Any, settings: Any) -> Any:
        return {**value, "account": settings.get("account", "none")}


@pytest.fixture
def configs(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Configs:
    """With an outbox that nobody empties."""
    deployment.services = replace(deployment.services, outbox=MemoryEventOutbox())
    monkeypatch.setattr(bootstrap, "_built", (os.getpid(), deployment.services))
    return Configs(deployment)


@pytest.fixture
def counter(deployment: Deployment) -> Counter:
    rotator, services = Counter(), deployment.services
    services.rotators._by_kind["counter"] = rotator  # type: ignore[attr-defined]
    return rotator


def events(services: Services, name: str) -> list[dict[str, Any]]:
    assert services.outbox is not None
    return [each.as_cloudevent() for each in services.outbox.pending(1000) if each.name == name]


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {name: n for name, n in report.items() if isinstance(n, int) and n}


# -- generated -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_given", "letters", "length"),
    [
        ({}, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 32),
        ({"length": 16}, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 16),
        ({"length": 256, "alphabet": "hex"}, "0123456789abcdef", 256),
        ({"alphabet": "ascii"}, "".join(map(chr, range(33, 127))), 32),
        ({"length": 64, "alphabet": "ab"}, "ab", 64),
    ],
)
def test_a_generated_secret_has_the_length_and_letters_asked_for(
    configs: Configs, settings_given: dict[str, Any], letters: str, length: int
) -> None:
    configs.written("db", value="first", rotation=EVERY_HOUR | settings_given)
    configs.deployment.wait(HOUR)
    assert counts(configs.tick()) == {"rotated": 1}
    value = configs.value("db")
    assert len(value) == length
    assert set(value) <= set(letters)


def test_a_field_is_replaced_and_the_others_stay(configs: Configs) -> None:
    configs.written("db", value={"user": "app", "password": "first"}, rotation=EVERY_HOUR | {"field": "password"})
    configs.deployment.wait(HOUR)
    configs.tick()
    read = configs.read("db")
    assert read["value"]["user"] == "app"
    assert read["value"]["password"] != "first"
    assert (read["version"], read["rotation"]["step"], read["rotation"]["field"]) == (2, "done", "password")
    assert [each["how"] for each in configs.read("db", history="true")["versions"]] == ["rotated", "written"]


def test_each_interval_brings_another_secret(configs: Configs) -> None:
    configs.written("db", value="first", rotation=EVERY_HOUR)
    seen = {configs.value("db")}
    for _ in range(5):
        configs.deployment.wait(HOUR)
        assert counts(configs.tick()) == {"rotated": 1}
        seen.add(configs.value("db"))
    assert len(seen) == 6


def test_nothing_rotates_before_its_time(configs: Configs) -> None:
    configs.written("db", value="first", rotation=EVERY_HOUR)
    configs.deployment.wait(HOUR * 0.85)  # a tenth is jitter
    assert counts(configs.tick()) == {}
    assert configs.value("db") == "first"


@pytest.mark.parametrize(
    "rotation",
    [
        {"kind": "generated"},
        {"kind": "generated", "interval_seconds": 59},
        {"kind": "Generated", "interval_seconds": 60},
        {"interval_seconds": 60},
    ],
)
def test_a_rotation_has_a_kind_and_an_interval(configs: Configs, rotation: dict[str, Any]) -> None:
    assert code_of(configs.put("db", value="x", rotation=rotation)) == (422, "INVALID_FIELD")


@pytest.mark.parametrize(
    "settings_given",
    [
        {"length": 15},
        {"length": 257},
        {"length": "32"},
        {"alphabet": "a"},
        {"alphabet": "aab"},
        {"alphabet": "ab\n"},
        {"alphabet": "ab", "length": 63},
        {"field": ""},
        {"field": "password"},
        {"more": 1},
        {"kind": "unheard-of"},
    ],
)
def test_settings_that_can_not_be_are_refused_at_once(configs: Configs, settings_given: dict[str, Any]) -> None:
    refused = configs.put("db", value="no object", rotation=EVERY_HOUR | settings_given)
    assert code_of(refused) == (422, "BAD_ROTATION")
    assert code_of(configs.get("db")) == (404, "CONFIG_NOT_FOUND")


def test_a_rotation_that_would_break_the_schema_is_refused_at_once(configs: Configs) -> None:
    schema = {"type": "string", "maxLength": 20}
    assert code_of(configs.put("db", value="x", schema=schema, rotation=EVERY_HOUR)) == (422, "INVALID_VALUE")
    configs.written("db", value="x", schema=schema, rotation=EVERY_HOUR | {"length": 20})


def test_a_rotation_stays_until_it_is_replaced_or_taken_away(configs: Configs) -> None:
    made = configs.written("db", value="first", rotation=EVERY_HOUR)
    kept = configs.written("db", value="second", if_match=1)
    same = configs.written("db", value="third", rotation=EVERY_HOUR, if_match=2)
    assert made["rotation"] == kept["rotation"] == same["rotation"]
    other = configs.written("db", value="fourth", rotation=EVERY_HOUR | {"interval_seconds": 60}, if_match=3)
    assert other["rotation"]["next_at"] < made["rotation"]["next_at"]
    assert "rotation" not in configs.written("db", value="fifth", rotation=None, if_match=4)
    configs.deployment.wait(HOUR)
    assert counts(configs.tick()) == {}
    assert configs.value("db") == "fifth"


def test_a_destroyed_config_rotates_no_more(configs: Configs) -> None:
    configs.written("db", value="first", rotation=EVERY_HOUR)
    configs.written("db", destroy_versions="all")
    configs.deployment.wait(HOUR)
    assert counts(configs.tick()) == {}
    assert code_of(configs.get("db")) == (404, "CONFIG_NOT_FOUND")
    assert configs.deployment.services.due.due(configs.deployment.clock.now()) == []


# -- a system outside ------------------------------------------------------------------------------------------------


def test_a_kind_with_effects_is_rotated_once_and_read_live(configs: Configs, counter: Counter) -> None:
    configs.written("db", value={"host": "db1"}, rotation={"kind": "counter", "interval_seconds": 60, "account": "app"})
    configs.deployment.wait(60)
    assert counts(configs.tick()) == {"rotated": 1}
    assert counts(configs.tick()) == {}
    assert counter.done == 1
    assert configs.value("db") == {"host": "db1", "password": "number 1", "account": "app"}
    assert counter.seen[0].tenant == "acme"
    assert counter.seen[0].name == "db"
    assert [each["how"] for each in configs.read("db", history="true")["versions"]] == ["rotated", "written"]


STEPS = [
    ("configs", "write", 0, "before"),
    ("configs", "write", 0, "after"),
    ("rotators", "rotate", 0, "before"),
    ("rotators", "rotate", 0, "after"),
    ("due", "add", 0, "after"),
    ("configs", "write", 1, "before"),
    ("configs", "write", 1, "after"),
    ("outbox", "put", 0, "before"),
    ("outbox", "put", 0, "after"),
    ("due", "remove", 0, "before"),
    ("due", "remove", 0, "after"),
]


@pytest.mark.parametrize(("place", "method", "nth", "when"), STEPS)
def test_killed_at_any_step_the_next_ticks_bring_it_to_its_end_once(
    configs: Configs, counter: Counter, monkeypatch: pytest.MonkeyPatch, place: str, method: str, nth: int, when: str
) -> None:
    deployment = configs.deployment
    configs.written("db", value={"host": "db1"}, rotation={"kind": "counter", "interval_seconds": 3600})
    deployment.wait(3600)
    target: Any = counter if place == "rotators" else getattr(deployment.services, place)
    whole, calls = getattr(target, method), iter(range(100))

    def killed(*given: Any, **named: Any) -> Any:
        if next(calls) != nth:
            return whole(*given, **named)
        if when == "after":
            whole(*given, **named)
        raise _Killed

    monkeypatch.setattr(target, method, killed)
    with pytest.raises(_Killed):
        configs.tick()
    assert noted.get() is None  # of whatever this thread does next
    monkeypatch.setattr(target, method, whole)
    for _ in range(3):
        configs.tick()
        deployment.wait(31)  # the lease
    assert counter.done == 1
    assert configs.value("db")["password"] == "number 1"
    assert len({event["id"] for event in events(deployment.services, "config.rotated")}) == 1
    assert deployment.services.due.due(deployment.clock.now()) == []
    deployment.wait(3600)
    assert configs.tick()["rotated"] == 1  # a hint too many may be skipped
    assert counter.done == 2


def test_while_it_is_leased_nobody_else_runs_it_or_writes_over_it(
    configs: Configs, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs.written("db", value={}, rotation={"kind": "counter", "interval_seconds": 60})
    configs.deployment.wait(60)
    with monkeypatch.context() as patched:
        patched.setattr(counter, "rotate", _raise_killed)
        with pytest.raises(_Killed):
            configs.tick()
    assert counts(configs.tick()) == {"skipped": 1}
    assert code_of(configs.put("db", value={}, if_match="*")) == (409, "ROTATION_IN_PROGRESS")
    configs.deployment.wait(31)
    assert counts(configs.tick()) == {"resumed": 1}
    assert configs.written("db", value={}, if_match="*")["version"] > 2


def _raise_killed(_asked: object) -> Any:
    raise _Killed


@pytest.mark.parametrize("fails", [Unavailable("no answer"), ValueError("hunter2")])
def test_a_failure_is_told_put_off_and_stops_nobody_else(
    configs: Configs, counter: Counter, output: Any, fails: Exception
) -> None:
    configs.written("bad", value={"password": "first"}, rotation={"kind": "counter", "interval_seconds": 3600})
    configs.written("good", value="first", rotation=EVERY_HOUR)
    configs.deployment.wait(3600)
    counter.fails = fails
    report = configs.tick()
    assert counts(report) == {"failed": 1, "rotated": 1}
    assert report["failures"] == [{"subject": "acme/bad", "code": "ROTATOR_FAILED"}]
    assert configs.value("good") != "first"
    assert configs.value("bad")["password"] == "first"
    assert events(configs.deployment.services, "config.rotation_failed")[0]["subject"] == "bad"
    assert "hunter2" not in output.text
    counter.fails = None
    assert counts(configs.tick()) == {}  # a minute has not passed
    configs.deployment.wait(600)
    assert counts(configs.tick()) == {"resumed": 1}
    assert configs.value("bad")["password"] == "number 1"


def test_the_pause_grows_with_each_failure_up_to_an_hour(configs: Configs, counter: Counter) -> None:
    configs.written("bad", value={}, rotation={"kind": "counter", "interval_seconds": 60})
    configs.deployment.wait(60)
    counter.fails = Unavailable("no answer")
    tries = []
    for minute in range(6 * 60):
        if configs.tick()["failed"]:
            tries.append(minute)
        configs.deployment.wait(60 - 2)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert max(pauses) <= 62
    assert len(tries) < 15


def test_a_kind_that_is_installed_no_more_fails_alone(configs: Configs, counter: Counter) -> None:
    configs.written("db", value={}, rotation={"kind": "counter", "interval_seconds": 60})
    services: Any = configs.deployment.services
    del services.rotators._by_kind["counter"]
    configs.deployment.wait(60)
    assert configs.tick()["failures"] == [{"subject": "acme/db", "code": "ROTATOR_FAILED"}]
    assert code_of(configs.get("db")) == (503, "ROTATOR_FAILED")


def test_an_event_and_an_audit_line_for_each_change_and_no_value_in_any(configs: Configs, output: Any) -> None:
    configs.written("db", value="hunter2-first", rotation=EVERY_HOUR)
    configs.written("db", value="hunter2-second", if_match=1)
    configs.written("db", restore_version=1, if_match=2)
    configs.deployment.wait(HOUR)
    assert counts(configs.tick()) == {"rotated": 1}
    rotated = configs.value("db")
    configs.get("db", history="true")
    configs.put("db", value={"hunter2": 1}, schema={"type": "string"}, if_match="*")
    configs.written("db", destroy_versions=[1])
    configs.written("db", destroy_versions="all")
    told = [line["event"] for line in output.lines("audit") if line["event"].startswith("config.")]
    assert told == [
        "config.written",
        "config.written",
        "config.restored",
        "config.rotated",
        "config.destroyed",
        "config.destroyed",
    ]
    services = configs.deployment.services
    assert services.outbox is not None
    sent = [each.as_cloudevent() for each in services.outbox.pending(1000)]
    assert [each["type"] for each in sent if each["type"].startswith("keyrail.config")] == [
        f"keyrail.{each}" for each in told
    ]
    assert len({each["id"] for each in sent}) == len(sent)
    metrics = services.metrics.exposition()[0].decode()
    for text in (output.text, json.dumps(sent), metrics):
        assert "hunter2" not in text
        assert rotated not in text


def test_the_same_name_in_two_tenants_has_events_of_its_own(configs: Configs) -> None:
    configs.written("db", value=1)
    replace(configs, tenant="other").written("db", value=1)
    ids = [event["id"] for event in events(configs.deployment.services, "config.written")]
    assert len(set(ids)) == 2
