"""keyrail/rotation.py, cut off around each call of a port: the sink never holds a dead key, and a tick ends it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from builders import key_text
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS, LEASE_SECONDS, Gate, Killed, World

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, DeadlineExceeded, DeliveryFailed, Unavailable
from keyrail.ports import Services

RETRY_SECONDS = 61.0  # beyond the first back-off, and any lease
Run = Callable[[World, Services], Any]


def tick(world: World, services: Services) -> None:
    world.tick(services)


def by_hand(world: World, services: Services) -> None:
    world.rotate(services)


def emergency(world: World, services: Services) -> None:
    world.rotate(services, is_emergency=True)


def due() -> World:
    return World.with_key()


def first_delivery() -> World:
    return World.with_key(is_delivered=False)


def not_due() -> World:
    return World.with_key(next_at=None, interval_seconds=None)


def in_a_grace() -> World:
    world = due()
    world.tick()
    return world


def in_flight() -> World:
    """Somebody delivered it and was killed before he promoted it; his lease is over."""
    world = due()
    cut_off(world, tick, due().calls_of(tick).index("delivery.write"), "after", Killed)
    world.wait(BEYOND_LEASE_SECONDS)
    return world


def in_flight_undelivered() -> World:
    world = due()
    cut_off(world, tick, due().calls_of(tick).index("delivery.write"), "before", Killed)
    world.wait(BEYOND_LEASE_SECONDS)
    return world


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


def cut_off(world: World, run: Run, number: int, moment: str, error: type[BaseException]) -> None:
    """`run`, with `error` before or after its call `number`, counted from 0. Where that is no error for the caller,
    such as in noting a failure, it runs on."""
    gate = Gate()

    def strike(call: int, name: str) -> None:
        if call == number + 1:
            raise error("cut off")

    setattr(gate, moment, strike)
    try:
        run(world, world.services(gate))
    except (Killed, Unavailable, DeadlineExceeded, Conflict):
        return


def assert_the_sink_is_alive(world: World) -> None:
    key = world.in_sink()
    assert key == "" or world.code_of(key) is Code.VALID


def assert_ended(world: World) -> None:
    """One is current, the sink holds it, every promotion is told once, and nobody has anything left to do."""
    decision = world.decision(world.in_sink())
    assert decision.code is Code.VALID
    assert decision.generation is not None
    assert decision.generation.state == "current"
    assert "pending" not in world.states().values()
    told = [event["generation"] for event in world.events("rotation.promoted")]
    assert told == [n for _, n in world.keys.promotions]
    assert len({rotation_id for rotation_id, _ in world.keys.promotions}) == len(told)
    version = world.stored().version
    world.tick()
    assert world.stored().version == version
    assert world.due.due(world.clock.now()) == []


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


class TestWhatFails:
    @pytest.mark.parametrize("key", [key_text(9), key_text(1), "", "no key at all"])
    def test_a_sink_that_gives_back_something_else(self, key: str) -> None:
        world = due()
        gate = Gate()

        def spoil(call: int, name: str) -> None:
            if name == "delivery.write":
                assert world.delivery.write(world.sink, key, "", 9, 2)

        gate.after = spoil
        reply = world.tick(world.services(gate))
        assert [(each.code, reply.failed, reply.http_status) for each in reply.failures] == [
            ("DELIVERY_FAILED", 1, 503)
        ]
        assert world.stored().record.rotation.failures == 1
        assert world.keys.promotions == []

    def test_each_failure_is_told_and_the_pause_grows(self) -> None:
        world = due()
        for failures in range(1, 9):
            gate = Gate()
            gate.before = fail_at("delivery.read", DeliveryFailed)
            assert world.tick(world.services(gate)).failed == 1
            rotation = world.stored().record.rotation
            assert (rotation.failures, rotation.step) == (failures, None)
            assert rotation.retry_at is not None
            pause = (rotation.retry_at - world.clock.now()).total_seconds()
            assert pause == min(60 * 2 ** (failures - 1), 3600)
            world.wait(pause - 1)
            assert world.tick().skipped == 1
            world.wait(1)
        assert [event["failures"] for event in world.events("rotation.failed")] == [*range(1, 9)]
        assert world.tick().rotated == 1
        assert world.stored().record.rotation.failures == 0

    def test_a_failure_after_somebody_took_over_is_not_noted(self) -> None:
        world = due()
        gate = Gate()

        def overtake(call: int, name: str) -> None:
            if name == "delivery.write":
                world.wait(BEYOND_LEASE_SECONDS)
                world.tick()
                raise DeliveryFailed("too late")

        gate.before = overtake
        assert world.tick(world.services(gate)).failed == 1
        assert world.stored().record.rotation.failures == 0
        assert len(world.keys.promotions) == 1

    def test_nothing_is_asked_of_the_sink_while_somebody_else_is_at_it(self) -> None:
        world = due()
        cut_off(world, tick, due().calls_of(tick).index("delivery.write"), "after", Killed)
        gate = Gate()
        with pytest.raises(Conflict) as refusal:
            world.rotate(world.services(gate))
        assert refusal.value.code == "ROTATION_IN_PROGRESS"
        assert gate.calls == ["keys.find"]

    @pytest.mark.parametrize("change", [{"state": "disabled"}, {"scopes": ("a:b",)}, {"labels": {"a": "b"}}])
    @pytest.mark.parametrize("at", ["delivery.write", "delivery.read", "due.add"])
    def test_no_update_in_the_middle_is_lost(self, at: str, change: dict[str, Any]) -> None:
        world = due()
        gate = Gate()

        def update(call: int, name: str) -> None:
            if name == at and "keys.replace" in gate.calls:
                gate.before = lambda *_: None
                world.change(**change)

        gate.before = update
        assert world.tick(world.services(gate)).rotated == 1
        record = world.stored().record
        assert {name: getattr(record, name) for name in change} == change
        assert world.states() == {1: "retiring", 2: "current"}

    @pytest.mark.parametrize("end", ["revoke", "expire"])
    @pytest.mark.parametrize("number", range(5, 15))
    def test_a_key_that_ends_in_the_middle_is_no_failure(self, end: str, number: int) -> None:
        world = due()
        world.change(expires_at=world.clock.now() + timedelta(seconds=GRACE_SECONDS))
        gate = Gate()

        def end_it(call: int, name: str) -> None:
            if call == number:
                world.revoke() if end == "revoke" else world.wait(GRACE_SECONDS)

        gate.before = end_it
        reply = world.tick(world.services(gate))
        assert (reply.failed, reply.http_status) == (0, 200)
        world.tick()
        assert world.due.due(world.clock.now()) == [] or end == "expire"

    def test_a_sink_that_was_changed_in_the_middle_gets_its_key_and_the_old_one_lasts_for_a_grace(self) -> None:
        world = due()
        gate = Gate()

        def move(call: int, name: str) -> None:
            if name == "delivery.read" and "delivery.write" in gate.calls:
                gate.before = lambda *_: None
                world.move_sink()

        gate.before = move
        assert world.tick(world.services(gate)).skipped == 1
        left_there = world.in_sink()
        assert world.tick().rotated == 1
        assert world.states() == {1: "retiring", 2: "retiring", 3: "current"}
        assert world.code_of(world.in_sink(world.MOVED)) is Code.VALID
        world.wait(GRACE_SECONDS - LEASE_SECONDS)
        assert [world.code_of(key) for key in (key_text(1), left_there)] == [Code.VALID] * 2
        world.wait(LEASE_SECONDS)
        assert [world.code_of(key) for key in (key_text(1), left_there)] == [Code.ROTATED_OUT] * 2


def fail_at(name: str, error: type[Exception]) -> Callable[[int, str], None]:
    def fail(call: int, called: str) -> None:
        if called == name:
            raise error("the sink is away")

    return fail
