"""When a tick has something to do with a key, and what. The index holds hints; this decides, from the record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from keyrail.domain.decisions import is_rotated_out
from keyrail.domain.lifecycle import find_generation, find_predecessor
from keyrail.domain.records import Generation, KeyRecord, StoredKey, is_expired
from keyrail.domain.secrets_manager_rotation import is_secrets_managers

GRACE_WARNING_SHARE = 0.1  # of the grace is left when its owner is told that the old generation is still in use
PICK_UP_SHARE = 0.1  # of the grace is what a consumer may take to pick the new key up, before that counts as use
USAGE_LAG_SECONDS = 120  # a use is in the usage log by then: a minute, a batch, and a busy store (adapters/vault_usage)


class DueAction(StrEnum):
    ROTATE = "rotate"
    RESUME = "resume"  # a rotation that was cut off, or failed
    WATCH_GRACE = "watch_grace"  # warn, or end it early
    RETIRE = "retire"  # the grace is over: tidy up and tell
    WAIT = "wait"  # somebody is at it, or it is too early to try again: the hint stays
    DROP = "drop"  # nothing to do now; other hints stand for what comes later


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """The change, the generation it was about, and when it was."""

    step: Literal["promoted", "retired"]
    n: int
    at: datetime


def due_action(stored: StoredKey | None, now: datetime) -> DueAction:
    if stored is None or stored.tombstone is not None or is_expired(stored.record, now):
        return DueAction.DROP
    record, rotation = stored.record, stored.record.rotation
    if record.state == "disabled":
        return DueAction.DROP  # enabling it puts it back
    is_pending, is_left_alone = find_generation(record, "pending") is not None, _is_left_alone(record)
    if is_pending and not is_left_alone:
        return DueAction.WAIT if _must_wait(record, now) else DueAction.RESUME
    if any(is_rotated_out(generation, now) for generation in _retiring(record)):
        return DueAction.RETIRE
    predecessor = find_predecessor(record)
    if rotation.next_at is not None and rotation.sink is not None and rotation.next_at <= now:
        if predecessor is not None or is_left_alone:
            return DueAction.WAIT  # its grace, or its rotation in flight, comes first
        return DueAction.WAIT if _must_wait(record, now) else DueAction.ROTATE
    if any(at <= now for at in grace_watch_times(record)):
        return DueAction.WATCH_GRACE
    return DueAction.WAIT if is_left_alone else DueAction.DROP


def left_behind(record: KeyRecord, at: datetime, lease_seconds: float) -> LeftBehind | None:
    """What a hint at `at`, with which there is nothing to do, may be left over from: whoever made that change was cut
    off before it told everybody, and then removed the hint."""
    current, lease = find_generation(record, "current"), timedelta(seconds=lease_seconds)
    if record.rotation.step != "promoted" or current is None or current.activated_at is None:
        return None
    if at <= current.activated_at + lease:
        return LeftBehind("promoted", current.n, current.activated_at)
    ended = [g for g in record.generations if g.state == "retired" and g.activated_at is not None and g.n < current.n]
    if ended and ended[-1].retire_at is not None and at <= ended[-1].retire_at + lease:
        return LeftBehind("retired", ended[-1].n, ended[-1].retire_at)
    return None


def _is_left_alone(record: KeyRecord) -> bool:
    """AWS Secrets Manager rotates it, and tries again by itself; with an interval it is the ticks' to rotate."""
    return is_secrets_managers(record) and record.rotation.interval_seconds is None


def _must_wait(record: KeyRecord, now: datetime) -> bool:
    rotation = record.rotation
    return any(until is not None and until > now for until in (rotation.lease_until, rotation.retry_at))


def due_times(record: KeyRecord) -> list[datetime]:
    """Every moment at which a tick should look at the record as it is now."""
    rotation, times = record.rotation, [generation.retire_at for generation in _retiring(record)]
    times.append(rotation.next_at)
    if find_generation(record, "pending") is not None:
        times += [rotation.lease_until, rotation.retry_at]
    return [*grace_watch_times(record), *(at for at in times if at is not None)]


def _retiring(record: KeyRecord) -> list[Generation]:
    return [generation for generation in record.generations if generation.state == "retiring"]


def grace_watch_times(record: KeyRecord) -> list[datetime]:
    """When to look whether the generation before the current one is still in use: the first is when to warn."""
    grace = _grace(record)
    if grace is None:
        return []
    begun_at, ends_at = grace
    times = [ends_at - (ends_at - begun_at) * GRACE_WARNING_SHARE]
    if record.rotation.silent_seconds is not None:
        times.append(silent_at(record, begun_at, None))
    return [at for at in times if at < ends_at]


def silent_at(record: KeyRecord, begun_at: datetime, used_at: datetime | None) -> datetime:
    """From when on the retiring generation counts as silent, where it is not used again."""
    silent_seconds = record.rotation.silent_seconds or 0
    return max(begun_at, used_at or begun_at) + timedelta(seconds=silent_seconds + USAGE_LAG_SECONDS)


def is_still_used(record: KeyRecord, used_at: datetime | None) -> bool:
    """The generation before the current one, after its consumer had time to pick up the new one."""
    grace = _grace(record)
    if grace is None or used_at is None:
        return False
    begun_at, ends_at = grace
    return used_at > begun_at + (ends_at - begun_at) * PICK_UP_SHARE


def _grace(record: KeyRecord) -> tuple[datetime, datetime] | None:
    """When it began and when it ends."""
    predecessor, current = find_predecessor(record), find_generation(record, "current")
    if predecessor is None or predecessor.retire_at is None or current is None or current.activated_at is None:
        return None
    return current.activated_at, predecessor.retire_at
