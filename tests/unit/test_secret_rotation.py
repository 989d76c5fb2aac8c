"""keyrail/secret_rotation.py: what each step leaves; also twice, out of turn, and cut off around a call of a port."""

from dataclasses import replace
from typing import Any

import pytest
from builders import key_text
from interleaving import BEYOND_LEASE_SECONDS, GRACE_SECONDS
from runners import Gate, Killed
from secret_world import ARN, SECRETS_MANAGER, STEPS, SecretWorld

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, DeadlineExceeded, InvalidArgument, KeyrailError, NotFound, Unavailable
from keyrail.domain.key_fields import RotationField
from keyrail.domain.lifecycle import MAX_PENDING
from keyrail.rotation_ports import SecretVersion
from keyrail.secret_rotation import run_step
from keyrail.secret_step import SecretStep, Step

ERRORS = {"killed": Killed, "unavailable": Unavailable, "unknown": DeadlineExceeded}
RETRIED_SECONDS = 3.0  # well within any lease


def begun(*done: Step) -> tuple[SecretWorld, str]:
    """A rotation after these steps."""
    world = SecretWorld.made()
    token = world.secret.begin()
    for step in done:
        world.step(step, token)
    return world, token


def before(step: Step) -> tuple[SecretWorld, str]:
    return begun(*STEPS[: STEPS.index(step)])


class TestWhatIsDone:
    def test_four_steps_bring_a_new_key_into_the_secret(self) -> None:
        world, token = begun(*STEPS)
        world.assert_ended()
        assert world.secret.current == token
        assert world.states() == {1: "retiring", 2: "current"}
        assert world.code_of(key_text(1)) is Code.VALID

    def test_each_step_is_told_once(self) -> None:
        world, _ = begun(*STEPS)
        for step in ("staged", "delivered", "promoted"):
            assert [event["generation"] for event in world.events(f"rotation.{step}")] == [2]
        assert {event["actor"] for event in world.events("rotation.promoted")} == {"iam:secretsmanager"}

    def test_before_the_last_one_the_consumer_keeps_its_key(self) -> None:
        for n in range(4):
            world, _ = begun(*STEPS[:n])
            assert world.secret.key == key_text(1)
            world.assert_alive()

    @pytest.mark.parametrize("step", STEPS)
    def test_a_step_again_changes_nothing(self, step: Step) -> None:
        world, token = before(step)
        first, writes = world.step(step, token), world.keys.writes
        assert world.step(step, token) == first
        assert (world.keys.writes, len(world.keys.promotions)) == (writes, len(world.events("rotation.promoted")))

    @pytest.mark.parametrize("step", STEPS)
    def test_any_step_behind_the_last_one_is_answered_as_done(self, step: Step) -> None:
        world, token = begun(*STEPS)
        writes = world.keys.writes
        assert world.step(step, token).generation == 2
        assert world.keys.writes == writes
        world.assert_ended()

    def test_a_step_out_of_turn_fails_and_changes_nothing(self) -> None:
        for step in STEPS[1:]:
            world, token = begun()
            with pytest.raises(Conflict):
                world.step(step, token)
            assert (world.secret.key, world.states()) == (key_text(1), {1: "current"})

    def test_the_next_rotation_waits_for_the_grace_of_the_last_one(self) -> None:
        world, _ = begun(*STEPS)
        token = world.secret.begin()
        with pytest.raises(Conflict) as refused:
            world.step("createSecret", token)
        assert refused.value.code == "ROTATION_IN_PROGRESS"
        world.wait(GRACE_SECONDS)
        world.all_steps(token)
        world.assert_ended(promotions=2)

    def test_a_secret_that_holds_no_key_yet_but_names_one_is_filled(self) -> None:
        """So nobody need ever put the first one there."""
        world = SecretWorld.made(next_at=None)
        world.secret.fill("", world.stored().record.key_id)
        world.all_steps()
        world.assert_ended()

    @pytest.mark.parametrize("key", [key_text(1), ""], ids=["a key", "no key yet"])
    def test_a_tryout_of_the_configuration_passes_and_changes_nothing(self, key: str) -> None:
        """RotateSecret with RotateImmediately false: testSecret alone, with a version that repeats the current one."""
        world = SecretWorld.made()
        world.secret.fill(key, world.stored().record.key_id)
        token, writes = world.secret.begin(), world.keys.writes
        world.secret.values[token] = world.secret.values[world.secret.current or ""]
        assert world.step("testSecret", token).generation == 1
        assert world.keys.writes == writes
        for step in ("createSecret", "finishSecret"):
            with pytest.raises(KeyrailError):
                world.step(step, token)
        assert world.secret.key == key

    @pytest.mark.parametrize("key", [key_text(7), "rubbish", ""], ids=["unknown", "rubbish", "none"])
    def test_a_version_that_does_not_validate_fails_the_test(self, key: str) -> None:
        world, token = begun()
        world.secret.values[token] = SecretVersion(key, world.stored().record.key_id)
        assert refused(world, token, "testSecret").code == "CONCURRENT_CHANGE"

    def test_a_disabled_key_is_rotated_as_by_hand(self) -> None:
        world = SecretWorld.made()
        world.update(state="disabled")
        world.all_steps()
        assert world.code_of(world.secret.key) is Code.DISABLED
        world.update(state="active")
        world.assert_ended()

    def test_a_lifetime_begins_anew(self) -> None:
        world = SecretWorld.made()
        world.change(lifetime_seconds=7200)
        world.all_steps()
        expires_at = world.stored().record.expires_at
        assert expires_at is not None
        assert (expires_at - world.clock.now()).total_seconds() == 7200


# -- cut off ----------------------------------------------------------------------------------------------------------


def boundaries() -> list[Any]:
    """Each call of each step, before and after, with each way to be cut off there."""
    found = []
    for step in STEPS:
        world, token = before(step)
        gate = Gate()
        world.step(step, token, world.services(gate))
        found += [
            pytest.param(step, number, moment, error, id=f"{step}: {kind} {moment} {number} {call}")
            for number, call in enumerate(gate.calls)
            for moment in ("before", "after")
            for kind, error in ERRORS.items()
        ]
    return found


def cut_off(world: SecretWorld, step: Step, token: str, number: int, moment: str, error: type[BaseException]) -> None:
    gate = Gate()

    def strike(call: int, name: str) -> None:
        if call == number + 1:
            raise error("cut off")

    setattr(gate, moment, strike)
    try:
        world.step(step, token, world.services(gate))
    except (Killed, KeyrailError):
        return


@pytest.mark.parametrize(("step", "number", "moment", "error"), boundaries())
def test_cut_off_anywhere_the_secret_is_alive_and_the_next_try_ends_it(
    step: Step, number: int, moment: str, error: type[BaseException]
) -> None:
    world, token = before(step)
    cut_off(world, step, token, number, moment, error)
    world.assert_alive()
    world.wait(RETRIED_SECONDS)
    assert [*world.tries(token)] == [None]
    world.assert_ended()
    assert world.code_of(key_text(1)) is Code.VALID, "a consumer that has not read it yet"
    assert world.stored().record.rotation.failures == 0


@pytest.mark.parametrize(("step", "number", "moment", "error"), boundaries()[::5])
def test_cut_off_and_cancelled_the_next_rotation_ends_it(
    step: Step, number: int, moment: str, error: type[BaseException]
) -> None:
    """With another token: what the first one left is cleaned up."""
    world, token = before(step)
    cut_off(world, step, token, number, moment, error)
    world.secret.cancel()
    world.wait(RETRIED_SECONDS)
    was_moved = world.secret.current == token
    token = world.secret.begin()
    for _ in range(2):  # where AWSCURRENT was moved already, that one is ended first, and has its grace
        world.assert_alive()
        if world.secret.pending == token:
            assert [*world.tries(token)]
        world.wait(GRACE_SECONDS / 2)
        world.tick()  # tells what was not told
        world.wait(GRACE_SECONDS / 2)
    world.assert_alive()
    world.assert_ended(promotions=2 if was_moved else 1)


def test_a_value_that_is_not_to_be_read_yet_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another try wrote it, and AWS has not told everybody yet."""
    world, token = begun("createSecret")
    with monkeypatch.context() as patch:
        patch.setattr(
            world.secret, "read", lambda _, version: None if version == token else world.secret.values[version]
        )
        for step in STEPS:
            with pytest.raises(KeyrailError):
                world.step(step, token)
    assert world.secret.pending == token
    assert [*world.tries(token)] == [None]
    world.assert_ended()


def test_more_tries_than_pending_ones_are_kept_before_one_is_written() -> None:
    """The oldest are given up: nobody ever had them."""
    world, token = begun()
    gate = Gate()
    gate.before = lambda _, name: (_ for _ in ()).throw(Killed) if name == "versions.put" else None
    for _ in range(MAX_PENDING + 2):
        with pytest.raises(Killed):
            world.step("createSecret", token, world.services(gate))
        world.wait(RETRIED_SECONDS)
    assert list(world.states().values()).count("pending") == MAX_PENDING
    assert [*world.tries(token)] == [None]
    world.assert_ended()


class TestAwsAway:
    @pytest.mark.parametrize("step", STEPS)
    def test_a_failure_is_noted_and_told_where_the_store_can_take_it(self, step: Step) -> None:
        world, token = before(step)
        gate = Gate()
        world.step(step, token, world.services(gate))
        last = max(number for number, call in enumerate(gate.calls) if call.startswith(("versions", "peppers")))
        world, token = before(step)
        if gate.calls[last] in ("versions.describe", "versions.read"):  # which key it is about was not known yet
            return
        cut_off(world, step, token, last, "before", Unavailable)
        assert world.stored().record.rotation.failures == 1
        assert [event["code"] for event in world.events("rotation.failed")] == ["UNAVAILABLE"]


# -- what is not rotated ----------------------------------------------------------------------------------------------


def refused(world: SecretWorld, token: str, step: Step = "createSecret") -> KeyrailError:
    """And nothing is changed by it."""
    kept = (world.keys.writes, dict(world.secret.values), {each: set(has) for each, has in world.secret.labels.items()})
    with pytest.raises(KeyrailError) as error:
        world.step(step, token)
    assert kept == (world.keys.writes, world.secret.values, world.secret.labels)
    return error.value


@pytest.mark.parametrize("step", STEPS)
class TestWhatIsRefused:
    def test_a_token_that_is_no_version_of_the_secret(self, step: Step) -> None:
        world, _ = before(step)
        error = refused(world, "another-token-of-32-characters-or-more", step)
        assert (type(error), error.code) == (InvalidArgument, "BAD_ROTATION")

    def test_a_version_that_is_not_pending_any_more(self, step: Step) -> None:
        world, token = before(step)
        world.secret.cancel()
        world.secret.labels[token].add("AWSPREVIOUS")
        assert refused(world, token, step).code == "BAD_ROTATION"

    def test_a_secret_without_rotation(self, step: Step) -> None:
        world, token = before(step)
        world.secret.is_rotated = False
        assert refused(world, token, step).code == "BAD_ROTATION"

    def test_a_key_that_ticks_rotate(self, step: Step) -> None:
        world, token = before(step)
        world.change(rotation=replace(world.stored().record.rotation, interval_seconds=86_400))
        assert refused(world, token, step).code == "BAD_ROTATION"

    @pytest.mark.parametrize("sink", ["secretsmanager:acme/another", "vault:acme/gateway", None])
    def test_a_key_whose_record_names_another_sink(self, step: Step, sink: str | None) -> None:
        world, token = before(step)
        world.change(rotation=replace(world.stored().record.rotation, sink=sink))
        assert refused(world, token, step).code == "BAD_SINK"

    def test_a_secret_below_another_prefix(self, step: Step) -> None:
        world, token = before(step)
        world.secret.sink = None  # type: ignore[assignment]
        assert refused(world, token, step).code == "BAD_SINK"

    @pytest.mark.parametrize("key_id", ["", "../../pepper", "0Keyrail0Unit0Id/x"])
    def test_a_secret_that_names_no_key(self, step: Step, key_id: str) -> None:
        world, token = before(step)
        world.secret.fill(key_text(1), key_id)
        assert refused(world, token, step).code == "BAD_SINK"

    def test_a_secret_that_names_an_unknown_key(self, step: Step) -> None:
        world, token = before(step)
        world.secret.fill(key_text(1), "0Keyrail0Nobody0")
        error = refused(world, token, step)
        assert (type(error), error.code) == (NotFound, "KEY_NOT_FOUND")

    def test_a_key_that_was_revoked(self, step: Step) -> None:
        world, token = before(step)
        world.revoke()
        assert refused(world, token, step).code == "KEY_NOT_LIVE"

    def test_a_key_that_has_expired(self, step: Step) -> None:
        world, token = before(step)
        world.change(expires_at=world.clock.now())
        assert refused(world, token, step).code == "KEY_NOT_LIVE"

    def test_a_rotation_by_hand_that_is_in_flight(self, step: Step) -> None:
        world, token = before(step)
        world.wait(BEYOND_LEASE_SECONDS)
        gate = Gate()
        gate.before = lambda _, name: (_ for _ in ()).throw(Killed) if name == "delivery.write" else None
        with pytest.raises(Killed):
            world.rotate(world.services(gate))
        assert refused(world, token, step).code == "ROTATION_IN_PROGRESS"
        world.wait(BEYOND_LEASE_SECONDS)
        world.tick()
        assert "pending" not in world.states().values(), "ticks end what was begun by hand"
        world.assert_alive()

    def test_a_deployment_without_such_secrets(self, step: Step) -> None:
        world, token = before(step)
        services = replace(world.services(), secret_versions=None)
        with pytest.raises(KeyrailError) as error:
            run_step(SecretStep(step=step, secret_id=ARN, token=token), SECRETS_MANAGER, services)
        assert error.value.code == "DELIVERY_FAILED"

    def test_a_caller_without_the_right(self, step: Step) -> None:
        world, token = before(step)
        with pytest.raises(KeyrailError) as error:
            run_step(
                SecretStep(step=step, secret_id=ARN, token=token),
                SECRETS_MANAGER._replace(scopes=("rotation:tick",)),
                world.services(),
            )
        assert error.value.code == "INSUFFICIENT_SCOPE"


@pytest.mark.parametrize(
    "held", [SecretVersion("", ""), SecretVersion("rubbish", "x"), SecretVersion(key_text(7), "x")]
)
def test_what_somebody_else_wrote_under_the_token_is_given_up(held: SecretVersion) -> None:
    """A version can't be changed, and Secrets Manager begins no other rotation while it is AWSPENDING."""
    world, token = begun()
    world.secret.values[token] = held
    with pytest.raises(Conflict) as error:
        world.step("createSecret", token)
    assert error.value.code == "CONCURRENT_CHANGE"
    assert world.secret.pending is None
    world.all_steps()
    world.assert_ended()


# -- who drives -------------------------------------------------------------------------------------------------------


class TestTicks:
    def test_leave_a_rotation_to_secrets_manager(self) -> None:
        for n in range(1, 4):
            world, token = begun(*STEPS[:n])
            world.update(scopes=["ml:infer"])  # hints at all that the record tells
            world.wait(GRACE_SECONDS)
            reply = world.tick()
            assert (reply.rotated, reply.resumed, reply.failed) == (0, 0, 0)
            world.all_steps(token)
            world.assert_ended()

    def test_leave_it_also_where_the_first_delivery_was_due(self) -> None:
        world = SecretWorld.made()
        world.change(rotation=replace(world.stored().record.rotation, next_at=world.clock.now()))
        token = world.secret.begin()
        world.step("createSecret", token)
        world.update(scopes=["ml:infer"])
        world.wait(BEYOND_LEASE_SECONDS)
        assert world.tick().rotated == 0
        world.all_steps(token)
        world.assert_ended()

    def test_retire_the_generation_before(self) -> None:
        world, _ = begun(*STEPS)
        world.wait(GRACE_SECONDS + 1)
        assert world.tick().retired == 1
        assert [event["generation"] for event in world.events("rotation.retired")] == [1]

    def test_go_on_with_it_once_the_key_is_theirs(self) -> None:
        world, token = begun("createSecret", "setSecret")
        rotation = {"sink": world.stored().record.rotation.sink, "interval_seconds": 86_400, "grace_seconds": 3600}
        world.update(rotation=RotationField(**rotation))
        world.wait(BEYOND_LEASE_SECONDS)
        assert world.tick().resumed == 1
        world.secret.cancel()
        world.assert_ended()
        with pytest.raises(InvalidArgument):
            world.step("finishSecret", token)


class TestByHand:
    def test_waits_for_a_rotation_of_secrets_manager(self) -> None:
        world, token = begun("createSecret")
        with pytest.raises(Conflict) as error:
            world.rotate()
        assert error.value.code == "ROTATION_IN_PROGRESS"
        world.all_steps(token)
        world.assert_ended()

    def test_goes_on_where_secrets_manager_does_not(self) -> None:
        """And the version that came to nothing is given up, so that Secrets Manager can begin anew."""
        for n in range(1, 4):
            world, token = begun(*STEPS[:n])
            world.wait(BEYOND_LEASE_SECONDS)
            world.rotate()
            world.assert_alive()
            assert [type(each) for each in world.tries(token)] == [Conflict] + [InvalidArgument] * 5
            world.assert_ended()
            world.wait(GRACE_SECONDS)
            world.all_steps()
            world.assert_ended(promotions=2)

    def test_an_emergency_waits_for_nobody(self) -> None:
        for n in range(1, 4):
            world, token = begun(*STEPS[:n])
            world.rotate(is_emergency=True)
            world.assert_alive()
            assert world.code_of(key_text(1)) is Code.ROTATED_OUT
            assert isinstance(next(world.tries(token)), Conflict)
            world.all_steps()
            world.assert_ended(promotions=2)
