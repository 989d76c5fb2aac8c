"""kill -9 of a function right before and right after each write of each operation; then the call is repeated.

Whatever had been written by then: the repeat converges, what validates is listed, and what was revoked stays so.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from deployed import FULL, Deployment, Instance
from http_api import Api, Key, Reply
from vault_proxy import Asked, Proxy, killed_at, proxy_to

FRESH_SECONDS = 1.5
TTL_SECONDS = 10.0
MOMENTS = [(write, when) for write in (1, 2) for when in ("before", "after")]
TOLD_APART = [MOMENTS[0], MOMENTS[1], MOMENTS[3]]  # by what lies in Vault then
at_each_moment = pytest.mark.parametrize(("write", "when"), MOMENTS if FULL else TOLD_APART)


class Victim:
    """A function that can be told when to die; `api` calls this one, and the deployment's for all else."""

    def __init__(self, deployment: Deployment, instance: Instance, proxy: Proxy) -> None:
        self.instance, self._proxy = instance, proxy
        self._deployment = deployment
        self.api = Api(deployment.canary, deployment.admin_key, self._url_of)

    def _url_of(self, name: str) -> str:
        return self.instance.url if name == self.instance.name else self._deployment.url_of(name)

    def dies(self, write: int, when: str, call: Callable[[], Reply]) -> None:
        """In `call`, `when` its `write`-th write passes; its caller gets no reply."""
        assert killed_at(self._proxy, write, when, _counts, self.instance.kill, call) is not None

    def lives_again(self) -> None:
        self.instance.restart()

    def writes_of(self, call: Callable[[Api], Reply]) -> list[str]:
        """The folders that a call writes to, in order."""
        paths: list[str] = []
        self._proxy.before = lambda asked: paths.append(asked.path.split("/")[4]) if _counts(asked) else None
        call(self.api).ok()
        self._proxy.before = lambda _: None
        return paths

    def audited(self, event: str, key_id: str) -> list[dict[str, Any]]:
        """Events that any of its processes wrote."""
        lines = [line for log in self.instance.logs for line in log.read_text().splitlines() if line.startswith("{")]
        events = [line for line in map(json.loads, lines) if line["kind"] == "audit"]
        return [line for line in events if (line["event"], line.get("subject")) == (event, key_id)]


def _counts(asked: Asked) -> bool:
    """Hints, of which one too many does no harm, are told apart (test_rotation_killed.py), as are uses of keys."""
    return asked.is_write and asked.path.split("/")[4] not in ("due", "usage")


Victims = dict[str, Victim]


@pytest.fixture(scope="module")
def victims(deployment: Deployment) -> Iterator[Victims]:
    made: Victims = {}
    with ExitStack() as stack:
        for name in ("issue_key", "rotate", "revoke_key", "update_key", "write_config"):
            proxy = stack.enter_context(proxy_to(deployment.vault.address))
            made[name] = Victim(deployment, deployment.launch(name, vault_address=proxy.address), proxy)
        for victim in made.values():
            victim.instance.wait()
        yield made
        deployment.stop(*(victim.instance for victim in made.values()))


@pytest.fixture
def key(deployment: Deployment) -> Key:
    """Held in memory by the first validating process, unknown to the second."""
    made = deployment.api.issue()
    assert deployment.api.code_of(made.text) == "VALID"
    return made


def _warm_and_cold(deployment: Deployment) -> tuple[str, str]:
    warm, cold = deployment.all_of("validate_key")
    return warm.url, cold.url


def _assert_everywhere(deployment: Deployment, key: str, code: str) -> None:
    """At once where the key is not in memory, within FRESH_SECONDS where it is."""
    warm, cold = _warm_and_cold(deployment)
    began_at = time.monotonic()
    assert deployment.api.code_of(key, at=cold) == code
    while deployment.api.code_of(key, at=warm) != code:
        assert time.monotonic() - began_at < FRESH_SECONDS
        time.sleep(0.05)


def _states(deployment: Deployment, key: Key) -> list[str]:
    return [each["state"] for each in deployment.api.get(key.key_id).ok()["generations"]]


def test_each_write_of_each_operation_is_among_the_moments_below(victims: Victims, key: Key) -> None:
    calls: dict[str, tuple[Callable[[Api], Reply], list[str]]] = {
        "issue_key": (lambda api: api.try_issue(), ["tenants", "keys"]),
        "rotate": (lambda api: api.rotate(key.key_id), ["keys", "feed"]),
        "update_key": (lambda api: api.update(key.key_id, name="another"), ["keys", "feed"]),
        "revoke_key": (lambda api: api.revoke(key.key_id), ["revoked", "feed"]),
    }
    for name, (call, folders) in calls.items():
        assert victims[name].writes_of(call) == folders
        assert len(folders) == max(write for write, _ in MOMENTS)


@at_each_moment
def test_an_issue_repeated_makes_one_key_that_is_listed(
    deployment: Deployment, victims: Victims, write: int, when: str
) -> None:
    victim, tenant = victims["issue_key"], f"killed-{write}-{when}"
    api = victim.api.of_tenant(tenant)
    victim.dies(write, when, lambda: api.try_issue("once"))
    was_made = (write, when) == MOMENTS[-1]
    assert len(api.list_all()) == was_made, "an id in the index without its record is no key"
    victim.lives_again()
    repeated = api.try_issue("once")
    assert repeated.status == (200 if was_made else 201)
    key_id = repeated.ok()["key_id"]
    key = repeated.json.get("key") or api.rotate(key_id, grace_seconds=0).ok()["key"]
    assert [view["key_id"] for view in api.list_all()] == [key_id]
    assert api.validate(key).ok()["key_id"] == key_id
    assert api.try_issue("once").ok()["key_id"] == key_id
    assert len(api.list_all()) == 1
    assert victim.audited("key.issued", key_id), "the first process may have died before it could say so"


@at_each_moment
def test_a_rotation_repeated_leaves_the_old_secret_in_grace_and_one_new_one(
    deployment: Deployment, victims: Victims, key: Key, write: int, when: str
) -> None:
    victim = victims["rotate"]
    victim.dies(write, when, lambda: victim.api.rotate(key.key_id, "once"))
    assert deployment.api.code_of(key.text) == "VALID"
    victim.lives_again()
    new = victim.api.rotate(key.key_id, "once").ok()["key"]
    _assert_everywhere(deployment, new, "VALID")
    _assert_everywhere(deployment, key.text, "VALID")
    was_made = (write, when) != MOMENTS[0]
    assert _states(deployment, key) == (["retiring", "retired", "current"] if was_made else ["retiring", "current"])


@at_each_moment
def test_a_rotation_without_grace_repeated_leaves_one_secret(
    deployment: Deployment, victims: Victims, key: Key, write: int, when: str
) -> None:
    victim = victims["rotate"]
    victim.dies(write, when, lambda: victim.api.rotate(key.key_id, "once", grace_seconds=0))
    victim.lives_again()
    new = victim.api.rotate(key.key_id, "once", grace_seconds=0).ok()["key"]
    _assert_everywhere(deployment, new, "VALID")
    _assert_everywhere(deployment, key.text, "ROTATED_OUT")
    states = _states(deployment, key)
    assert (states[-1], set(states[:-1])) == ("current", {"retired"})


@at_each_moment
def test_a_revocation_holds_from_its_first_write_and_repeated_is_told_to_all(
    deployment: Deployment, victims: Victims, key: Key, write: int, when: str
) -> None:
    victim = victims["revoke_key"]
    victim.dies(write, when, lambda: victim.api.revoke(key.key_id, reason="leaked"))
    was_made = (write, when) != MOMENTS[0]
    assert deployment.api.get(key.key_id).ok()["state"] == ("revoked" if was_made else "active")
    victim.lives_again()
    assert victim.api.revoke(key.key_id, reason="repeated").ok()["reason"] == ("leaked" if was_made else "repeated")
    _assert_everywhere(deployment, key.text, "REVOKED")


@at_each_moment
def test_a_stop_repeated_is_told_to_all(
    deployment: Deployment, victims: Victims, key: Key, write: int, when: str
) -> None:
    victim = victims["update_key"]
    victim.dies(write, when, lambda: victim.api.update(key.key_id, state="disabled"))
    victim.lives_again()
    assert victim.api.update(key.key_id, state="disabled").ok()["state"] == "disabled"
    _assert_everywhere(deployment, key.text, "DISABLED")


@at_each_moment
def test_a_change_of_the_version_that_was_read_is_the_same_when_it_is_repeated(
    deployment: Deployment, victims: Victims, key: Key, write: int, when: str
) -> None:
    victim, read = victims["update_key"], deployment.api.get(key.key_id).ok()["etag"]
    victim.dies(write, when, lambda: victim.api.update(key.key_id, state="disabled", if_match=read))
    victim.lives_again()
    made = victim.api.update(key.key_id, state="disabled", if_match=read).ok()
    assert made["etag"] == deployment.api.get(key.key_id).ok()["etag"] == '"2"'
    _assert_everywhere(deployment, key.text, "DISABLED")
    assert victim.audited("key.updated", key.key_id), "the first process may have died before it could say so"
    assert victim.api.update(key.key_id, name="other", if_match=read).code == "ETAG_MISMATCH"


@pytest.mark.parametrize("when", ["before", "after"])
def test_so_is_one_of_a_config(deployment: Deployment, victims: Victims, when: str) -> None:
    victim, name = victims["write_config"], f"killed-{when}"

    def change(value: str, **more: str) -> Reply:
        return victim.api.call("write_config", "PUT", f"/v1/config/{name}", {"tenant": "acme", "value": value, **more})

    for version, more in enumerate(({}, {"if_match": '"1"'}), start=1):
        victim.dies(1, when, lambda: change(f"value {version}", **more))  # noqa: B023 - called at once
        victim.lives_again()
        assert change(f"value {version}", **more).ok()["version"] == version
        assert len(victim.audited("config.written", name)) == version
        assert change("other", **more).code == ("ETAG_MISMATCH" if more else "CONFIG_EXISTS")


def test_a_revocation_that_nobody_repeats_is_refused_everywhere_within_the_ttl(
    deployment: Deployment, victims: Victims, key: Key
) -> None:
    victim, (warm, cold) = victims["revoke_key"], _warm_and_cold(deployment)
    victim.dies(2, "before", lambda: victim.api.revoke(key.key_id))
    died_at = time.monotonic()
    assert deployment.api.code_of(key.text, at=cold) == "REVOKED"
    while deployment.api.code_of(key.text, at=warm) != "REVOKED":
        assert time.monotonic() - died_at < TTL_SECONDS + 0.5
        time.sleep(0.1)
    print(f"\nrefused by the process that held it after {time.monotonic() - died_at:.1f} s")
    victim.lives_again()
