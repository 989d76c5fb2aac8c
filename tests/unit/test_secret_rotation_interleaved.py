"""keyrail/secret_rotation.py beside others: doubled, late with an old token, with rotations by hand and ticks between.

Whatever the order: the secret never holds a key that is not accepted, nor is one refused that its consumer read there
within a grace. In the end Secrets Manager's next rotation passes.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS
from runners import Runner
from secret_world import SecretWorld

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, KeyrailError
from keyrail.ports import Services

MAX_RUNNERS = 4
KINDS = ("secrets manager", "secrets manager", "the same again", "by hand", "emergency", "tick")
ENDED = (Code.REVOKED, Code.DISABLED)


@pytest.fixture
def runners() -> Iterator[list[Runner]]:
    made: list[Runner] = []
    yield made
    for runner in made:
        runner.kill()


def steps_of(world: SecretWorld, token: str) -> Callable[[Services], object]:
    return lambda services: world.all_steps(token, services)


def assert_passes(world: SecretWorld) -> None:
    """What is left is ended by ticks, or by the next rotation of Secrets Manager, as soon as every grace is over."""
    for _ in range(4):
        if world.secret.pending not in (None, world.secret.current):
            list(world.tries(world.secret.pending))
        world.wait(BEYOND_LEASE_SECONDS)
        world.tick()
        world.wait(GRACE_SECONDS)
        world.tick()
    world.all_steps()
    decision = world.decision(world.secret.key)
    assert decision.generation is not None
    assert (decision.code, decision.generation.state) == (Code.VALID, "current")
    assert "pending" not in world.states().values()


@settings(max_examples=60)
@given(moves=st.lists(st.booleans(), max_size=90))
def test_every_step_twice_at_once_rotates_once(moves: list[bool]) -> None:
    world = SecretWorld.made()
    token = world.secret.begin()
    both = [Runner(world, steps_of(world, token)) for _ in range(2)]
    try:
        for is_second in moves:
            both[is_second].move()
            world.assert_alive()
        for each in both:
            each.finish()
            assert each.error is None or isinstance(each.error, KeyrailError)
    finally:
        for each in both:
            each.kill()
    assert list(world.tries(token))[-1] is None
    world.assert_ended()


STOPPED, OVERTAKEN = range(1, 44, 2), range(0, 44, 5)


@pytest.mark.parametrize("stopped", STOPPED)
def test_one_that_was_stopped_goes_on_in_the_middle_of_the_next(stopped: int, runners: list[Runner]) -> None:
    """Cancelled meanwhile, so that the next one has another token."""
    for overtaken in OVERTAKEN:
        world = SecretWorld.made(grace_seconds=0)
        late = Runner(world, steps_of(world, world.secret.begin()))
        runners.append(late)
        for _ in range(stopped):
            late.move()
        world.secret.cancel()
        following = Runner(world, steps_of(world, world.secret.begin()))
        runners.append(following)
        for runner, count in ((following, overtaken), (late, 60), (following, 60)):
            for _ in range(count):
                runner.move()
                world.assert_alive()
            assert runner.error is None or isinstance(runner.error, KeyrailError)
        assert_passes(world)


def test_what_a_late_one_moved_is_accepted_for_a_grace_before_it_is_replaced(runners: list[Runner]) -> None:
    """It moved AWSCURRENT after the next rotation had begun, and was killed: its consumer may have read that."""
    world = SecretWorld.made()
    late = Runner(world, steps_of(world, world.secret.begin()))
    runners.append(late)
    while late.stands_before != "versions.make_current":
        late.move()
    world.secret.cancel()
    token = world.secret.begin()
    world.step("createSecret", token)
    late.move()
    late.kill()
    seen = world.secret.key
    with pytest.raises(Conflict):
        world.step("finishSecret", token)
    assert world.secret.key == seen
    world.wait(GRACE_SECONDS - 1)
    world.assert_alive()
    assert_passes(world)


@pytest.mark.parametrize(("kind", "stopped"), [*product(("by hand", "emergency"), STOPPED)])
def test_one_that_was_stopped_goes_on_in_the_middle_of_one_by_hand(
    kind: str, stopped: int, runners: list[Runner]
) -> None:
    for overtaken in range(1, 24, 3):
        world = SecretWorld.made()
        late = Runner(world, steps_of(world, world.secret.begin()))
        runners.append(late)
        for _ in range(stopped):
            late.move()
        world.wait(BEYOND_LEASE_SECONDS)
        is_emergency = kind == "emergency"
        following = Runner(world, lambda services: world.rotate(services, is_emergency=is_emergency))  # noqa: B023
        runners.append(following)
        for runner, count in ((following, overtaken), (late, 60), (following, 60)):
            for _ in range(count):
                runner.move()
                world.assert_alive()
            assert runner.error is None or isinstance(runner.error, KeyrailError)
        assert_passes(world)


class SecretRotations(RuleBasedStateMachine):
    @initialize(grace=st.sampled_from([0, 60, GRACE_SECONDS]))
    def begin(self, grace: int) -> None:
        self.world = SecretWorld.made(grace_seconds=grace)
        self.runners: list[Runner] = []
        self.token = self.world.secret.begin()
        self.key, self.count = self.world.secret.key, 0
        self.has_emergency = False
        self.replaced: dict[str, datetime] = {}  # keys that its consumer may still have, until then

    def run_of(self, kind: str) -> Callable[[Services], object]:
        world, name = self.world, f"by hand {self.count}"
        match kind:
            case "tick":
                return world.tick
            case "by hand" | "emergency":
                return lambda services: world.rotate(services, name, is_emergency=kind == "emergency")
            case "secrets manager":
                world.secret.cancel()
                self.token = world.secret.begin()
        return steps_of(world, self.token)

    @precondition(lambda self: len(self.runners) < MAX_RUNNERS)
    @rule(kind=st.sampled_from(KINDS))
    def start(self, kind: str) -> None:
        self.count += 1
        if kind == "emergency":  # from now on keys may end at once
            self.has_emergency, self.replaced = True, {}
        self.runners.append(Runner(self.world, self.run_of(kind)))

    @precondition(lambda self: self.runners)
    @rule(which=st.integers(0, MAX_RUNNERS - 1), steps=st.integers(1, 14))
    def move(self, which: int, steps: int) -> None:
        for _ in range(steps):
            self.runners[which % len(self.runners)].move()
            self.the_secret_holds_no_dead_key()
            self.a_consumer_has_a_grace_to_read_the_next_key()

    @precondition(lambda self: self.runners)
    @rule(which=st.integers(0, MAX_RUNNERS - 1))
    def kill(self, which: int) -> None:
        self.runners.pop(which % len(self.runners)).kill()

    @rule(seconds=st.sampled_from([1, BEYOND_LEASE_SECONDS, BEYOND_LEASE_SECONDS, 61, GRACE_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(state=st.sampled_from(["active", "disabled"]))
    def disable_or_enable(self, state: str) -> None:
        self.world.update(state=state)

    @invariant()
    def the_secret_holds_no_dead_key(self) -> None:
        world = self.world
        assert world.code_of(world.secret.key) in (Code.VALID, *ENDED), (world.states(), world.secret.labels)

    @invariant()
    def a_consumer_has_a_grace_to_read_the_next_key(self) -> None:
        world, now = self.world, self.world.clock.now()
        if world.secret.key != self.key:
            if not self.has_emergency:
                grace_seconds = world.stored().record.rotation.grace_seconds
                self.replaced[self.key] = now + timedelta(seconds=grace_seconds)
            self.key = world.secret.key
        for key, until in self.replaced.items():
            assert now >= until or world.code_of(key) in (Code.VALID, *ENDED), world.states()

    @invariant()
    def no_rotation_promotes_twice(self) -> None:
        ids = [rotation_id for rotation_id, _ in self.world.keys.promotions]
        assert len(set(ids)) == len(ids)

    def teardown(self) -> None:
        for runner in self.runners:
            assert runner.error is None or isinstance(runner.error, KeyrailError), runner.error
            runner.kill()
        if self.runners or self.count:
            self.world.update(state="active")
            assert_passes(self.world)


class TestSecretRotations(SecretRotations.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=150, stateful_step_count=25)
