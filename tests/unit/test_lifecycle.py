"""domain/lifecycle.py: how a record changes where the new key goes to whoever asks for it."""

import pytest
from builders import HOUR_SECONDS, NOW, SECOND, TICK, generation, record, stored, tombstone
from steps import HOUR, code_of, rotated, staged, states

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict, InvalidArgument
from keyrail.domain.lifecycle import (
    MAX_RETIRED_KEPT,
    grace_for,
    is_promoted,
    next_rotation_at,
    promote,
    require_rotatable,
    tidy,
)
from keyrail.domain.records import Rotation, StoredKey


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
        assert is_promoted(kept, "r")
        assert not is_promoted(kept, "another")
        assert kept.rotation.next_at == next_rotation_at(kept, NOW)
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
        kept = rotated(staged(record()), 3, grace_seconds=0)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.ROTATED_OUT, Code.ROTATED_OUT, Code.VALID]

    def test_one_with_grace_leaves_a_rotation_under_way(self) -> None:
        with pytest.raises(Conflict) as refusal:
            rotated(staged(record()), 3)
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
        kept = staged(rotated(record(), 2, "same", grace_seconds=1), 3, "same", now=NOW + SECOND)
        with pytest.raises(Conflict):
            rotated(kept, 4, "same", now=NOW + SECOND)


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
        kept = staged(record(expires_at=NOW + HOUR, lifetime_seconds=HOUR_SECONDS))
        with pytest.raises(Conflict) as refusal:
            promote(kept, now=NOW + HOUR)
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
