"""Ticks fired side by side, twice and late: each key is rotated exactly once, and they share the work."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from deployed import FULL, Instance
from rotating import ROTATOR, Rotations, SunkKey

KEYS = 100 if FULL else 20
TICKS = 50
ROTATORS = 3


@pytest.fixture(scope="module")
def rotators(rotations: Rotations) -> Iterator[list[Instance]]:
    deployment = rotations.deployment
    started = [deployment.launch("rotate", **ROTATOR) for _ in range(ROTATORS)]
    for each in started:
        each.wait()
    yield started
    deployment.stop(*started)


def fire(rotations: Rotations, rotators: list[Instance], count: int, **fields: Any) -> list[dict[str, Any]]:
    urls = [rotators[n % len(rotators)].url for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda url: rotations.tick(url, **fields), urls))


def assert_each_rotated_once(rotations: Rotations, keys: list[SunkKey]) -> None:
    for key in keys:
        assert rotations.states(key) == {1: "retiring", 2: "current"}
        assert rotations.api.validate(rotations.in_sink(key)).ok()["generation"] == 2
    told = rotations.told("rotation.promoted")
    assert [told[key.key_id] for key in keys] == [1] * len(keys)


def test_fifty_ticks_side_by_side_rotate_each_key_once(rotations: Rotations, rotators: list[Instance]) -> None:
    keys = rotations.issue_many(KEYS)
    replies = fire(rotations, rotators, TICKS)
    assert sum(reply["rotated"] + reply["resumed"] for reply in replies) == KEYS
    assert {reply["failed"] for reply in replies} == {0}
    assert_each_rotated_once(rotations, keys)
    per_rotator = [sum(reply["rotated"] for reply in replies[n::ROTATORS]) for n in range(ROTATORS)]
    print(f"\n{KEYS} keys, {TICKS} ticks: {per_rotator} by each rotator")
    assert min(per_rotator) > 0, "they share the work"


def test_fired_again_and_late_nothing_is_rotated_twice(rotations: Rotations, rotators: list[Instance]) -> None:
    keys = rotations.issue_many(3)
    fire(rotations, rotators, 2)
    for reply in [rotations.tick(rotators[0].url), *fire(rotations, rotators, 6)]:
        assert (reply["rotated"], reply["resumed"], reply["failed"]) == (0, 0, 0)
    assert_each_rotated_once(rotations, keys)


def test_a_tick_and_its_owner_at_once_rotate_it_once(rotations: Rotations, rotators: list[Instance]) -> None:
    for _ in range(5):
        key = rotations.issue()
        with ThreadPoolExecutor(4) as pool:
            ticks = [pool.submit(rotations.try_tick, each.url) for each in rotators]
            by_hand = pool.submit(rotations.api.rotate, key.key_id, at=rotators[0].url).result()
            assert {tick.result().status for tick in ticks} == {200}
        assert (by_hand.status, by_hand.code) in ((200, "OK"), (409, "ROTATION_IN_PROGRESS"))
        rotations.tick_until_done(key)
        rotations.assert_rotated_once(key)


def test_they_stop_after_as_many_as_asked_for_and_the_next_goes_on(
    rotations: Rotations, rotators: list[Instance]
) -> None:
    keys = rotations.issue_many(7)
    first = rotations.tick(rotators[0].url, max_rotations=3)
    assert (first["rotated"], first["remaining"]) == (3, 4)
    assert rotations.tick(rotators[1].url)["rotated"] == 4
    assert_each_rotated_once(rotations, keys)
