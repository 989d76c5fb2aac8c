"""How a record changes: pure steps from one record to the next, each written by one check-and-set.

    stage -> deliver -> test -> promote -> retire (the clock)        docs/rotation.md

With a sink, staging and promoting are a write each, and what lies between them shows in the sink itself
(keyrail/rotation.py). Without one, `rotate_at_once` stages and promotes in one write.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keyrail.domain.decisions import is_rotated_out
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import Conflict, InvalidArgument
from keyrail.domain.records import Generation, KeyRecord, StoredKey, is_expired

MAX_PENDING = 8  # with abandoned ones: each runner that is cut off before it wrote the sink leaves one
MAX_RETIRED_KEPT = 8  # their keys answer ROTATED_OUT; older ones are forgotten and answer NOT_FOUND
RETRY_SECONDS, MAX_RETRY_SECONDS = 60, 3600  # between a tick's tries at a rotation that fails
MAX_JITTER_SECONDS = 3600.0
MAX_GRACE_SECONDS = 30 * 24 * 3600  # ours; a grace longer than a month is no rotation


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What a new generation is made of; the secret itself stays with the caller."""

    digest: str
    pepper_version: int


def require_rotatable(stored: StoredKey, now: datetime) -> None:
    """Raises: Conflict KEY_NOT_LIVE."""
    if stored.tombstone is not None:
        raise Conflict("The key is revoked; issue a new one.", code="KEY_NOT_LIVE")
    _require_unexpired(stored.record, now)


def require_free(record: KeyRecord, now: datetime, *, is_emergency: bool = False) -> None:
    """Raises: Conflict ROTATION_IN_PROGRESS while somebody else's lease of a rotation in flight lasts, and during a
    grace; an emergency waits for neither."""
    if is_emergency:
        return
    if find_generation(record, "pending") is not None:
        if record.rotation.lease_until is not None and record.rotation.lease_until > now:
            raise under_way()
    elif in_grace(record, now):
        raise Conflict(
            "The generation before is still in its grace period. Wait for it to end, repeat the last rotation "
            "with its Idempotency-Key if its reply was lost, or rotate with grace_seconds 0 to end all older "
            "generations at once.",
            code="ROTATION_IN_PROGRESS",
        )


def _require_unexpired(record: KeyRecord, now: datetime) -> None:
    if is_expired(record, now):
        raise Conflict("The key has expired; issue a new one.", code="KEY_NOT_LIVE")


def grace_for(record: KeyRecord, asked_seconds: int | None) -> int:
    """Raises: InvalidArgument where more is asked than the key allows."""
    if asked_seconds is None:
        return record.rotation.grace_seconds
    if asked_seconds > record.rotation.max_grace_seconds:
        raise InvalidArgument(f"This key allows a grace of at most {record.rotation.max_grace_seconds} seconds.")
    return asked_seconds


def rotate_at_once(
    record: KeyRecord, secret: NewSecret, *, rotation_id: str, grace_seconds: int, now: datetime
) -> KeyRecord:
    """Stage and promote in one: the new key goes to the caller. Zero grace ends every other generation now, a pending
    one included, and is never taken for a repeat.

    Repeating the last `rotation_id` within its grace replaces the generation it made (its reply was lost, so its secret
    reached nobody) and leaves the retiring one, which the consumer still uses, as it is.
    Raises: Conflict ROTATION_IN_PROGRESS, KEY_NOT_LIVE.
    """
    is_emergency = grace_seconds == 0
    if not is_emergency and _is_repeat(record, rotation_id, now):
        return _replace_current(record, secret, now)
    staged = stage(
        record, secret, rotation_id=rotation_id, grace_seconds=grace_seconds, is_emergency=is_emergency, now=now
    )
    return promote(staged, now=now)


def _is_repeat(record: KeyRecord, rotation_id: str, now: datetime) -> bool:
    """Only within the grace: later the consumer may have moved on, and a repeat is a rotation like any other."""
    return is_promoted(record, rotation_id) and in_grace(record, now)


def is_promoted(record: KeyRecord, rotation_id: str) -> bool:
    """It is the last rotation that this key had, and it came to its end."""
    return record.rotation.rotation_id == rotation_id and record.rotation.step == "promoted"


def stage(
    record: KeyRecord,
    secret: NewSecret,
    *,
    rotation_id: str,
    grace_seconds: int,
    now: datetime,
    is_emergency: bool = False,
    lease_until: datetime | None = None,
) -> KeyRecord:
    """A new rotation: generation n+1 is pending, and whoever staged it is left alone until `lease_until`.

    An emergency waits for nobody. What was pending is on its way out then; it is accepted until the new one is
    promoted, since a sink may hold it.
    Raises: Conflict while another rotation, or a grace period, is running.
    """
    if is_emergency:
        record = abandon_pending(record, now + timedelta(seconds=MAX_GRACE_SECONDS))
    elif find_generation(record, "pending") is not None:
        raise under_way()
    require_free(record, now, is_emergency=is_emergency)
    rotation = replace(
        record.rotation,
        rotation_id=rotation_id,
        step="staged",
        staged_grace_seconds=grace_seconds,
        lease_until=lease_until,
    )
    return with_pending(replace(record, rotation=rotation), secret, now)


def take_over(record: KeyRecord, secret: NewSecret | None, *, lease_until: datetime, now: datetime) -> KeyRecord:
    """The rotation in flight, now run by somebody else. `secret` where the sink holds none of the pending ones: it
    joins them. None of them may be given up, since the write of a runner that was stopped may yet arrive.

    Raises: Conflict ROTATION_IN_PROGRESS while its runner's lease lasts, CONCURRENT_CHANGE where none is pending.
    """
    _require_pending(record)
    require_free(record, now)
    record = replace(record, rotation=replace(record.rotation, lease_until=lease_until))
    return record if secret is None else with_pending(record, secret, now)


def with_pending(record: KeyRecord, secret: NewSecret, now: datetime) -> KeyRecord:
    """Beyond MAX_PENDING the oldest is given up: its runner, and as many after it, ended before they wrote the sink."""
    record = tidy(record, now)
    pending = Generation(
        n=max(generation.n for generation in record.generations) + 1,
        digest=secret.digest,
        pepper_version=secret.pepper_version,
        state="pending",
    )
    waiting = [g.n for g in record.generations if g.state == "pending" or _is_abandoned(g)]
    given_up = waiting[: max(0, len(waiting) + 1 - MAX_PENDING)]
    kept = (replace(g, state="retired", retire_at=now) if g.n in given_up else g for g in record.generations)
    return tidy(replace(record, generations=(*kept, pending)), now)


def abandon_pending(record: KeyRecord, retire_at: datetime) -> KeyRecord:
    """The rotation in flight is not to be finished. A consumer may have its secret, so it is accepted until then, or
    until the key expires as it is now."""
    if find_generation(record, "pending") is None:
        return record
    retire_at = min(retire_at, record.expires_at or retire_at)
    generations = tuple(
        replace(g, state="retiring", retire_at=retire_at) if g.state == "pending" else g for g in record.generations
    )
    rotation = replace(record.rotation, step=None, lease_until=None, failures=0, retry_at=None)
    return replace(record, generations=generations, rotation=rotation)


def note_failure(record: KeyRecord, now: datetime) -> KeyRecord:
    """No tick tries again before `retry_at`: a minute, doubled with each failure in a row, at most an hour."""
    failures = record.rotation.failures + 1
    pause = min(MAX_RETRY_SECONDS, RETRY_SECONDS * 2 ** min(failures - 1, 10))
    rotation = replace(record.rotation, failures=failures, retry_at=now + timedelta(seconds=pause), lease_until=None)
    return replace(record, rotation=rotation)


def end_grace(record: KeyRecord, now: datetime) -> KeyRecord:
    """What is retiring is retired now; nothing changes where nothing is."""
    generations = tuple(
        replace(g, state="retired", retire_at=min(g.retire_at or now, now)) if g.state == "retiring" else g
        for g in record.generations
    )
    return replace(record, generations=generations)


def next_rotation_at(record: KeyRecord, now: datetime) -> datetime | None:
    """One interval on, less up to a tenth of it: by the key's id, so that keys made together don't rotate together."""
    interval = record.rotation.interval_seconds
    if interval is None:
        return None
    spread = int(fingerprint(record.key_id)[:8], 16) / 2**32
    return now + timedelta(seconds=interval - spread * min(interval / 10, MAX_JITTER_SECONDS))


def promote(record: KeyRecord, *, now: datetime, n: int | None = None) -> KeyRecord:
    """Pending generation `n`, by default the newest, is current; the one before retires after the grace that the
    rotation was staged with, or at its own end of life. Zero grace ends every other generation now.

    A key with `lifetime_seconds` lives that long from now on; one with only `expires_at` still ends then.
    Raises: Conflict CONCURRENT_CHANGE where it is not pending, KEY_NOT_LIVE where the key expired since it was staged.
    """
    _require_pending(record, n)
    _require_unexpired(record, now)
    grace_seconds = record.rotation.staged_grace_seconds
    if grace_seconds is None:
        grace_seconds = record.rotation.grace_seconds
    n = n or max(g.n for g in record.generations if g.state == "pending")
    retire_at, expires_at = now + timedelta(seconds=grace_seconds), record.expires_at
    if expires_at is not None:
        retire_at = min(retire_at, expires_at)
    if record.lifetime_seconds is not None:
        expires_at = now + timedelta(seconds=record.lifetime_seconds)
    generations = tuple(_promoted(g, n, retire_at, now) for g in record.generations)
    rotation = replace(
        record.rotation,
        step="promoted",
        next_at=next_rotation_at(record, now),
        staged_grace_seconds=None,
        lease_until=None,
        failures=0,
        retry_at=None,
    )
    promoted = replace(record, expires_at=expires_at, generations=generations, rotation=rotation)
    return tidy(promoted if grace_seconds else end_grace(promoted, now), now)


def _promoted(generation: Generation, n: int, retire_at: datetime, now: datetime) -> Generation:
    """Other pending ones never reached the sink, and can't any more: it was written since they were staged."""
    match generation.state:
        case "pending" if generation.n == n:
            return replace(generation, state="current", activated_at=now)
        case "pending":
            return replace(generation, state="retired", retire_at=now)
        case "current":
            return replace(generation, state="retiring", retire_at=retire_at)
        case _:
            return generation


def tidy(record: KeyRecord, now: datetime) -> KeyRecord:
    """Generations whose grace is over are retired; the oldest retired ones are forgotten."""
    generations = [
        replace(g, state="retired") if g.state == "retiring" and is_rotated_out(g, now) else g
        for g in record.generations
    ]
    retired = [g for g in generations if g.state == "retired"]
    forgotten = {g.n for g in retired[: max(0, len(retired) - MAX_RETIRED_KEPT)]}
    return replace(record, generations=tuple(g for g in generations if g.n not in forgotten))


def _replace_current(record: KeyRecord, secret: NewSecret, now: datetime) -> KeyRecord:
    newest = max(generation.n for generation in record.generations)
    kept = tuple(replace(g, state="retired", retire_at=now) if g.state == "current" else g for g in record.generations)
    current = Generation(
        n=newest + 1,
        digest=secret.digest,
        pepper_version=secret.pepper_version,
        state="current",
        activated_at=now,
    )
    return tidy(replace(record, generations=(*kept, current)), now)


def in_grace(record: KeyRecord, now: datetime) -> bool:
    """The generation before the current one is still accepted. One that was abandoned while pending does not count:
    nobody waits for it."""
    before = find_predecessor(record)
    return before is not None and not is_rotated_out(before, now)


def find_predecessor(record: KeyRecord) -> Generation | None:
    """The retiring generation that was current before."""
    return next((g for g in record.generations if g.state == "retiring" and not _is_abandoned(g)), None)


def _is_abandoned(generation: Generation) -> bool:
    return generation.state == "retiring" and generation.activated_at is None


def find_generation(record: KeyRecord, state: str) -> Generation | None:
    return next((g for g in record.generations if g.state == state), None)


def _require_pending(record: KeyRecord, n: int | None = None) -> None:
    if not any(g.state == "pending" and n in (None, g.n) for g in record.generations):
        raise Conflict("No rotation is under way; another one has overtaken it.", code="CONCURRENT_CHANGE")


def under_way() -> Conflict:
    return Conflict("Another rotation of this key is under way.", code="ROTATION_IN_PROGRESS")
