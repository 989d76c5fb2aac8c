"""domain/lifecycle.py: a rotation between staged and promoted, whoever runs it, and what ends it or its grace."""

from collections.abc import Callable
from datetime import datetime

import pytest
from builders import HOUR_SECONDS, NOW, SECOND, TICK, new_secret, record
from steps import HOUR, LEASE, code_of, rotated, staged, states, taken_over

from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict
from keyrail.domain.lifecycle import (
    MAX_JITTER_SECONDS,
    MAX_PENDING,
    MAX_RETRY_SECONDS,
    RETRY_SECONDS,
    abandon_pending,
    end_grace,
    in_grace,
    is_promoted,
    next_rotation_at,
    note_failure,
    promote,
    require_free,
    stage,
)
from keyrail.domain.records import KeyRecord, Rotation


class TestStepByStep:
    def test_stage_and_promote(self) -> None:
        kept = staged(record())
        assert (kept.rotation.rotation_id, kept.rotation.step, kept.rotation.lease_until) == (
            "r",
            "staged",
            NOW + LEASE,
        )
        assert states(kept) == {1: "current", 2: "pending"}
        assert [code_of(kept, number) for number in (1, 2)] == [Code.VALID, Code.VALID]
        kept = promote(kept, now=NOW + SECOND)
        assert (is_promoted(kept, "r"), kept.rotation.lease_until) == (True, None)
        assert states(kept) == {1: "retiring", 2: "current"}
        assert kept.generations[0].retire_at == NOW + SECOND + HOUR
        assert kept.generations[1].activated_at == NOW + SECOND

    def test_at_once_is_the_same_as_stage_and_promote(self) -> None:
        kept = stage(record(), new_secret(2), rotation_id="r", grace_seconds=60, now=NOW)
        assert promote(kept, now=NOW) == rotated(record(), 2, "r", grace_seconds=60)

    def test_whoever_ends_it_keeps_to_the_grace_it_was_staged_with(self) -> None:
        kept = promote(taken_over(staged(record(), grace_seconds=7)), now=NOW + LEASE)
        assert kept.generations[0].retire_at == NOW + LEASE + 7 * SECOND
        assert kept.rotation.staged_grace_seconds is None

    def test_a_second_stage_is_refused(self) -> None:
        kept = staged(record())
        for now in (NOW, NOW + LEASE):
            with pytest.raises(Conflict) as refusal:
                staged(kept, 3, now=now)
            assert refusal.value.code == "ROTATION_IN_PROGRESS"

    @pytest.mark.parametrize(
        "step",
        [
            lambda kept: promote(kept, now=NOW),
            lambda kept: promote(kept, n=1, now=NOW),
            lambda kept: taken_over(kept),
            lambda kept: taken_over(kept, 3),
        ],
        ids=["promote", "promote a certain one", "take over", "take over with another secret"],
    )
    @pytest.mark.parametrize("kept", [record(), rotated(record(), 2)], ids=["never rotated", "promoted"])
    def test_no_step_without_a_pending_generation(
        self, step: Callable[[KeyRecord], KeyRecord], kept: KeyRecord
    ) -> None:
        """Another rotation overtook this one; to go on would leave the key without a current generation."""
        with pytest.raises(Conflict) as refusal:
            step(kept)
        assert refusal.value.code == "CONCURRENT_CHANGE"


class TestTakingOver:
    """Whoever staged it is gone, or stopped: its write of the sink may yet arrive."""

    @pytest.mark.parametrize("now", [NOW, NOW + LEASE - TICK])
    def test_is_refused_while_the_lease_lasts(self, now: datetime) -> None:
        with pytest.raises(Conflict) as refusal:
            taken_over(staged(record()), now=now)
        assert refusal.value.code == "ROTATION_IN_PROGRESS"

    def test_where_the_sink_holds_the_pending_one_changes_the_lease_alone(self) -> None:
        before = staged(record())
        after = taken_over(before)
        assert after.generations == before.generations
        assert after.rotation.lease_until == NOW + 2 * LEASE
        assert after.rotation.rotation_id == "r"

    def test_with_another_secret_leaves_every_pending_one_accepted(self) -> None:
        kept = taken_over(staged(record()), 3)
        assert states(kept) == {1: "current", 2: "pending", 3: "pending"}
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.VALID, Code.VALID, Code.VALID]

    @pytest.mark.parametrize(("n", "others"), [(2, [3, 4]), (3, [2, 4]), (4, [2, 3])])
    def test_the_one_that_the_sink_holds_is_promoted_and_the_others_end(self, n: int, others: list[int]) -> None:
        kept = taken_over(taken_over(staged(record()), 3), 4, now=NOW + 2 * LEASE)
        kept = promote(kept, n=n, now=NOW + 2 * LEASE)
        assert states(kept) == {1: "retiring", n: "current"} | dict.fromkeys(others, "retired")
        assert code_of(kept, 1, NOW + 2 * LEASE) is Code.VALID
        assert {code_of(kept, other, NOW + 2 * LEASE) for other in others} == {Code.ROTATED_OUT}

    def test_again_and_again_gives_up_the_oldest_and_never_the_one_in_use(self) -> None:
        kept = staged(record())
        for n in range(MAX_PENDING + 3):
            kept = taken_over(kept, 3 + n, now=NOW + (n + 1) * LEASE)
        assert [n for n, state in states(kept).items() if state == "pending"] == [*range(6, 6 + MAX_PENDING)]
        assert [code_of(kept, number, NOW + HOUR) for number in (1, 5, 6)] == [
            Code.VALID,
            Code.ROTATED_OUT,
            Code.VALID,
        ]


class TestEmergency:
    def test_waits_for_no_other_rotation_and_ends_it_when_promoted(self) -> None:
        kept = staged(staged(record()), 3, "e", grace_seconds=0, is_emergency=True)
        assert states(kept) == {1: "current", 2: "retiring", 3: "pending"}
        assert [code_of(kept, number) for number in (1, 2, 3)] == [Code.VALID, Code.VALID, Code.VALID]
        kept = promote(kept, now=NOW)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}

    def test_waits_for_no_grace(self) -> None:
        kept = promote(staged(rotated(record(), 2), 3, grace_seconds=0, is_emergency=True), now=NOW)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}

    def test_is_one_also_for_whoever_takes_it_over(self) -> None:
        kept = promote(taken_over(staged(record(), grace_seconds=0, is_emergency=True), 3), now=NOW + LEASE)
        assert states(kept) == {1: "retired", 2: "retired", 3: "current"}

    def test_a_key_without_grace_is_none(self) -> None:
        """Its rotations wait for each other as others do."""
        with pytest.raises(Conflict):
            staged(staged(record(), grace_seconds=0), 3, grace_seconds=0)


class TestWhoMustWait:
    @pytest.mark.parametrize(
        ("kept", "now"),
        [
            (record(), NOW),
            (staged(record()), NOW + LEASE),
            (rotated(record(), 2), NOW + HOUR),
            (rotated(record(), 2, grace_seconds=0), NOW),
            (abandon_pending(staged(record()), NOW + HOUR), NOW),
        ],
        ids=["never rotated", "lease over", "grace over", "no grace", "abandoned"],
    )
    def test_nobody(self, kept: KeyRecord, now: datetime) -> None:
        require_free(kept, now)

    @pytest.mark.parametrize(
        ("kept", "now"),
        [(staged(record()), NOW + LEASE - TICK), (rotated(record(), 2), NOW + HOUR - TICK)],
        ids=["lease", "grace"],
    )
    def test_all_but_an_emergency(self, kept: KeyRecord, now: datetime) -> None:
        with pytest.raises(Conflict) as refusal:
            require_free(kept, now)
        assert refusal.value.code == "ROTATION_IN_PROGRESS"
        require_free(kept, now, is_emergency=True)


class TestAbandoning:
    """Its sink was taken away or changed. A consumer may have the pending secret from there."""

    def test_lets_the_pending_one_be_used_for_a_while(self) -> None:
        kept = abandon_pending(taken_over(staged(record()), 3), NOW + HOUR)
        assert states(kept) == {1: "current", 2: "retiring", 3: "retiring"}
        assert [code_of(kept, number, NOW + HOUR - TICK) for number in (1, 2, 3)] == [Code.VALID] * 3
        assert [code_of(kept, number, NOW + HOUR) for number in (1, 2, 3)] == [
            Code.VALID,
            Code.ROTATED_OUT,
            Code.ROTATED_OUT,
        ]
        assert (kept.rotation.step, kept.rotation.lease_until) == (None, None)

    def test_makes_nobody_wait(self) -> None:
        kept = abandon_pending(staged(record()), NOW + HOUR)
        assert not in_grace(kept, NOW)
        kept = promote(staged(kept, 3), now=NOW)
        assert states(kept) == {1: "retiring", 2: "retiring", 3: "current"}
        assert in_grace(kept, NOW)

    def test_gives_no_longer_life_than_the_key_has(self) -> None:
        kept = abandon_pending(staged(record(expires_at=NOW + SECOND)), NOW + HOUR)
        assert kept.generations[1].retire_at == NOW + SECOND

    def test_does_nothing_where_nothing_is_pending(self) -> None:
        for kept in (record(), rotated(record(), 2)):
            assert abandon_pending(kept, NOW) is kept


class TestFailing:
    @pytest.mark.parametrize(
        ("before", "pause"), [(0, 60), (1, 120), (2, 240), (5, 1920), (6, 3600), (7, 3600), (5000, 3600)]
    )
    def test_the_next_try_is_later_each_time_up_to_an_hour(self, before: int, pause: int) -> None:
        assert (RETRY_SECONDS, MAX_RETRY_SECONDS) == (60, 3600)
        kept = record(rotation=Rotation(grace_seconds=1, max_grace_seconds=1, failures=before))
        kept = note_failure(staged(kept), NOW)
        assert (kept.rotation.failures, kept.rotation.retry_at) == (before + 1, NOW + pause * SECOND)

    def test_frees_the_key_for_the_next_runner(self) -> None:
        assert taken_over(note_failure(staged(record()), NOW), now=NOW).rotation.failures == 1

    def test_is_forgotten_once_it_is_promoted(self) -> None:
        kept = promote(note_failure(staged(record()), NOW), now=NOW)
        assert (kept.rotation.failures, kept.rotation.retry_at) == (0, None)


class TestEndingAGrace:
    def test_retires_now_what_was_retiring(self) -> None:
        kept = end_grace(rotated(record(), 2), NOW + SECOND)
        assert states(kept) == {1: "retired", 2: "current"}
        assert kept.generations[0].retire_at == NOW + SECOND

    def test_moves_no_end_that_has_passed(self) -> None:
        assert end_grace(rotated(record(), 2), NOW + 2 * HOUR).generations[0].retire_at == NOW + HOUR

    def test_changes_nothing_else(self) -> None:
        assert end_grace(staged(record()), NOW) == staged(record())


class TestTheNextRotation:
    def test_is_none_without_an_interval(self) -> None:
        assert next_rotation_at(record(), NOW) is None

    @pytest.mark.parametrize(
        ("interval", "spread"), [(60, 6.0), (HOUR_SECONDS, 360.0), (90 * 86_400, MAX_JITTER_SECONDS)]
    )
    def test_is_an_interval_on_less_a_spread_that_is_the_keys_own(self, interval: int, spread: float) -> None:
        rotation = Rotation(grace_seconds=1, max_grace_seconds=1, interval_seconds=interval)
        keys = [record(rotation=rotation, key_id=f"0Keyrail0Unit{n:03}") for n in range(200)]
        waits = []
        for key in keys:
            at = next_rotation_at(key, NOW)
            assert at is not None
            assert at == next_rotation_at(key, NOW)
            waits.append((at - NOW).total_seconds())
        assert interval - spread <= min(waits) < interval - 0.8 * spread
        assert interval - 0.2 * spread < max(waits) <= interval
