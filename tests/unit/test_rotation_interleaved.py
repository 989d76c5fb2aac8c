"""keyrail/rotation.py, run by several at a time: each makes its next step when the test says so, or never again.

Whatever the order, and whatever the owner does meanwhile: the sink never holds a key that is not accepted, and no
rotation promotes twice. In the end one more tick leaves one current generation, the one in the sink.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import product

import pytest
from builders import HOUR_SECONDS, key_text
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS, SINK, World
from runners import Runner

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, KeyrailError
from keyrail.ports import Services

MAX_RUNNERS = 4
ENDED = (Code.REVOKED, Code.EXPIRED, Code.DISABLED)  # the key as a whole, by its owner
KINDS = ("tick", "by hand", "emergency")


def run_of(world: World, kind: str, rotation_id: str) -> Callable[[Services], object]:
    if kind == "tick":
        return world.tick
    return lambda services: world.rotate(services, rotation_id, is_emergency=kind == "emergency")


def is_alive(world: World) -> bool:
    key = world.in_sink()
    return key == "" or world.code_of(key) is Code.VALID


def assert_alive(world: World) -> None:
    assert is_alive(world), world.states()


def assert_ends_well(world: World) -> None:
    """With one more tick, once every lease and back-off is over."""
    world.wait(HOUR_SECONDS + 1)
    world.tick()
    assert_alive(world)
    decision = world.decision(world.in_sink())
    assert decision.generation is not None
    assert (decision.code, decision.generation.state) == (Code.VALID, "current")
    assert "pending" not in world.states().values()
    ids = [rotation_id for rotation_id, _ in world.keys.promotions]
    assert len(set(ids)) == len(ids)


def moves(runner: Runner, count: int, world: World) -> set[str]:
    """The keys that lay in the sink meanwhile."""
    seen = {world.in_sink()}
    for _ in range(count):
        runner.move()
        assert_alive(world)
        seen.add(world.in_sink())
    return seen - {""}


@pytest.fixture
def runners() -> Iterator[list[Runner]]:
    made: list[Runner] = []
    yield made
    for runner in made:
        runner.kill()


STOPPED = range(5, 20, 1)  # calls after which the first runner is stopped: from reading the sink to the end
OVERTAKEN = (3, 5, 8, 11, 15)


@pytest.mark.parametrize(("first", "second"), [*product(KINDS, KINDS)])
@pytest.mark.parametrize("is_delivered", [True, False], ids=["second key", "first key"])
def test_one_is_stopped_and_goes_on_in_the_middle_of_the_other(
    first: str, second: str, is_delivered: bool, runners: list[Runner]
) -> None:
    """Stopped anywhere for longer than its lease, and let go on anywhere in the other's run."""
    for stopped, overtaken in product(STOPPED, OVERTAKEN):
        world = World.with_key(is_delivered=is_delivered)
        one = Runner(world, run_of(world, first, "first"))
        runners.append(one)
        seen = moves(one, stopped, world)
        world.wait(BEYOND_LEASE_SECONDS)
        other = Runner(world, run_of(world, second, "second"))
        runners.append(other)
        seen |= moves(other, overtaken, world) | moves(one, 40, world) | moves(other, 40, world)
        if "emergency" not in (first, second):
            assert {world.code_of(key) for key in seen} == {Code.VALID}, "a consumer may have any of them"
        for runner in (one, other):
            assert runner.error is None or isinstance(runner.error, Conflict)
        assert_ends_well(world)


def test_nine_are_cut_off_before_they_write_and_the_oldest_goes_on_last(runners: list[Runner]) -> None:
    """As many pending secrets as are kept; the first one's write then comes, and is good."""
    world = World.with_key()
    for _ in range(8):
        runner = Runner(world, world.tick)
        runners.append(runner)
        while runner.stands_before != "delivery.write":
            runner.move()
        world.wait(BEYOND_LEASE_SECONDS)
    moves(runners[0], 40, world)
    assert list(world.states().values()) == ["current"] + ["pending"] * 8
    assert_ends_well(world)
    assert world.states()[2] == "current"


class Rotations(RuleBasedStateMachine):
    @initialize(
        is_delivered=st.booleans(),
        grace=st.sampled_from([0, 60, GRACE_SECONDS]),
        interval=st.sampled_from([None, 2 * HOUR_SECONDS]),
        lifetime=st.sampled_from([None, None, 3 * HOUR_SECONDS]),
    )
    def begin(self, is_delivered: bool, grace: int, interval: int | None, lifetime: int | None) -> None:
        self.world = World.with_key(is_delivered=is_delivered, grace_seconds=grace, interval_seconds=interval)
        if lifetime is not None:
            expires_at = self.world.clock.now() + timedelta(seconds=lifetime)
            self.world.change(expires_at=expires_at, lifetime_seconds=lifetime)
        self.runners: list[Runner] = []
        self.scopes = self.world.stored().record.scopes
        self.state = "active"
        self.sink = SINK
        self.left_until: datetime | None = None  # what the sink before may hold is accepted until then
        self.is_revoked = False
        self.has_emergency = False
        self.replaced: dict[str, datetime] = {}  # keys that lay in the sink: a consumer may have them until then
        self.in_sink = self.world.in_sink()
        self.count = 0

    @precondition(lambda self: len(self.runners) < MAX_RUNNERS)
    @rule(kind=st.sampled_from(KINDS))
    def start(self, kind: str) -> None:
        self.count += 1
        if kind == "emergency":  # from now on keys may end at once
            self.left_until, self.replaced = None, {}
            self.has_emergency = True
        self.runners.append(Runner(self.world, run_of(self.world, kind, f"rotation {self.count}")))

    @precondition(lambda self: self.runners)
    @rule(which=st.integers(0, MAX_RUNNERS - 1), steps=st.integers(1, 9))
    def move(self, which: int, steps: int) -> None:
        for _ in range(steps):
            self.runners[which % len(self.runners)].move()
            self.the_sink_holds_no_dead_key()
            self.a_consumer_has_a_grace_to_pick_up_the_next_key()

    @precondition(lambda self: self.runners)
    @rule(which=st.integers(0, MAX_RUNNERS - 1))
    def kill(self, which: int) -> None:
        self.runners.pop(which % len(self.runners)).kill()

    @rule(seconds=st.sampled_from([1, BEYOND_LEASE_SECONDS, BEYOND_LEASE_SECONDS, 61, HOUR_SECONDS, 3 * HOUR_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: not self.is_revoked)
    @rule(state=st.sampled_from(["active", "disabled"]))
    def disable_or_enable(self, state: str) -> None:
        self.world.update(state=state)
        self.state = state

    @precondition(lambda self: not self.is_revoked)
    @rule(scope=st.sampled_from(["ml:infer", "data:read", "data:write"]))
    def change_scopes(self, scope: str) -> None:
        self.world.update(scopes=[scope])
        self.scopes = (scope,)

    @precondition(lambda self: not self.is_revoked and self.sink == SINK)
    @rule()
    def move_the_sink(self) -> None:
        grace = self.world.stored().record.rotation.grace_seconds
        self.world.move_sink()
        self.sink, self.in_sink = World.MOVED, ""
        self.left_until = self.world.clock.now() + timedelta(seconds=grace)

    @rule()
    def revoke(self) -> None:
        self.world.revoke()
        self.is_revoked = True

    @invariant()
    def the_sink_holds_no_dead_key(self) -> None:
        assert self.code_in(self.sink) in ("", Code.VALID, *ENDED), self.world.states()
        if self.left_until is not None and self.world.clock.now() < self.left_until:
            assert self.code_in(SINK) in ("", Code.VALID, *ENDED), self.world.states()

    @invariant()
    def a_consumer_has_a_grace_to_pick_up_the_next_key(self) -> None:
        """Also one that read a key which was never promoted."""
        world, now = self.world, self.world.clock.now()
        record, key = world.stored().record, world.in_sink(self.sink)
        if key != self.in_sink:
            if self.in_sink and not self.has_emergency:
                until = now + timedelta(seconds=record.rotation.grace_seconds)
                self.replaced[self.in_sink] = min(until, record.expires_at or until)
            self.in_sink = key
        for key, until in self.replaced.items():
            assert now >= until or world.code_of(key) in (Code.VALID, *ENDED), world.states()

    @invariant()
    def no_rotation_promotes_twice(self) -> None:
        ids = [rotation_id for rotation_id, _ in self.world.keys.promotions]
        assert len(set(ids)) == len(ids)

    @invariant()
    def nothing_of_the_owners_is_lost(self) -> None:
        record = self.world.stored().record
        assert (record.scopes, record.state, record.rotation.sink) == (self.scopes, self.state, self.sink)

    def code_in(self, sink: str) -> str:
        key = self.world.in_sink(sink)
        return self.world.code_of(key) if key else ""

    def teardown(self) -> None:
        for runner in self.runners:
            assert runner.error is None or isinstance(runner.error, KeyrailError), runner.error
            runner.kill()
        if not self.is_revoked and self.world.stored().state_at(self.world.clock.now()) == "disabled":
            self.disable_or_enable("active")
        if self.world.stored().state_at(self.world.clock.now()) == "active":
            self.the_next_tick_ends_it()

    def the_next_tick_ends_it(self) -> None:
        world = self.world
        for _ in range(3):  # a lease, or a grace with what is due waiting behind it
            world.wait(BEYOND_LEASE_SECONDS)
            world.tick()
            self.the_sink_holds_no_dead_key()
        if world.stored().state_at(world.clock.now()) != "active":
            return
        assert "pending" not in world.states().values()
        decision = world.decision(world.in_sink(self.sink))
        if decision.generation is not None:
            assert decision.generation.state == "current"


class TestRotations(Rotations.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=150, stateful_step_count=25)


def test_the_key_that_began_in_the_sink_is_the_first() -> None:
    assert World.with_key().in_sink() == key_text(1)
