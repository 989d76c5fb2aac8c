"""An emergency reaches every warm instance in about a second; the owner sees who still uses an old secret; and no
validation writes anything to Vault."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from rotating import Rotations, SunkKey

from keyrail.adapters.batched_usage import BATCH_SECONDS

FRESH_SECONDS = 1.5  # a poll of the feed, and a busy machine


def test_an_emergency_ends_every_older_secret_in_about_a_second(rotations: Rotations) -> None:
    key = rotations.issue(interval_seconds=None)
    rotations.tick_until_done(key)
    second = rotations.in_sink(key)
    for warm in (key.text, second):
        assert rotations.api.code_of(warm) == "VALID"
    rotations.api.rotate(key.key_id, grace_seconds=0).ok()
    done_at = time.monotonic()
    third = rotations.in_sink(key)
    assert rotations.api.code_of(third) == "VALID"
    while [rotations.api.code_of(old) for old in (key.text, second)] != ["ROTATED_OUT"] * 2:
        assert time.monotonic() - done_at < FRESH_SECONDS
        time.sleep(0.02)
    print(f"\nrefused {time.monotonic() - done_at:.2f} s after the emergency was answered")


def test_the_owner_sees_who_still_uses_which_secret(rotations: Rotations) -> None:
    key = rotations.issue()
    rotations.tick_until_done(key)
    began_at = datetime.now(UTC)
    for used in (key.text, rotations.in_sink(key)):
        assert rotations.api.code_of(used) == "VALID"
    generations = _once_logged(rotations, key)
    for each in generations:
        assert began_at <= datetime.fromisoformat(each["last_used_at"]) <= datetime.now(UTC)


def test_a_key_that_calls_keyrail_itself_is_in_use_too(rotations: Rotations) -> None:
    """Whichever function it calls: an end of the grace by silence must not cut it off."""
    key = rotations.issue()
    reply = rotations.api.call(
        "get_key", "GET", f"/v1/keys/{key.key_id}", headers={"Authorization": f"Bearer {key.text}"}
    )
    assert reply.status == 200
    assert _once_logged(rotations, key)[0]["n"] == 1


def test_validating_writes_nothing_on_its_way_and_a_key_at_most_once_a_minute_beside_it(rotations: Rotations) -> None:
    key = rotations.issue()
    rotations.tick_until_done(key)
    new = rotations.in_sink(key)
    before = len(_written(rotations))
    ends_at, count = time.monotonic() + 2.5 * BATCH_SECONDS, 0
    while time.monotonic() < ends_at:
        assert [rotations.api.code_of(each) for each in (key.text, new)] == ["VALID"] * 2
        count += 2
        time.sleep(0.02)
    written = _written(rotations)[before:]
    mine = [path for path in written if path.endswith(key.key_id)]
    print(f"\n{count} validations, {len(mine)} write of when the key was used")
    assert mine == [f"data/usage/{key.key_id[:2]}/{key.key_id}"]
    assert {path.split("/")[1] for path in written} == {"usage"}


def _once_logged(rotations: Rotations, key: SunkKey) -> list[dict[str, Any]]:
    ends_at = time.monotonic() + BATCH_SECONDS + 5
    while True:
        generations: list[dict[str, Any]] = rotations.api.get(key.key_id).ok()["generations"]
        if all("last_used_at" in each for each in generations):
            return generations
        assert time.monotonic() < ends_at
        time.sleep(0.5)


def _written(rotations: Rotations) -> list[str]:
    """What was created, updated or deleted in the mount, by Vault's own audit log."""
    deployment = rotations.deployment
    assert deployment.vault.audit_log is not None
    lines = [line for line in deployment.vault.audit_log.read_text().splitlines() if f'"{deployment.mount}/' in line]
    entries = [json.loads(line) for line in lines]
    return [
        entry["request"]["path"].removeprefix(f"{deployment.mount}/")
        for entry in entries
        if entry["type"] == "request" and entry["request"]["operation"] in ("create", "update", "delete", "patch")
    ]
