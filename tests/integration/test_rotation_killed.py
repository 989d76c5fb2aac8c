"""kill -9 of a rotator right before and right after each change that a rotation makes in Vault.

Whatever had been done by then: the sink never holds a dead key, and the next ticks bring it to one end.
"""

import random
import threading
import time
from collections.abc import Iterator

import pytest
from deployed import FULL
from rotating import LEASE_SECONDS, ROTATOR, Rotations, Rotator
from vault_proxy import proxy_to

# claim, told; delivered, told; three hints; promoted, fed, told; the hint that led here is removed
CHANGES = ["keys", "outbox", "sink", "outbox", "due", "due", "due", "keys", "feed", "outbox", "-due"]
MOMENTS = [(number, when) for number in range(1, len(CHANGES) + 1) for when in ("before", "after")]
SAMPLE = [(1, "after"), (3, "before"), (3, "after"), (8, "before"), (8, "after"), (10, "before"), (11, "before")]
KILLS = 12 if FULL else 4
POLL_SECONDS = 0.02


@pytest.fixture(scope="module")
def rotator(rotations: Rotations) -> Iterator[Rotator]:
    deployment = rotations.deployment
    with proxy_to(deployment.vault.address) as proxy:
        instance = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
        instance.wait()
        yield Rotator(deployment, proxy, instance)
        deployment.stop(instance)


def test_the_changes_of_a_rotation_are_those_below(rotations: Rotations, rotator: Rotator) -> None:
    key = rotations.issue()
    assert rotator.changes_of(lambda: rotations.try_tick(rotator.url)) == CHANGES
    rotations.assert_rotated_once(key)


@pytest.mark.parametrize(("number", "when"), MOMENTS if FULL else SAMPLE)
def test_killed_around_a_change_of_a_tick_the_next_ones_end_it(
    rotations: Rotations, rotator: Rotator, number: int, when: str
) -> None:
    key = rotations.issue()
    assert rotator.dies(number, when, lambda: rotations.try_tick(rotator.url))
    rotations.assert_sink_alive(key)
    rotator.lives_again()
    rotations.tick_until_done(key)
    rotations.assert_rotated_once(key)
    assert rotations.api.get(key.key_id).ok()["rotation"]["failures"] == 0


@pytest.mark.parametrize(("number", "when"), MOMENTS if FULL else [(4, "before"), (4, "after")])
def test_killed_in_an_emergency_a_tick_ends_it_without_grace(
    rotations: Rotations, rotator: Rotator, number: int, when: str
) -> None:
    """A hint for whoever must end it comes first, then the claim."""
    key = rotations.issue(interval_seconds=None)
    rotations.tick_until_done(key)
    leaked = rotations.in_sink(key)
    rotator.dies(number, when, lambda: rotator.api.rotate(key.key_id, grace_seconds=0))
    rotations.assert_sink_alive(key)
    rotator.lives_again()
    was_begun = rotations.record(key)["rotation"]["step"] == "staged" or rotations.in_sink(key) != leaked
    time.sleep(LEASE_SECONDS)
    rotations.tick_until_done(key)
    rotations.assert_sink_alive(key)
    codes = [rotations.api.code_of(old) for old in (key.text, leaked)]
    assert codes == (["ROTATED_OUT", "ROTATED_OUT"] if was_begun else ["VALID", "VALID"])


def test_a_consumer_that_reads_its_sink_again_when_refused_is_never_refused_twice(
    rotations: Rotations, rotator: Rotator
) -> None:
    """While its key is rotated without pause, by a rotator that is killed at a random change each time."""
    key = rotations.issue(grace_seconds=1, interval_seconds=None)
    rotations.tick_until_done(key)
    ended, uses, refused_once, refused_twice = threading.Event(), 0, 0, 0
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)

    def consume() -> None:
        nonlocal uses, refused_once, refused_twice
        held = rotations.in_sink(key)
        while not ended.is_set():
            uses += 1
            if rotations.api.code_of(held) != "VALID":
                refused_once += 1
                held = rotations.in_sink(key)
                refused_twice += rotations.api.code_of(held) != "VALID"
            time.sleep(POLL_SECONDS)

    consumer = threading.Thread(target=consume)
    consumer.start()
    try:
        for _ in range(KILLS):
            number, when = chance.choice(MOMENTS)
            rotator.dies(number, when, lambda: rotator.api.rotate(key.key_id))
            rotator.lives_again()
            time.sleep(LEASE_SECONDS)
            rotations.tick_until_done(key)
    finally:
        ended.set()
        consumer.join()
    print(f"\nseed {seed}: {uses} uses, {refused_once} refused once, {refused_twice} refused twice")
    assert refused_twice == 0
    assert uses > KILLS
