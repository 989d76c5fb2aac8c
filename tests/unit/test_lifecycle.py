"""domain/lifecycle.py: how a record changes, step by step."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from builders import HOUR_SECONDS, NOW, SECOND, TICK, decided, generation, new_secret, record, stored, tombstone

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, InvalidArgument
from keyrail.domain.lifecycle import (
    MAX_RETIRED_KEPT,
    advance,
    grace_for,
    promote,
    replace_pending,
    require_rotatable,
    rotate_at_once,
    stage,
    tidy,
)
from keyrail.domain.records import KeyRecord, Rotation, StoredKey

HOUR = timedelta(seconds=HOUR_SECONDS)


def code_of(kept: KeyRecord, number: int, now: datetime = NOW) -> Code:
    return decided(StoredKey(kept, version=1), number, now=now).code


def states(kept: KeyRecord) -> dict[int, str]:
    return {g.n: g.state for g in kept.generations}


def rotated(
    kept: KeyRecord, number: int, rotation_id: str = "", *, grace_seconds: int = HOUR_SECONDS, now: datetime = NOW
) -> KeyRecord:
    """`kept` with secret `number` as its new one."""
    rotation_id = rotation_id or f"rotation {number}"
    return rotate_at_once(kept, new_secret(number), rotation_id=rotation_id, grace_seconds=grace_seconds, now=now)


class TestWhoMayBeRotated:
    def test_a_live_key(self) -> None:
        require_rotatable(stored(expires_at=NOW + TICK), NOW)
        require_rotatable(stored(state="disabled"), NOW)

    @pytest.mark.parametrize("key", [stored(tombstone=tombstone()), stored(expires_at=NOW)], ids=["revoked", "expired"])
    def test_no_key_that_has_ended(self, key: StoredKey) -> None:
        with pytest.raises(Conflict) as refusal:
            require_rotatable(key, NOW)
        assert refusal.value.code == "KEY_NOT_LIVE"


class TestGrace:
    KEPT = record(rotation=Rotation(grace_seconds=60, max_grace_seconds=600))

    @pytest.mark.parametrize(("asked", "given"), [(None, 60), (0, 0), (1, 1), (600, 600)])
    def test_is_what_is_asked_or_what_the_key_says(self, asked: int | None, given: int) -> None:
        assert grace_for(self.KEPT, asked) == given

    def test_is_never_more_than_the_key_allows(self) -> None:
        with pytest.raises(InvalidArgument, match="600 seconds"):
            grace_for(self.KEPT, 601)


class TestRotatingAtOnce:
    def test_the_new_secret_and_the_old_one_both_validate_until_the_grace_is_over(self) -> None:
        kept = rotated(record(), 2)
        assert states(kept) == {1: "retiring", 2: "current"}
        assert code_of(kept, 2) is Code.VALID
        assert code_of(kept, 1, NOW + HOUR - TICK) is Code.VALID
        assert code_of(kept, 1, NOW + HOUR) is Code.ROTATED_OUT
        assert code_of(kept, 2, NOW + HOUR) is Code.VALID

    def test_with_no_grace_the_old_secret_ends_at_once(self) -> None:
        kept = rotated(record(), 2, grace_seconds=0)
        assert states(kept) == {1: "retired", 2: "current"}
        assert code_of(kept, 1) is Code.ROTATED_OUT

    def test_the_rotation_and_the_next_one_are_noted(self) -> None:
        kept = rotated(record(rotation=Rotation(grace_seconds=1, max_grace_seconds=1, interval_seconds=60)), 2, "r")
        assert kept.rotation.rotation_id == "r"
        assert kept.rotation.step == "promoted"
        assert kept.rotation.next_at == NOW + 60 * SECOND
        assert kept.generations[1].activated_at == NOW

    def test_nothing_else_of_the_record_changes(self) -> None:
        before = record(expires_at=NOW + HOUR, labels={"a": "b"}, state="disabled")
        after = rotated(before, 2)
        assert (after.expires_at, after.labels, after.state) == (before.expires_at, before.labels, before.state)
        assert after.scopes == before.scopes

    def test_a_second_one_inside_the_grace_is_refused(self) -> None:
        kept = rotated(record(), 2)
        with pytest.raises(Conflict) as refusal:
            rotated(kept, 3, now=NOW + HOUR - TICK)
        assert refusal.value.code == "ROTATION_IN_PROGRESS"
        assert states(rotated(kept, 3, now=NOW + HOUR)) == {1: "retired", 2: "retiring", 3: "current"}

    def test_a_second_one_without_grace_ends_all_older_ones(self) -> None:
        kept = rotated(rotated(record(), 2), 3, grace_seconds=0)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.ROTATED_OUT, Code.ROTATED_OUT, Code.VALID]

    def test_one_without_grace_ends_a_rotation_under_way(self) -> None:
        """The sink may hold the pending secret, and a pending secret validates: it has to be seen to end."""
        kept = rotated(stage(record(), new_secret(2), rotation_id="r", now=NOW), 3, grace_seconds=0)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.ROTATED_OUT, Code.ROTATED_OUT, Code.VALID]

    def test_one_with_grace_leaves_a_rotation_under_way(self) -> None:
        with pytest.raises(Conflict) as refusal:
            rotated(stage(record(), new_secret(2), rotation_id="r", now=NOW), 3)
        assert refusal.value.code == "ROTATION_IN_PROGRESS"


class TestRepeatingARotation:
    """Its reply was lost: the secret it made reached nobody, the consumer still uses the one before."""

    def test_inside_the_grace_replaces_what_reached_nobody_and_keeps_what_is_in_use(self) -> None:
        first = rotated(record(), 2, "same")
        again = rotated(first, 3, "same", now=NOW + SECOND)
        assert states(again) == {1: "retiring", 2: "retired", 3: "current"}
        assert again.generations[0] == first.generations[0]
        assert [code_of(again, number) for number in (1, 2, 3)] == [Code.VALID, Code.ROTATED_OUT, Code.VALID]

    def test_does_not_lengthen_the_grace(self) -> None:
        kept = rotated(record(), 2, "same")
        for number in range(3, 9):
            kept = rotated(kept, number, "same", now=NOW + HOUR - TICK)
        assert code_of(kept, 1, NOW + HOUR) is Code.ROTATED_OUT

    def test_after_the_grace_is_a_rotation_like_any_other(self) -> None:
        later = NOW + HOUR
        again = rotated(rotated(record(), 2, "same"), 3, "same", now=later)
        assert states(again) == {1: "retired", 2: "retiring", 3: "current"}
        assert code_of(again, 2, later) is Code.VALID

    def test_with_no_grace_ends_all_older_ones_all_the_same(self) -> None:
        """Whoever asks for that has a reason; the id of the request before is none to refuse it."""
        again = rotated(rotated(record(), 2, "same"), 3, "same", grace_seconds=0, now=NOW + SECOND)
        assert states(again) == {1: "retired", 2: "retired", 3: "current"}

    def test_of_another_rotation_than_the_last_is_refused(self) -> None:
        kept = rotated(rotated(record(), 2, "first"), 3, "second", now=NOW + HOUR)
        with pytest.raises(Conflict):
            rotated(kept, 4, "first", now=NOW + HOUR)

    def test_does_not_reach_into_a_rotation_that_is_only_staged(self) -> None:
        kept = stage(rotated(record(), 2, "same", grace_seconds=1), new_secret(3), rotation_id="same", now=NOW + SECOND)
        with pytest.raises(Conflict):
            rotated(kept, 4, "same", now=NOW + SECOND)


class TestStepByStep:
    def test_stage_deliver_test_promote(self) -> None:
        kept = stage(record(), new_secret(2), rotation_id="r", now=NOW)
        assert (kept.rotation.rotation_id, kept.rotation.step) == ("r", "staged")
        assert states(kept) == {1: "current", 2: "pending"}
        for step in ("delivered", "tested"):
            kept = advance(kept, step)
            assert kept.rotation.step == step
            assert [code_of(kept, number) for number in (1, 2)] == [Code.VALID, Code.VALID]
        kept = promote(kept, grace_seconds=HOUR_SECONDS, now=NOW + SECOND)
        assert (kept.rotation.rotation_id, kept.rotation.step) == ("r", "promoted")
        assert states(kept) == {1: "retiring", 2: "current"}
        assert kept.generations[0].retire_at == NOW + SECOND + HOUR
        assert kept.generations[1].activated_at == NOW + SECOND

    def test_at_once_is_the_same_as_stage_and_promote(self) -> None:
        staged = stage(record(), new_secret(2), rotation_id="r", now=NOW)
        assert promote(staged, grace_seconds=60, now=NOW) == rotated(record(), 2, "r", grace_seconds=60)

    def test_another_secret_for_the_pending_one_ends_the_first(self) -> None:
        kept = advance(stage(record(), new_secret(2), rotation_id="r", now=NOW), "delivered")
        kept = replace_pending(kept, new_secret(3))
        assert states(kept) == {1: "current", 2: "pending"}
        assert kept.rotation.step == "staged"
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.VALID, Code.NOT_FOUND, Code.VALID]

    def test_a_second_stage_is_refused(self) -> None:
        kept = stage(record(), new_secret(2), rotation_id="r", now=NOW)
        with pytest.raises(Conflict) as refusal:
            stage(kept, new_secret(3), rotation_id="r", now=NOW)
        assert refusal.value.code == "ROTATION_IN_PROGRESS"

    @pytest.mark.parametrize(
        "step",
        [
            lambda kept: promote(kept, grace_seconds=60, now=NOW),
            lambda kept: advance(kept, "delivered"),
            lambda kept: replace_pending(kept, new_secret(3)),
        ],
        ids=["promote", "advance", "replace_pending"],
    )
    @pytest.mark.parametrize("kept", [record(), rotated(record(), 2)], ids=["never rotated", "promoted"])
    def test_no_step_without_a_pending_generation(
        self, step: Callable[[KeyRecord], KeyRecord], kept: KeyRecord
    ) -> None:
        """Another rotation overtook this one; to go on would leave the key without a current generation."""
        with pytest.raises(Conflict) as refusal:
            step(kept)
        assert refusal.value.code == "CONCURRENT_CHANGE"


class TestEndOfLife:
    def test_grace_never_lengthens_it(self) -> None:
        ends = NOW + HOUR / 2
        kept = rotated(record(expires_at=ends), 2)
        assert kept.generations[0].retire_at == ends
        assert kept.expires_at == ends

    def test_a_key_with_a_lifetime_lives_that_long_from_each_rotation(self) -> None:
        ends = NOW + HOUR / 2
        kept = rotated(record(expires_at=ends, lifetime_seconds=24 * HOUR_SECONDS), 2)
        assert kept.expires_at == NOW + 24 * HOUR
        assert kept.generations[0].retire_at == ends, "the old secret keeps the end it had"
        assert code_of(kept, 1, ends) is Code.ROTATED_OUT

    def test_a_repeat_gives_no_more_life(self) -> None:
        first = rotated(record(expires_at=NOW + HOUR, lifetime_seconds=HOUR_SECONDS), 2, "same")
        assert rotated(first, 3, "same", now=NOW + SECOND).expires_at == first.expires_at

    def test_a_key_that_expired_since_it_was_staged_is_not_brought_back(self) -> None:
        kept = stage(
            record(expires_at=NOW + HOUR, lifetime_seconds=HOUR_SECONDS), new_secret(2), rotation_id="r", now=NOW
        )
        with pytest.raises(Conflict) as refusal:
            promote(kept, grace_seconds=60, now=NOW + HOUR)
        assert refusal.value.code == "KEY_NOT_LIVE"

    def test_a_key_without_an_end_gets_none(self) -> None:
        assert rotated(record(), 2).expires_at is None


class TestTidying:
    KEPT = record(generation(1, "retiring", retire_at=NOW), generation(2))

    def test_retires_what_is_past_its_grace(self) -> None:
        assert states(tidy(self.KEPT, NOW)) == {1: "retired", 2: "current"}
        assert tidy(self.KEPT, NOW - TICK) == self.KEPT

    def test_changes_no_answer(self) -> None:
        for now in (NOW - TICK, NOW, NOW + TICK):
            tidied = tidy(self.KEPT, now)
            assert [code_of(tidied, n, now) for n in (1, 2, 3)] == [code_of(self.KEPT, n, now) for n in (1, 2, 3)]

    def test_forgets_the_oldest_retired_ones(self) -> None:
        kept = record()
        for number in range(2, MAX_RETIRED_KEPT + 4):
            kept = rotated(kept, number, grace_seconds=0)
        newest = MAX_RETIRED_KEPT + 3
        assert [*states(kept)] == [*range(newest - MAX_RETIRED_KEPT, newest + 1)]
        assert code_of(kept, 1) is Code.NOT_FOUND
        assert code_of(kept, newest - MAX_RETIRED_KEPT) is Code.ROTATED_OUT
        assert code_of(kept, newest) is Code.VALID
