"""keyrail/rotation.py where a sink fails, or the owner changes or ends the key in the middle."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from builders import key_text
from cut_off import RETRY_SECONDS, cut_off, due, tick
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS, LEASE_SECONDS
from runners import Gate, Killed

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, DeliveryFailed


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
        world.wait(RETRY_SECONDS)
        world.tick()
        assert world.due.due(world.clock.now()) == []

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
