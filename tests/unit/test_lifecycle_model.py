"""domain/lifecycle.py against a model: any sequence of steps, in any order, at any time.

The model knows nothing of records. It keeps one end for each secret that was ever made: the time from which it must
be refused. `decide` is asked about every one of them after every step.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from builders import HOUR_SECONDS, NOW, decided, new_secret, record
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keyrail.domain import lifecycle
from keyrail.domain.decisions import Code
from keyrail.domain.errors import Conflict
from keyrail.domain.records import KeyRecord, Rotation, StoredKey, decode_record, encode

NEVER = datetime.max.replace(tzinfo=UTC)
GRACES = st.sampled_from([0, 1, 60, HOUR_SECONDS])
ROTATION_IDS = st.sampled_from(["a", "b"])
PAUSES = st.sampled_from([0, 0, 1, 59, 60, HOUR_SECONDS - 60, HOUR_SECONDS, 3 * HOUR_SECONDS])
LIVES = st.sampled_from([None, 60, HOUR_SECONDS, 5 * HOUR_SECONDS])
INTERVALS = st.sampled_from([None, HOUR_SECONDS])
LEASE = timedelta(seconds=30)
LONGEST_GRACE = timedelta(seconds=lifecycle.MAX_GRACE_SECONDS)
STEPS = ("pending", "current", "retiring", "retired")
MAX_GENERATIONS = lifecycle.MAX_RETIRED_KEPT + lifecycle.MAX_PENDING + 2  # current, and the one before in its grace


class Lifecycle(RuleBasedStateMachine):
    @initialize(lifetime=LIVES, fixed_end=LIVES, interval=INTERVALS)
    def issue(self, lifetime: int | None, fixed_end: int | None, interval: int | None) -> None:
        life = lifetime or fixed_end
        self.now = NOW
        self.kept = record(
            expires_at=NOW + timedelta(seconds=life) if life else None,
            lifetime_seconds=lifetime,
            rotation=Rotation(grace_seconds=60, max_grace_seconds=HOUR_SECONDS, interval_seconds=interval),
        )
        self.made = 1  # secrets so far; the newest has this number, and its generation too
        self.key_ends = self.kept.expires_at or NEVER
        self.lifetime = lifetime
        self.ends = {1: NEVER}  # by secret: apart from the end of the key
        self.current, self.before = 1, 0
        self.pending: list[int] = []
        self.abandoned: list[int] = []
        self.lease_until = NOW
        self.pending_grace = 0
        self.pending_rotation = self.last_rotation = ""

    @rule(seconds=PAUSES)
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def tidy(self) -> None:
        self.write(lifecycle.tidy(self.kept, self.now))

    @rule(rotation_id=ROTATION_IDS, grace=GRACES)
    def stage(self, rotation_id: str, grace: int) -> None:
        if self.pending or self.in_grace():
            self.is_refused("ROTATION_IN_PROGRESS", lambda: self.staged(rotation_id, grace))
            return
        self.write(self.staged(rotation_id, grace))
        self.is_staged(rotation_id, grace)

    @rule(rotation_id=ROTATION_IDS)
    def stage_an_emergency(self, rotation_id: str) -> None:
        self.write(self.staged(rotation_id, 0, is_emergency=True))
        self.is_abandoned(self.now + LONGEST_GRACE)
        self.is_staged(rotation_id, 0)

    @rule(has_secret=st.booleans())
    def take_over(self, has_secret: bool) -> None:
        if not self.pending or self.now < self.lease_until:
            code = "ROTATION_IN_PROGRESS" if self.pending else "CONCURRENT_CHANGE"
            self.is_refused(code, lambda: self.taken_over(has_secret))
            return
        self.write(self.taken_over(has_secret))
        self.lease_until = self.now + LEASE
        if has_secret:
            self.is_made_pending()

    @rule()
    def fail(self) -> None:
        self.write(lifecycle.note_failure(self.kept, self.now))
        self.lease_until = self.now

    @rule(grace=GRACES)
    def abandon(self, grace: int) -> None:
        retire_at = self.now + timedelta(seconds=grace)
        self.write(lifecycle.abandon_pending(self.kept, retire_at))
        self.is_abandoned(retire_at)

    @rule()
    def end_grace(self) -> None:
        self.write(lifecycle.end_grace(self.kept, self.now))
        for number in (self.before, *self.abandoned):
            self.ends[number] = min(self.ends.get(number, self.now), self.now)
        self.abandoned = []

    @rule(choice=st.integers(0, 7))
    def promote(self, choice: int) -> None:
        if not self.pending or self.expired():
            code = "KEY_NOT_LIVE" if self.pending else "CONCURRENT_CHANGE"
            self.is_refused(code, lambda: lifecycle.promote(self.kept, now=self.now))
            return
        number = self.pending[choice % len(self.pending)]
        self.write(lifecycle.promote(self.kept, n=number, now=self.now))
        self.ends |= {other: self.now for other in self.pending if other != number}
        self.takes_over(number, self.pending_grace, self.pending_rotation)
        self.pending = []

    @precondition(lambda self: not self.expired())
    @rule(rotation_id=ROTATION_IDS, grace=GRACES)
    def rotate_at_once(self, rotation_id: str, grace: int) -> None:
        repeat = grace > 0 and self.in_grace() and self.last_rotation == rotation_id
        if grace > 0 and (self.pending or self.in_grace()) and not repeat:
            self.is_refused("ROTATION_IN_PROGRESS", lambda: self.rotated(rotation_id, grace))
            return
        self.write(self.rotated(rotation_id, grace))
        self.made += 1
        self.ends[self.made] = NEVER
        if repeat:
            self.ends[self.current] = self.now
            self.current = self.made
            return
        if grace == 0:
            self.is_abandoned(self.now)
        self.give_up_the_oldest()
        self.takes_over(self.made, grace, rotation_id)

    @precondition(lambda self: self.expired())
    @rule(rotation_id=ROTATION_IDS, grace=GRACES)
    def rotate_when_expired(self, rotation_id: str, grace: int) -> None:
        stored = StoredKey(self.kept, version=1)
        self.is_refused("KEY_NOT_LIVE", lambda: lifecycle.require_rotatable(stored, self.now))
        code = "ROTATION_IN_PROGRESS" if self.pending and grace > 0 else "KEY_NOT_LIVE"
        self.is_refused(code, lambda: self.rotated(rotation_id, grace))

    @rule()
    def store_and_read(self) -> None:
        read = decode_record(encode(self.kept))
        assert read == self.kept
        self.kept = read

    @invariant()
    def each_secret_is_accepted_until_its_end_and_never_after(self) -> None:
        for number, end in self.ends.items():
            code = decided(StoredKey(self.kept, version=1), number, now=self.now).code
            assert (code is Code.VALID) is (self.now < min(end, self.key_ends)), (number, code, end)
            assert code in (Code.VALID, Code.EXPIRED, Code.ROTATED_OUT, Code.NOT_FOUND)

    @invariant()
    def one_is_current_and_at_most_one_before_it_in_its_grace(self) -> None:
        count = Counter(g.state for g in self.kept.generations)
        assert count["current"] == 1
        assert [g.n for g in self.kept.generations if g.state == "pending"] == self.pending
        assert sum(g.state == "retiring" and g.activated_at is not None for g in self.kept.generations) <= 1

    @invariant()
    def their_numbers_grow_and_their_count_is_bounded(self) -> None:
        numbers = [g.n for g in self.kept.generations]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= MAX_GENERATIONS

    @invariant()
    def the_key_ends_when_it_should(self) -> None:
        assert (self.kept.expires_at or NEVER) == self.key_ends

    def write(self, kept: KeyRecord) -> None:
        """Every write: no number is used twice, no generation goes back a step."""
        before = {g.n: g.state for g in self.kept.generations}
        for g in kept.generations:
            if g.n in before:
                assert STEPS.index(g.state) >= STEPS.index(before[g.n])
            else:
                assert g.n == self.made + 1
        self.kept = kept

    def is_staged(self, rotation_id: str, grace: int) -> None:
        self.pending_rotation, self.pending_grace = rotation_id, grace
        self.lease_until = self.now + LEASE
        self.last_rotation = ""
        self.is_made_pending()

    def is_made_pending(self) -> None:
        self.made += 1
        self.ends[self.made] = NEVER
        self.give_up_the_oldest()
        self.pending.append(self.made)

    def give_up_the_oldest(self) -> None:
        """Before one more is pending."""
        self.abandoned = [number for number in self.abandoned if number in self.retiring()]
        for number in sorted(self.abandoned + self.pending)[: -(lifecycle.MAX_PENDING - 1)]:
            self.ends[number] = min(self.ends[number], self.now)
            for waiting in (self.abandoned, self.pending):
                if number in waiting:
                    waiting.remove(number)

    def retiring(self) -> list[int]:
        return [number for number in self.abandoned if self.ends[number] > self.now]

    def is_abandoned(self, retire_at: datetime) -> None:
        self.ends |= {number: min(retire_at, self.key_ends) for number in self.pending}
        self.abandoned += self.pending
        self.pending = []

    def takes_over(self, number: int, grace_seconds: int, rotation_id: str) -> None:
        """The one before keeps the shorter of the grace and of the life that the key had."""
        in_grace_until = self.now + timedelta(seconds=grace_seconds)
        self.ends[self.current] = min(self.ends[self.current], in_grace_until, self.key_ends)
        if grace_seconds == 0:
            self.ends |= {old: min(end, self.now) for old, end in self.ends.items() if old != number}
        self.before, self.current = self.current, number
        self.last_rotation = rotation_id
        if self.lifetime:
            self.key_ends = self.now + timedelta(seconds=self.lifetime)

    def is_refused(self, code: str, step: Callable[[], object]) -> None:
        with pytest.raises(Conflict) as refusal:
            step()
        assert refusal.value.code == code

    def in_grace(self) -> bool:
        return self.now < self.ends.get(self.before, self.now)

    def expired(self) -> bool:
        return self.key_ends <= self.now

    def staged(self, rotation_id: str, grace: int, *, is_emergency: bool = False) -> KeyRecord:
        return lifecycle.stage(
            self.kept,
            new_secret(self.made + 1),
            rotation_id=rotation_id,
            grace_seconds=grace,
            is_emergency=is_emergency,
            lease_until=self.now + LEASE,
            now=self.now,
        )

    def taken_over(self, has_secret: bool) -> KeyRecord:
        secret = new_secret(self.made + 1) if has_secret else None
        return lifecycle.take_over(self.kept, secret, lease_until=self.now + LEASE, now=self.now)

    def rotated(self, rotation_id: str, grace_seconds: int) -> KeyRecord:
        return lifecycle.rotate_at_once(
            self.kept, new_secret(self.made + 1), rotation_id=rotation_id, grace_seconds=grace_seconds, now=self.now
        )


class TestLifecycle(Lifecycle.TestCase):  # type: ignore[misc]
    settings = settings(stateful_step_count=30)


class TestLifecycleOfFewPending(Lifecycle.TestCase):  # type: ignore[misc]
    """So few that the oldest is given up often."""

    settings = settings(stateful_step_count=30)

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lifecycle, "MAX_PENDING", 2)
