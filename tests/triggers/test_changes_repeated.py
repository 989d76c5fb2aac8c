"""A change that got through, but whose caller was not told: asked for again, it is answered and told as then."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from configs import Configs, code_of
from deployment import Deployment
from werkzeug.test import TestResponse

from keyrail import bootstrap
from keyrail.adapters.memory_outbox import MemoryEventOutbox

DAILY = {"kind": "generated", "length": 24, "interval_seconds": 86400}


@pytest.fixture
def deployment(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """With an outbox that nobody empties."""
    deployment.services = replace(deployment.services, outbox=MemoryEventOutbox())
    monkeypatch.setattr(bootstrap, "_built", (os.getpid(), deployment.services))
    return deployment


@pytest.fixture
def configs(deployment: Deployment) -> Configs:
    return Configs(deployment)


def told(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    outbox = deployment.services.outbox
    assert outbox is not None
    return [each.as_cloudevent() for each in outbox.pending(1000) if each.name == name]


def cut_off(deployment: Deployment, call: Callable[[], TestResponse], what: str, method: str) -> None:
    """`call`, which dies where it would do that."""

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getattr(deployment.services, what), method, die)
        with pytest.raises(SystemExit):
            call()


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a value": ({"value": {"password": "new"}, "if_match": 2}, "config.written"),
    "a schema": ({"value": "second", "schema": {"type": "string"}, "if_match": 2}, "config.written"),
    "a rotation": ({"value": "second", "rotation": DAILY, "if_match": 2}, "config.written"),
    "a version of old": ({"restore_version": 1, "if_match": 2}, "config.restored"),
}


class TestConfig:
    @pytest.mark.parametrize("change", CHANGES)
    def test_a_change(self, deployment: Deployment, configs: Configs, change: str) -> None:
        body, event = CHANGES[change]
        configs.written("db", value="first")
        configs.written("db", value="second", if_match=1)
        known = [each["id"] for each in told(deployment, event)]
        cut_off(deployment, lambda: configs.put("db", **body), "outbox", "put")
        deployment.wait(5)
        made = configs.written("db", **body)
        (once,) = [each for each in told(deployment, event) if each["id"] not in known]
        assert made["version"] == once["data"]["version"] == 3
        deployment.wait(5)
        assert configs.written("db", **body) == made
        assert [each for each in told(deployment, event) if each["id"] not in known] == [once]
        assert made["written_at"] == once["time"].replace("+00:00", "Z")

    def test_a_new_one(self, deployment: Deployment, configs: Configs) -> None:
        cut_off(deployment, lambda: configs.put("db", value="first"), "outbox", "put")
        assert told(deployment, "config.written") == []
        made = configs.written("db", value="first")
        assert made["version"] == 1
        assert len(told(deployment, "config.written")) == 1

    def test_the_end_of_all_versions(self, deployment: Deployment, configs: Configs) -> None:
        configs.written("db", value="first")
        call = lambda: configs.put("db", destroy_versions="all", if_match=1)  # noqa: E731
        cut_off(deployment, call, "outbox", "put")
        assert call().status_code == 200
        (event,) = told(deployment, "config.destroyed")
        assert event["data"]["versions"] == [1]

    @pytest.mark.parametrize(
        "other",
        [
            {"value": True},
            {"value": 1.0},
            {"value": "1"},
            {"value": 1, "schema": {"type": "integer"}},
            {"value": 1, "rotation": DAILY},
            {"restore_version": 1},
        ],
    )
    def test_what_differs_in_anything_is_no_repeat(self, configs: Configs, other: dict[str, Any]) -> None:
        configs.written("db", value=0)
        configs.written("db", value=1, if_match=1)
        assert code_of(configs.put("db", **other, if_match=1)) == (412, "ETAG_MISMATCH")
        configs.written("new", value=1)
        if "value" in other:
            assert code_of(configs.put("new", **other)) == (409, "CONFIG_EXISTS")

    def test_nor_is_what_somebody_else_wrote_or_what_was_written_over(self, configs: Configs) -> None:
        by = configs.key("config:write")
        configs.written("db", value=0)
        configs.written("db", value=1, if_match=1)
        assert code_of(configs.put("db", value=1, if_match=1, by=by)) == (412, "ETAG_MISMATCH")
        configs.written("db", value=2, if_match=2)
        configs.written("db", value=1, if_match=3)
        assert code_of(configs.put("db", value=1, if_match=1)) == (412, "ETAG_MISMATCH")


FIELDS: dict[str, dict[str, Any]] = {
    "a name": {"name": "another"},
    "a stop": {"state": "disabled", "state_reason": "leaked?"},
    "an end": {"expires_at": "2027-01-01T00:00:00Z"},
    "scopes": {"scopes": ["ml:infer", "ml:train"]},
    "a rotation": {"rotation": {"interval_seconds": 86400, "grace_seconds": 60, "sink": "vault:acme/app"}},
}


class TestKey:
    @pytest.mark.parametrize("fields", FIELDS)
    @pytest.mark.parametrize("moment", [("feed", "publish"), ("outbox", "put")])
    def test_a_change(self, deployment: Deployment, fields: str, moment: tuple[str, str]) -> None:
        key_id = deployment.issue().key_id
        etag = deployment.do("get_key", key_id)["etag"]

        def change() -> TestResponse:
            return deployment.call("update_key", FIELDS[fields], key_id=key_id, headers={"If-Match": etag})

        seq = deployment.services.feed.head().seq
        cut_off(deployment, change, *moment)
        deployment.wait(5)
        made = change()
        assert made.status_code == 200, made.json
        assert deployment.services.feed.head().seq > seq
        (event,) = told(deployment, "key.updated")
        assert made.json["etag"] == deployment.do("get_key", key_id)["etag"] == '"2"'
        deployment.wait(5)
        assert change().json == made.json
        assert [each["id"] for each in told(deployment, "key.updated")] == [event["id"]]

    def test_what_differs_or_stands_on_another_version_is_no_repeat(self, deployment: Deployment) -> None:
        key_id = deployment.issue().key_id

        def change(name: str, version: int) -> TestResponse:
            return deployment.call("update_key", {"name": name}, key_id=key_id, headers={"If-Match": f'"{version}"'})

        assert change("one", 1).status_code == 200
        assert code_of(change("other", 1)) == (412, "ETAG_MISMATCH")
        assert change("two", 2).status_code == 200
        assert change("one", 3).status_code == 200
        assert code_of(change("one", 1)) == (412, "ETAG_MISMATCH")
