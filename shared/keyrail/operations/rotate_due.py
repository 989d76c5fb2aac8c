"""One tick: every rotation that is due, as far as its time reaches. docs/rotation.md"""

import random
from collections import Counter
from datetime import timedelta

from pydantic import Field

from keyrail.announce import announce
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.due import DueAction, due_action, grace_watch_times
from keyrail.domain.errors import Conflict, DeliveryFailed, KeyrailError
from keyrail.domain.fields import Reply, Request
from keyrail.domain.lifecycle import end_grace, find_generation, note_failure, tidy
from keyrail.domain.records import KeyRecord, StoredKey
from keyrail.operations.operation import Operation
from keyrail.ports import DueEntry, Services
from keyrail.rotation import SinkRotation, rotate_into_sink
from keyrail.telemetry import note

SCOPE = "rotation:tick"
MAX_FAULTS_IN_A_ROW = 3  # of the store itself: then the rest is left to the next tick


class TickRequest(Request):
    """A tick stops before `budget_seconds` are over, or after `max_rotations`; the next one goes on."""

    budget_seconds: int = Field(default=45, ge=1, le=840)
    max_rotations: int = Field(default=1000, ge=1, le=10_000)


class TickFailure(Reply):
    subject: str
    code: str


class TickReply(Reply):
    """`skipped`: another runner is at it, or it waits for its next try. Anything `failed` makes the status 503."""

    rotated: int
    resumed: int
    retired: int
    skipped: int
    failed: int
    remaining: int
    failures: list[TickFailure]

    @property
    def http_status(self) -> int:
        return 503 if self.failed else 200


class _Tick:
    """The counters of one run."""

    def __init__(self, request: TickRequest, caller: Caller, services: Services) -> None:
        self.services, self.actor = services, caller.key_id
        self.ends_at = services.clock.elapsed_seconds() + request.budget_seconds
        self.max_rotations = request.max_rotations
        self.counts: Counter[str] = Counter()
        self.failures: list[TickFailure] = []
        self.faults_in_a_row = 0

    def is_over(self) -> bool:
        done = self.counts["rotated"] + self.counts["resumed"] + self.counts["failed"]
        out_of_time = self.services.clock.elapsed_seconds() >= self.ends_at
        return out_of_time or done >= self.max_rotations or self.faults_in_a_row >= MAX_FAULTS_IN_A_ROW


def run(request: TickRequest, caller: Caller, services: Services) -> TickReply:
    caller.require_scope(SCOPE)
    tick = _Tick(request, caller, services)
    entries = services.due.due(services.clock.now())
    random.shuffle(entries)  # ticks side by side start at different ends
    for position, entry in enumerate(entries):
        if tick.is_over():
            tick.counts["remaining"] = len(entries) - position
            break
        _look_at(entry, tick)
    note(**tick.counts)
    return TickReply(
        **{name: tick.counts[name] for name in ("rotated", "resumed", "retired", "skipped", "failed", "remaining")},
        failures=tick.failures,
    )


def _look_at(entry: DueEntry, tick: _Tick) -> None:
    """One failing key never stops the others."""
    try:
        stored = tick.services.keys.find(entry.subject)
        _act(entry, stored, tick)
        tick.faults_in_a_row = 0
    except Conflict:
        tick.counts["skipped"] += 1
    except KeyrailError as error:
        tick.counts["failed"] += 1
        tick.failures.append(TickFailure(subject=entry.subject, code=error.code))
        tick.faults_in_a_row += not isinstance(error, DeliveryFailed)
        _put_off(entry.subject, error, tick)


def _act(entry: DueEntry, stored: StoredKey | None, tick: _Tick) -> None:
    services, now = tick.services, tick.services.clock.now()
    action = due_action(stored, now)
    if stored is not None and action is DueAction.RETIRE:
        stored = _retire(stored, tick)
        action = due_action(stored, now)
    if stored is None or action is DueAction.DROP:
        services.due.remove(entry)
        return
    if action is DueAction.WAIT:
        tick.counts["skipped"] += 1
        return
    if action is DueAction.WATCH_GRACE:
        _watch_grace(stored, tick)
    else:
        record = stored.record
        asked = SinkRotation(_rotation_id(record), record.rotation.grace_seconds, tick.actor)
        rotate_into_sink(stored, asked, services)
        tick.counts["rotated" if action is DueAction.ROTATE else "resumed"] += 1
    services.due.remove(entry)


def _rotation_id(record: KeyRecord) -> str:
    """The same for every tick that sees this rotation due: fired twice, late or side by side, it happens once."""
    due_at = record.rotation.next_at
    return fingerprint("due rotation", record.key_id, due_at.isoformat() if due_at else "")


def _retire(stored: StoredKey, tick: _Tick) -> StoredKey:
    """The clock has retired it already; this tidies the record up and tells."""
    services, now = tick.services, tick.services.clock.now()
    retiring = find_generation(stored.record, "retiring")
    record = tidy(stored.record, now)
    version = services.keys.replace(record, stored.version)
    if version is None:
        raise Conflict("The key was changed at the same moment.", code="CONCURRENT_CHANGE")
    n = retiring.n if retiring is not None else 0
    announce(services, "rotation.retired", record, actor=tick.actor, change=str(n), generation=n)
    tick.counts["retired"] += 1
    return StoredKey(record, version)


def _watch_grace(stored: StoredKey, tick: _Tick) -> None:
    """Tells the owner that the old generation is still in use; or ends its grace where it has been silent."""
    services, now = tick.services, tick.services.clock.now()
    record, retiring = stored.record, find_generation(stored.record, "retiring")
    if retiring is None:
        return
    silent_seconds = record.rotation.silent_seconds
    current = find_generation(record, "current")
    since = current.activated_at if current is not None else None
    used_at = services.usage.last_used(record.key_id).get(retiring.n)
    quiet_since = max((at for at in (used_at, since) if at is not None), default=now)
    if silent_seconds is not None and now - quiet_since >= timedelta(seconds=silent_seconds):
        version = services.keys.replace(end_grace(record, now), stored.version)
        if version is None:
            raise Conflict("The key was changed at the same moment.", code="CONCURRENT_CHANGE")
        services.feed.publish(record.key_id)
        announce(services, "rotation.retired", record, actor=tick.actor, change=str(retiring.n), generation=retiring.n)
        tick.counts["retired"] += 1
        return
    if silent_seconds is not None:
        services.due.add(DueEntry.of(quiet_since + timedelta(seconds=silent_seconds), "key", record.key_id))
    if used_at is not None and now >= max(grace_watch_times(record)[:1], default=now):
        services.metrics.grace_still_used()
        announce(
            services, "grace.still_used", record, actor=tick.actor, change=str(retiring.n), last_used_at=str(used_at)
        )


def _put_off(key_id: str, error: KeyrailError, tick: _Tick) -> None:
    """The next try is later with every failure; best effort, since the store may be what failed."""
    services = tick.services
    try:
        stored = services.keys.find(key_id)
        if stored is None:
            return
        record = note_failure(stored.record, services.clock.now())
        services.keys.replace(record, stored.version)
        announce(
            services,
            "rotation.failed",
            record,
            actor=tick.actor,
            change=f"{record.rotation.rotation_id}:{record.rotation.failures}",
            code=error.code,
            detail=error.detail,
        )
    except KeyrailError as second:
        note(put_off_failed=second.code)


OPERATION = Operation(
    name="rotate_due",
    summary="Rotate everything that is due",
    method="POST",
    path="/v1/rotation/tick",
    scope=SCOPE,
    request=TickRequest,
    reply=TickReply,
    run=run,
    codes=("BAD_EVENT",),
    takes_events=True,
)
