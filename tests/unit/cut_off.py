"""A key in each situation from which a rotation may start, the ways to start one, and to cut it off at any call."""

from collections.abc import Callable
from typing import Any

from interleaving import BEYOND_LEASE_SECONDS, World
from runners import Gate, Killed

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, DeadlineExceeded, Unavailable
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
    version = world.stored().version
    world.wait(RETRY_SECONDS)  # no hint is young any more
    world.tick()
    assert world.stored().version == version
    told = [event["generation"] for event in world.events("rotation.promoted")]
    assert told == [n for _, n in world.keys.promotions]
    assert len({rotation_id for rotation_id, _ in world.keys.promotions}) == len(told)
    assert world.due.due(world.clock.now()) == []
