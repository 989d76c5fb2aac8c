"""When a tick has something to do with a key, and what. The index holds hints; this decides, from the record."""

from datetime import datetime, timedelta
from enum import StrEnum

from keyrail.domain.decisions import is_rotated_out
from keyrail.domain.lifecycle import find_generation
from keyrail.domain.records import KeyRecord, StoredKey, is_expired

GRACE_WARNING_SHARE = 0.1  # of the grace is left when its owner is told that the old generation is still in use


class DueAction(StrEnum):
    ROTATE = "rotate"
    RESUME = "resume"  # a rotation that was cut off, or failed
    WATCH_GRACE = "watch_grace"  # warn, or end it early
    RETIRE = "retire"  # the grace is over: tidy up and tell
    WAIT = "wait"  # somebody is at it, or it is too early to try again: the hint stays
    DROP = "drop"  # nothing to do now; other hints stand for what comes later


def due_action(stored: StoredKey | None, now: datetime) -> DueAction:
    if stored is None or stored.tombstone is not None or is_expired(stored.record, now):
        return DueAction.DROP
    record, rotation = stored.record, stored.record.rotation
    if record.state == "disabled":
        return DueAction.DROP  # enabling it puts it back
    if find_generation(record, "pending") is not None:
        return DueAction.WAIT if _must_wait(record, now) else DueAction.RESUME
    retiring = find_generation(record, "retiring")
    if retiring is not None and is_rotated_out(retiring, now):
        return DueAction.RETIRE
    if rotation.next_at is not None and rotation.sink is not None and rotation.next_at <= now:
        if retiring is not None:
            return DueAction.WAIT  # its grace comes first
        return DueAction.WAIT if _must_wait(record, now) else DueAction.ROTATE
    if retiring is not None and min(grace_watch_times(record), default=now) <= now:
        return DueAction.WATCH_GRACE
    return DueAction.DROP


def _must_wait(record: KeyRecord, now: datetime) -> bool:
    rotation = record.rotation
    return any(until is not None and until > now for until in (rotation.lease_until, rotation.retry_at))


def due_times(record: KeyRecord) -> list[datetime]:
    """Every moment at which a tick should look at the record as it is now."""
    retiring = find_generation(record, "retiring")
    times = [record.rotation.next_at, retiring.retire_at if retiring else None]
    return [*grace_watch_times(record), *(at for at in times if at is not None)]


def grace_watch_times(record: KeyRecord) -> list[datetime]:
    """When to look whether the retiring generation is still in use."""
    retiring, current = find_generation(record, "retiring"), find_generation(record, "current")
    if retiring is None or retiring.retire_at is None or current is None or current.activated_at is None:
        return []
    grace = retiring.retire_at - current.activated_at
    times = [retiring.retire_at - grace * GRACE_WARNING_SHARE]
    if record.rotation.silent_seconds is not None:
        times.append(current.activated_at + timedelta(seconds=record.rotation.silent_seconds))
    return times
