"""A sink that is denied, gone or slow, and a Vault that is sealed in the middle: what fails is told, waits longer each
time and goes on by itself; whatever else is due is rotated; and a tick keeps to its budget."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from canary import Canary
from deployed import Deployment, Instance
from rotating import LEASE_SECONDS, OTHERS, ROTATOR, Rotations, SunkKey, delayed
from vault_proxy import Asked, Proxy, proxy_to

from keyrail.adapters.vault_setup import DELIVERY_MOUNT_SETTINGS
from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao
from vault_mount import Mount

VAULT_SECONDS = 2  # KEYRAIL_VAULT_DEADLINE_SECONDS


@contextmanager
def denied(deployment: Deployment, sink: str) -> Iterator[None]:
    """To the function's policy; its token is checked against it at each request."""
    name = deployment.policy_of("rotate")
    before = deployment.root.sys.read_policy(name)["rules"]
    rule = f'\npath "{deployment.delivery_mount}/data/{sink}" {{ capabilities = ["deny"] }}\n'
    deployment.root.sys.create_or_update_policy(name, before + rule)
    try:
        yield
    finally:
        deployment.root.sys.create_or_update_policy(name, before)


@contextmanager
def gone(deployment: Deployment) -> Iterator[None]:
    """With everything that lay there; then it is mounted again, as bootstrap does it."""
    deployment.root.sys.disable_secrets_engine(deployment.delivery_mount)
    try:
        yield
    finally:
        deployment.root.sys.enable_secrets_engine("kv", path=deployment.delivery_mount, options={"version": "2"})
        made = Mount(deployment.delivery_mount, deployment.vault, deployment.root)
        _eventually(lambda: made.root.write_data(f"{made.name}/config", data=DELIVERY_MOUNT_SETTINGS))


def _eventually(call: Callable[[], Any]) -> None:
    """A new mount answers 400 for a moment."""
    import hvac

    ends_at = time.monotonic() + 10
    while True:
        try:
            call()
        except hvac.exceptions.InvalidRequest:
            assert time.monotonic() < ends_at
            time.sleep(0.02)
        else:
            return


def failures_of(rotations: Rotations, key: SunkKey) -> dict[str, Any]:
    view: dict[str, Any] = rotations.api.get(key.key_id).ok()["rotation"]
    return view


def failed_tick(rotations: Rotations, at: str | None = None, **fields: Any) -> dict[str, Any]:
    reply = rotations.try_tick(at, **fields)
    assert reply.status == 503
    return reply.json


class TestDenied:
    def test_it_is_told_others_are_rotated_and_the_pause_grows(self, rotations: Rotations) -> None:
        key, *others = rotations.issue_many(5)
        with denied(rotations.deployment, key.sink):
            told = failed_tick(rotations)
            assert (told["rotated"], told["failed"]) == (4, 1)
            assert told["failures"] == [{"subject": key.key_id, "code": "DELIVERY_FAILED"}]
            assert rotations.tick()["skipped"] == 1, "it waits, and that is no failure"
            for failures, pause in ((1, 60), (2, 120), (3, 240)):
                view = failures_of(rotations, key)
                left = (datetime.fromisoformat(view["retry_at"]) - datetime.now(UTC)).total_seconds()
                assert view["failures"] == failures
                assert pause - 5 < left <= pause
                rotations.retry_now(key)
                assert failed_tick(rotations)["failed"] == 1
        for other in others:
            rotations.assert_rotated_once(other)
        assert rotations.states(key) == {1: "current"}
        assert rotations.api.code_of(key.text) == "VALID"
        rotations.tick_until_done(key)
        rotations.assert_rotated_once(key)
        assert rotations.events(key)["rotation.failed"] == 4

    def test_in_the_middle_it_goes_on_where_it_was(self, rotations: Rotations, slow: tuple[Proxy, Instance]) -> None:
        """Denied from the moment at which it was claimed: the sink can't be written."""
        (proxy, rotator), key = slow, rotations.issue()

        def deny(asked: Asked) -> None:
            if asked.is_write and f"/{key.sink}" in asked.path:
                policy.__enter__()
                proxy.before = lambda _: None

        policy = denied(rotations.deployment, key.sink)
        proxy.before = deny
        assert failed_tick(rotations, rotator.url)["failed"] == 1
        policy.__exit__(None, None, None)
        assert rotations.states(key) == {1: "current", 2: "pending"}
        rotations.tick_until_done(key)
        rotations.assert_rotated_once(key)


class TestGone:
    def test_a_mount_that_vanished_is_told_and_once_back_all_are_rotated(self, rotations: Rotations) -> None:
        keys = rotations.issue_many(3)
        with gone(rotations.deployment):
            told = failed_tick(rotations)
            assert (told["rotated"], told["failed"]) == (0, 3)
            assert {failure["code"] for failure in told["failures"]} == {"DELIVERY_FAILED"}
            assert [rotations.api.code_of(key.text) for key in keys] == ["VALID"] * 3
            reply = rotations.api.rotate(keys[0].key_id)
            assert (reply.status, reply.code) == (503, "DELIVERY_FAILED")
        for key in keys:
            rotations.tick_until_done(key)
        for key in keys:
            rotations.assert_rotated_once(key)

    def test_one_that_was_there_before_gets_its_key_again(self, rotations: Rotations) -> None:
        """The sink begins anew at version 1, and holds nothing."""
        key = rotations.issue(grace_seconds=1, interval_seconds=None)
        rotations.tick_until_done(key)
        with gone(rotations.deployment):
            pass
        assert rotations.in_sink(key) == ""
        time.sleep(1)
        rotations.api.rotate(key.key_id).ok()
        assert rotations.api.validate(rotations.in_sink(key)).ok()["generation"] == 3


@pytest.fixture(scope="module")
def slow(rotations: Rotations) -> Iterator[tuple[Proxy, Instance]]:
    """A rotator whose way to Vault can be made slow."""
    deployment = rotations.deployment
    with proxy_to(deployment.vault.address) as proxy:
        instance = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
        instance.wait()
        yield proxy, instance
        deployment.stop(instance)


class TestSlow:
    def test_within_the_deadline_it_just_takes_longer(self, rotations: Rotations, slow: tuple[Proxy, Instance]) -> None:
        (proxy, rotator), key = slow, rotations.issue()
        with delayed(proxy, f"/{key.sink}", 0.5):
            began_at = time.monotonic()
            assert rotations.tick(rotator.url)["rotated"] == 1
            assert time.monotonic() - began_at > 1.5
        rotations.assert_rotated_once(key)

    def test_beyond_it_it_fails_and_others_do_not(self, rotations: Rotations, slow: tuple[Proxy, Instance]) -> None:
        (proxy, rotator), (key, *others) = slow, rotations.issue_many(4)
        with delayed(proxy, f"/{key.sink}", VAULT_SECONDS + 1):
            told = failed_tick(rotations, rotator.url)
        assert told["failures"] == [{"subject": key.key_id, "code": "DELIVERY_FAILED"}]
        for other in others:
            rotations.assert_rotated_once(other)
        rotations.tick_until_done(key)
        rotations.assert_rotated_once(key)

    def test_a_write_that_arrives_after_its_deadline_is_found_and_gone_on_with(
        self, rotations: Rotations, slow: tuple[Proxy, Instance]
    ) -> None:
        """Its outcome was unknown: it was delivered all the same, and nobody replaces what a consumer may have."""
        (proxy, rotator), key = slow, rotations.issue()

        def arrive_late(asked: Asked) -> None:
            if asked.is_write and f"/{key.sink}" in asked.path:
                time.sleep(VAULT_SECONDS + 0.5)

        proxy.before = arrive_late
        assert failed_tick(rotations, rotator.url)["failed"] == 1
        proxy.before = lambda _: None
        time.sleep(1)
        delivered = rotations.in_sink(key)
        assert rotations.api.code_of(delivered) == "VALID"
        rotations.tick_until_done(key)
        assert rotations.in_sink(key) == delivered
        rotations.assert_rotated_once(key)

    def test_a_tick_ends_before_its_budget_and_says_what_remains(
        self, rotations: Rotations, slow: tuple[Proxy, Instance]
    ) -> None:
        (proxy, rotator), keys = slow, rotations.issue_many(8)
        with delayed(proxy, f"/{rotations.deployment.delivery_mount}/", 0.4):  # three times a rotation
            began_at = time.monotonic()
            told = rotations.tick(rotator.url, budget_seconds=5)
            seconds = time.monotonic() - began_at
        print(f"\n{told['rotated']} rotated in {seconds:.2f} of 5 s, {told['remaining']} remain")
        assert seconds < 7  # all eight would take ten
        assert 2 <= told["rotated"] < 8
        assert told["rotated"] + told["remaining"] == 8
        assert rotations.tick()["rotated"] == told["remaining"]
        for key in keys:
            rotations.assert_rotated_once(key)


class TestSealed:
    @pytest.fixture
    def own(self, own_vault: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Rotations]:
        made = Deployment(own_vault, tmp_path, canary)
        try:
            made.start(*OTHERS)
            yield Rotations(made)
        finally:
            made.stop()

    def test_in_the_middle_of_a_rotation_the_next_tick_ends_it(self, own: Rotations) -> None:
        deployment, keys = own.deployment, own.issue_many(5)
        with proxy_to(deployment.vault.address) as proxy:
            rotator = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
            rotator.wait()

            def seal(asked: Asked) -> None:
                if asked.is_write and f"/{deployment.delivery_mount}/" in asked.path:
                    deployment.root.sys.seal()
                    proxy.before = lambda _: None

            proxy.before = seal
            told = failed_tick(own, rotator.url)
            assert told["rotated"] == 0
            assert 1 <= told["failed"] <= 4
            assert told["failed"] + told["remaining"] == 5
            reply = own.try_tick(rotator.url)
            assert (reply.status, reply.code) == (503, "UNAVAILABLE")
            _unseal(deployment)
            time.sleep(LEASE_SECONDS)
            for key in keys:
                own.assert_sink_alive(key)
                own.tick_until_done(key, rotator.url)
            for key in keys:
                own.assert_rotated_once(key)


def _unseal(deployment: Deployment) -> None:
    unseal_key = json.loads((deployment.vault.folder / "init.json").read_text())["unseal_key"]
    deployment.root.sys.submit_unseal_key(unseal_key)
    while not answers(f"{deployment.vault.address}/v1/sys/health"):
        time.sleep(0.02)
