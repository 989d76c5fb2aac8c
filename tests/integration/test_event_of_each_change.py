"""Each change of a key makes its event, on the real OpenBao, and no event holds a secret."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from event_receiver import Receiver, receiving
from keyrail.adapters.vault_usage import VaultUsageLog
from keyrail.domain.decisions import Need
from keyrail.domain.due import USAGE_LAG_SECONDS
from keyrail.domain.key_format import ANY_KEY, ANY_SECRET
from keyrail.operations import import_key, issue_key, revoke_key, rotate, rotate_due, update_key
from keyrail.validation import check_key
from vault_mount import Mount
from vault_world import VaultWorld, vault_world

INTERVAL, GRACE = 86_400, 3600


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as made:
        yield made


@pytest.fixture
def world(mount: Mount, receiver: Receiver) -> Iterator[VaultWorld]:
    with vault_world(mount, K_SINK=receiver.url) as made:
        yield made


def told(receiver: Receiver, world: VaultWorld, key_id: str) -> list[str]:
    """The names of all events so far, in the order of their coming."""
    world.call(rotate_due.OPERATION)
    mine = [each["headers"] for each in receiver.requests() if each["headers"]["ce-subject"] == key_id]
    return [headers["ce-type"].removeprefix("keyrail.") for headers in mine]


def issue(world: VaultWorld, sink: str = "vault:acme/inference/openai", **rotation: Any) -> Any:
    schedule = {"interval_seconds": INTERVAL, "grace_seconds": GRACE, "sink": sink} | rotation
    return world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name="a key", rotation=schedule)


def facts(receiver: Receiver, name: str) -> dict[str, Any]:
    of_name = [each for each in receiver.requests() if each["headers"]["ce-type"] == f"keyrail.{name}"]
    data: dict[str, Any] = json.loads(of_name[-1]["body"])
    return data


def use(world: VaultWorld, key: str) -> None:
    assert check_key(key, Need(tenant="acme"), world.services)
    usage: Any = world.services.usage
    assert isinstance(usage, VaultUsageLog)
    usage.flush()


def test_an_import_is_told(mount: Mount, receiver: Receiver) -> None:
    with vault_world(mount, K_SINK=receiver.url, KEYRAIL_IMPORTED_PREFIXES="sk-") as world:
        fields = {"tenant": "acme", "owner": "ml-team", "name": "from before", "sha256": "0" * 64}
        made = world.call(import_key.OPERATION, **fields)
        assert world.call(import_key.OPERATION, **fields).replayed
        assert set(told(receiver, world, made.key_id)) == {"key.imported"}
        assert len({each["headers"]["ce-id"] for each in receiver.requests()}) == 1
        assert "0" * 64 not in str(receiver.requests())


def test_the_whole_life_of_a_key_is_told_in_order(world: VaultWorld, receiver: Receiver) -> None:
    issued = issue(world)
    expected = ["key.issued", "rotation.staged", "rotation.delivered", "rotation.promoted"]
    world.clock.seconds += INTERVAL
    world.call(rotate_due.OPERATION)
    assert told(receiver, world, issued.key_id) == expected
    world.clock.seconds += 0.5 * GRACE
    use(world, issued.key)  # whose consumer did not pick up the new one
    world.clock.seconds += 0.45 * GRACE
    expected.append("grace.still_used")
    assert told(receiver, world, issued.key_id) == expected
    assert facts(receiver, "grace.still_used")["generation"] == 1
    world.clock.seconds += 0.1 * GRACE
    expected.append("rotation.retired")
    assert told(receiver, world, issued.key_id) == expected
    world.call(update_key.OPERATION, key_id=issued.key_id, owner="another-team")
    world.call(rotate.OPERATION, key_id=issued.key_id)
    world.call(revoke_key.OPERATION, key_id=issued.key_id, reason="no longer needed")
    expected += ["key.updated", "rotation.staged", "rotation.delivered", "rotation.promoted", "key.revoked"]
    assert told(receiver, world, issued.key_id) == expected
    assert facts(receiver, "key.revoked")["reason"] == "no longer needed"
    assert told(receiver, world, issued.key_id) == expected
    ids = receiver.ids()
    assert len(set(ids)) == len(ids)
    times = [each["headers"]["ce-time"] for each in receiver.requests()]
    assert times == sorted(times)
    assert_no_secret(receiver, issued.key)


def test_a_grace_that_silence_ends_early_is_told_then(world: VaultWorld, receiver: Receiver) -> None:
    usage: Any = world.services.usage
    usage._elapsed_seconds = world.clock.elapsed_seconds
    issued = issue(world, silent_seconds=600)
    told(receiver, world, issued.key_id)
    for _ in range(3):
        world.clock.seconds += 500
        use(world, issued.key)
        assert told(receiver, world, issued.key_id)[-1] == "rotation.promoted"
    world.clock.seconds += 600 + USAGE_LAG_SECONDS
    assert told(receiver, world, issued.key_id)[-1] == "rotation.retired"
    decision = check_key(issued.key, Need(tenant="acme"), world.services)
    assert decision.code == "ROTATED_OUT"
    assert world.clock.seconds < GRACE


def test_a_rotation_that_fails_is_told_each_time(world: VaultWorld, receiver: Receiver) -> None:
    issued = issue(world, sink="file:acme/inference/openai")  # there is no folder for files here
    world.clock.seconds += INTERVAL
    reply = world.call(rotate_due.OPERATION)
    assert (reply.failed, reply.http_status) == (1, 503)
    world.clock.seconds += 120
    assert told(receiver, world, issued.key_id).count("rotation.failed") == 2
    failed = facts(receiver, "rotation.failed")
    assert failed["code"] == "DELIVERY_FAILED"
    assert failed["failures"] == 2


def test_a_secret_in_what_an_owner_wrote_is_not_told(world: VaultWorld, receiver: Receiver) -> None:
    issued = world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name="a key")
    token = "hvs." + "Ab1" * 9
    world.call(revoke_key.OPERATION, key_id=issued.key_id, reason=f"found {token} in a log")
    assert told(receiver, world, issued.key_id) == ["key.issued", "key.revoked"]
    assert facts(receiver, "key.revoked")["reason"].startswith("found ")
    assert_no_secret(receiver, issued.key, token)


def assert_no_secret(receiver: Receiver, *secrets: str) -> None:
    text = receiver.file.read_text()
    assert not ANY_KEY.search(text)
    assert not ANY_SECRET.search(text)
    assert not re.search(r"[0-9a-f]{64}", text)  # a digest, or a pepper
    for secret in secrets:
        assert secret not in text
