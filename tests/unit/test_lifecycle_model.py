"""domain/lifecycle.py against a model: any sequence of steps, in any order, at any time.

The model knows nothing of records. It keeps one end for each secret that was ever made: the time from which it must
be refused. `decide` is asked about every one of them after every step.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

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
STEPS = ("pending", "current", "retiring", "retired")
MAX_GENERATIONS = lifecycle.MAX_RETIRED_KEPT + 3  # pending, current, retiring


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
        self.made = 1  # secrets so far; the newest has this number
        self.key_ends = self.kept.expires_at or NEVER
        self.lifetime = lifetime
        self.ends = {1: NEVER}  # by secret: apart from the end of the key
        self.current, self.retiring = 1, 0
        self.pending = 0
        self.pending_rotation = self.last_rotation = ""
        self.highest = 1

    @rule(seconds=PAUSES)
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def tidy(self) -> None:
        self.write(lifecycle.tidy(self.kept, self.now))

    @rule(rotation_id=ROTATION_IDS)
    def stage(self, rotation_id: str) -> None:
        number = self.made + 1
        if self.rotation_runs():
            self.is_refused("ROTATION_IN_PROGRESS", lambda: self.staged(number, rotation_id))
            return
        self.write(self.staged(number, rotation_id))
        self.made = self.pending = number
        self.pending_rotation = rotation_id
        self.ends[number] = NEVER

    @rule(step=st.sampled_from(["delivered", "tested"]))
    def advance(self, step: Literal["delivered", "tested"]) -> None:
        if not self.pending:
            self.is_refused("CONCURRENT_CHANGE", lambda: lifecycle.advance(self.kept, step))
            return
        self.write(lifecycle.advance(self.kept, step))

    @rule()
    def replace_pending(self) -> None:
        number = self.made + 1
        if not self.pending:
            self.is_refused("CONCURRENT_CHANGE", lambda: lifecycle.replace_pending(self.kept, new_secret(number)))
            return
        self.write(lifecycle.replace_pending(self.kept, new_secret(number)))
        self.ends[self.pending] = self.now
        self.made = self.pending = number
        self.ends[number] = NEVER

    @rule(grace=GRACES)
    def promote(self, grace: int) -> None:
        if not self.pending or self.expired():
            code = "KEY_NOT_LIVE" if self.pending else "CONCURRENT_CHANGE"
            self.is_refused(code, lambda: lifecycle.promote(self.kept, grace_seconds=grace, now=self.now))
            return
        self.write(lifecycle.promote(self.kept, grace_seconds=grace, now=self.now))
        self.takes_over(self.pending, grace, self.pending_rotation)
        self.pending = 0

    @precondition(lambda self: not self.expired())
    @rule(rotation_id=ROTATION_IDS, grace=GRACES)
    def rotate_at_once(self, rotation_id: str, grace: int) -> None:
        number = self.made + 1
        repeat = grace > 0 and self.in_grace() and not self.pending and self.last_rotation == rotation_id
        if grace > 0 and self.rotation_runs() and not repeat:
            self.is_refused("ROTATION_IN_PROGRESS", lambda: self.rotated(number, rotation_id, grace))
            return
        self.write(self.rotated(number, rotation_id, grace))
        self.made = number
        self.ends[number] = NEVER
        if repeat:
            self.ends[self.current] = self.now
            self.current = number
            return
        if grace == 0:
            self.ends |= {old: min(end, self.now) for old, end in self.ends.items() if old != number}
            self.pending = 0
        self.takes_over(number, grace, rotation_id)

    @precondition(lambda self: self.expired())
    @rule(rotation_id=ROTATION_IDS, grace=GRACES)
    def rotate_when_expired(self, rotation_id: str, grace: int) -> None:
        stored = StoredKey(self.kept, version=1)
        self.is_refused("KEY_NOT_LIVE", lambda: lifecycle.require_rotatable(stored, self.now))
        code = "ROTATION_IN_PROGRESS" if self.pending and grace > 0 else "KEY_NOT_LIVE"
        self.is_refused(code, lambda: self.rotated(self.made + 1, rotation_id, grace))

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
    def one_is_current_and_at_most_one_pending_and_one_retiring(self) -> None:
        count = Counter(g.state for g in self.kept.generations)
        assert count["current"] == 1
        assert count["pending"] == (1 if self.pending else 0)
        assert count["retiring"] <= 1

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
                assert g.n > self.highest
        self.highest = max(self.highest, *(g.n for g in kept.generations))
        self.kept = kept

    def takes_over(self, number: int, grace_seconds: int, rotation_id: str) -> None:
        """The one before keeps the shorter of the grace and of the life that the key had."""
        in_grace_until = self.now + timedelta(seconds=grace_seconds)
        self.ends[self.current] = min(self.ends[self.current], in_grace_until, self.key_ends)
        self.retiring, self.current = self.current, number
        self.last_rotation = rotation_id
        if self.lifetime:
            self.key_ends = self.now + timedelta(seconds=self.lifetime)

    def is_refused(self, code: str, step: Callable[[], object]) -> None:
        with pytest.raises(Conflict) as refusal:
            step()
        assert refusal.value.code == code

    def in_grace(self) -> bool:
        return self.now < self.ends.get(self.retiring, self.now)

    def rotation_runs(self) -> bool:
        return bool(self.pending) or self.in_grace()

    def expired(self) -> bool:
        return self.key_ends <= self.now

    def staged(self, number: int, rotation_id: str) -> KeyRecord:
        return lifecycle.stage(self.kept, new_secret(number), rotation_id=rotation_id, now=self.now)

    def rotated(self, number: int, rotation_id: str, grace_seconds: int) -> KeyRecord:
        return lifecycle.rotate_at_once(
            self.kept, new_secret(number), rotation_id=rotation_id, grace_seconds=grace_seconds, now=self.now
        )


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(stateful_step_count=30)
