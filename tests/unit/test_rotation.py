"""keyrail/rotation.py, cut off around each call of a port: the sink never holds a dead key, and a tick ends it."""

from collections.abc import Callable
from typing import Any

import pytest
from builders import key_text
from cut_off import (
    RETRY_SECONDS,
    Run,
    assert_ended,
    assert_the_sink_is_alive,
    by_hand,
    cut_off,
    due,
    emergency,
    first_delivery,
    in_a_grace,
    in_flight,
    in_flight_undelivered,
    not_due,
    tick,
)
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS, World
from runners import Killed

from keyrail.domain.decisions import Code
from keyrail.domain.errors import DeadlineExceeded, Unavailable

SCENARIOS: dict[str, tuple[Callable[[], World], Run]] = {
    "a tick": (due, tick),
    "a first delivery": (first_delivery, tick),
    "by hand": (not_due, by_hand),
    "by hand where a tick is due": (due, by_hand),
    "an emergency in a grace": (in_a_grace, emergency),
    "a resumed one": (in_flight, tick),
    "a resumed one whose secret was lost": (in_flight_undelivered, tick),
    "an emergency over one in flight": (in_flight, emergency),
}
ERRORS = {"killed": Killed, "unavailable": Unavailable, "unknown": DeadlineExceeded}


def boundaries() -> list[Any]:
    """Each call of each scenario, before and after, with each way to be cut off there."""
    return [
        pytest.param(name, number, moment, error, id=f"{name}: {kind} {moment} {number} {call}")
        for name, (make, run) in SCENARIOS.items()
        for number, call in enumerate(make().calls_of(run))
        for moment in ("before", "after")
        for kind, error in ERRORS.items()
    ]


@pytest.mark.parametrize(("name", "number", "moment", "error"), boundaries())
def test_cut_off_anywhere_the_sink_is_alive_and_the_next_tick_ends_it(
    name: str, number: int, moment: str, error: type[BaseException]
) -> None:
    make, run = SCENARIOS[name]
    world = make()
    before = len(world.keys.promotions)
    cut_off(world, run, number, moment, error)
    assert_the_sink_is_alive(world)
    was_begun = world.stored().record.rotation.step == "staged" or len(world.keys.promotions) > before
    world.wait(RETRY_SECONDS)
    world.tick()
    assert_the_sink_is_alive(world)
    if name.startswith("by hand") and not was_begun:  # nothing was written; a tick only comes where it is due
        assert len(world.keys.promotions) - before == (0 if make is not_due else 1)
        return
    if not was_begun and name.startswith("an emergency"):
        return
    assert len(world.keys.promotions) == before + 1
    assert_ended(world)


@pytest.mark.parametrize(("name", "number", "moment", "error"), boundaries()[::7])
def test_cut_off_again_at_the_same_place_it_ends_all_the_same(
    name: str, number: int, moment: str, error: type[BaseException]
) -> None:
    make, run = SCENARIOS[name]
    world = make()
    for _ in range(3):
        cut_off(world, run, number, moment, error)
        assert_the_sink_is_alive(world)
        world.wait(8 * RETRY_SECONDS)
    world.tick()
    assert_the_sink_is_alive(world)
    if "pending" not in world.states().values() and world.in_sink():
        assert world.code_of(world.in_sink()) is Code.VALID


class TestWhatIsDone:
    def test_the_sink_holds_the_new_key_and_both_are_accepted(self) -> None:
        world = due()
        reply = world.tick()
        assert (reply.rotated, reply.http_status) == (1, 200)
        assert world.states() == {1: "retiring", 2: "current"}
        assert world.decision(world.in_sink()).generation == world.stored().record.generations[1]
        assert world.code_of(key_text(1)) is Code.VALID

    def test_each_step_is_told_once(self) -> None:
        world = due()
        world.tick()
        for step in ("staged", "delivered", "promoted"):
            assert [event["generation"] for event in world.events(f"rotation.{step}")] == [2]

    def test_a_repeat_is_answered_as_done(self) -> None:
        world = not_due()
        first = world.rotate(rotation_id="intent")
        assert world.rotate(rotation_id="intent") == first
        world.wait(GRACE_SECONDS)
        assert world.rotate(rotation_id="intent").version == first.version
        assert len(world.keys.promotions) == len(world.events("rotation.promoted")) == 1

    def test_a_repeat_of_an_emergency_ends_a_grace_that_is_there(self) -> None:
        world = not_due()
        world.rotate(rotation_id="intent")
        world.rotate(rotation_id="intent", is_emergency=True)
        assert world.states() == {1: "retired", 2: "retired", 3: "current"}

    def test_an_emergency_ends_every_older_key_once_the_sink_holds_the_new_one(self) -> None:
        world = in_a_grace()
        second = world.in_sink()
        world.rotate(is_emergency=True)
        assert [world.code_of(key) for key in (key_text(1), second)] == [Code.ROTATED_OUT] * 2
        assert world.code_of(world.in_sink()) is Code.VALID

    def test_an_emergency_waits_for_nobody_and_accepts_no_key_but_its_own(self) -> None:
        world = not_due()
        cut_off(world, by_hand, not_due().calls_of(by_hand).index("delivery.write"), "after", Killed)
        second = world.in_sink()
        world.rotate(rotation_id="leaked", is_emergency=True)
        assert world.states() == {1: "retired", 2: "retired", 3: "current"}
        assert [world.code_of(key) for key in (key_text(1), second)] == [Code.ROTATED_OUT] * 2
        assert world.code_of(world.in_sink()) is Code.VALID

    def test_a_key_without_grace_is_no_emergency_each_time(self) -> None:
        """Its ticks go on with what was delivered, as others do."""
        world = World.with_key(grace_seconds=0)
        cut_off(world, tick, due().calls_of(tick).index("delivery.write"), "after", Killed)
        second = world.in_sink()
        world.wait(BEYOND_LEASE_SECONDS)
        assert world.tick().resumed == 1
        assert world.in_sink() == second
        assert world.states() == {1: "retired", 2: "current"}

    def test_a_tick_that_ends_an_emergency_gives_no_grace(self) -> None:
        world = not_due()
        cut_off(world, emergency, not_due().calls_of(emergency).index("delivery.write"), "after", Killed)
        assert world.code_of(key_text(1)) is Code.VALID
        world.wait(BEYOND_LEASE_SECONDS)
        assert world.tick().resumed == 1
        assert world.code_of(key_text(1)) is Code.ROTATED_OUT

    def test_a_disabled_key_is_rotated_by_hand_and_stays_disabled(self) -> None:
        world = not_due()
        world.change(state="disabled")
        world.rotate()
        assert world.code_of(world.in_sink()) is Code.DISABLED

    def test_a_sink_that_was_deleted_by_hand_is_written_again(self) -> None:
        world = due()
        assert world.delivery.write(world.sink, "", "", 0, 1)
        world.tick()
        assert_ended(world)

    def test_a_key_of_another_that_lies_there_is_written_over(self) -> None:
        world = due()
        assert world.delivery.write(world.sink, key_text(9, "0Keyrail0OtherId"), "0Keyrail0OtherId", 9, 1)
        world.tick()
        assert_ended(world)
