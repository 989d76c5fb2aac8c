"""What the nightly sweep looks for in a record. Pure; sweeping.py does it."""

from dataclasses import replace
from datetime import datetime, timedelta

from keyrail.domain.decisions import is_rotated_out
from keyrail.domain.due import DueAction, due_action, due_times
from keyrail.domain.records import KeyRecord, StoredKey, is_expired

KEEP_RETIRED = timedelta(days=30)  # so long whoever comes with an old key is told that it was rotated
NOTHING_TO_DO = (DueAction.DROP, DueAction.WATCH_GRACE)  # now: a look at a grace that was missed is not made up for


def without_old_generations(record: KeyRecord, now: datetime) -> KeyRecord:
    """The newest is kept in any case: the next one counts on from it."""
    newest = max(generation.n for generation in record.generations)
    kept = tuple(
        g
        for g in record.generations
        if g.n == newest or g.state != "retired" or g.retire_at is None or g.retire_at > now - KEEP_RETIRED
    )
    return record if len(kept) == len(record.generations) else replace(record, generations=kept)


def hint_times(stored: StoredKey, now: datetime) -> list[datetime]:
    """When a tick must come by, and so a hint must lie in the due index."""
    if not is_in_use(stored, now):
        return []
    times = due_times(stored.record)
    if due_action(stored, now) in NOTHING_TO_DO:
        times = [at for at in times if at > now]
    return sorted(set(times))


def is_in_use(stored: StoredKey, now: datetime) -> bool:
    """It could be presented and accepted, by and by."""
    return stored.tombstone is None and stored.record.state == "active" and not is_expired(stored.record, now)


def live_pepper_versions(stored: StoredKey, now: datetime) -> set[int]:
    """Those that this key can't do without. A disabled or expired key may be brought back; a revoked one can't."""
    if stored.tombstone is not None:
        return set()
    return {g.pepper_version for g in stored.record.generations if not is_rotated_out(g, now)}


def is_unused(stored: StoredKey, last_used: dict[int, datetime], since: datetime, now: datetime) -> bool:
    if not is_in_use(stored, now) or stored.record.created_at > since:
        return False
    return all(at < since for at in last_used.values())
