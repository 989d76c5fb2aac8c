"""One tick: every rotation that is due, as far as its time reaches. docs/operations/rotate_due.md"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from keyrail.announce import announce
from keyrail.credential_rotation import rotate_config
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.due import DueAction, due_action, grace_watch_times, is_still_used, left_behind, silent_at
from keyrail.domain.errors import Conflict, DeliveryFailed, KeyrailError
from keyrail.domain.fields import Reply, Request
from keyrail.domain.lifecycle import end_grace, find_generation, find_predecessor, tidy
from keyrail.domain.records import Generation, KeyRecord, StoredKey
from keyrail.event_delivery import deliver_events
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import SinkRotation, rotate_into_sink, tell_promoted
from keyrail.rotation_ports import DueEntry
from keyrail.sweeping import go_on
from keyrail.telemetry import note

SCOPE = "rotation:tick"
MAX_FAULTS_IN_A_ROW = 3  # of the store itself: then the rest is left to the next tick
HEADROOM = 1.5  # times the slowest look so far: what the next one may take
COUNTED = ("rotated", "resumed", "retired", "skipped", "failed")
LOOKS_A_LIST = 20  # at least; then the index is listed anew: what others have done meanwhile is no longer in it


class TickRequest(Request):
    """A tick stops before `budget_seconds` are over, or after `max_rotations`; the next one goes on."""

    budget_seconds: int = Field(default=45, ge=1, le=840)
    max_rotations: int = Field(default=1000, ge=1, le=10_000)


class TickFailure(Reply):
    subject: str
    code: str


class TickReply(Reply):
    """`skipped`: another runner is at it, or it waits for its next try. Anything `failed` makes the status 503; events
    that wait for their receiver don't."""

    rotated: int
    resumed: int
    retired: int
    skipped: int
    failed: int
    remaining: int
    failures: list[TickFailure]
    events_sent: int = 0
    events_waiting: int | None = None

    @property
    def http_status(self) -> int:
        return 503 if self.failed else 200


class _Tick:
    """The counters of one run."""

    def __init__(self, request: TickRequest, caller: Caller, services: Services) -> None:
        self.services, self.actor = services, caller.key_id
        self.ends_at = services.clock.elapsed_seconds() + request.budget_seconds
        self.slowest_seconds = 0.0
        self.max_rotations = request.max_rotations
        self.counts: Counter[str] = Counter()
        self.failures: list[TickFailure] = []
        self.faults_in_a_row = 0
        self.listed_at = services.clock.now()
        self.seen: set[DueEntry] = set()
        self.told: set[str] = set()
        self.sweeps_left: list[DueEntry] = []

    def is_over(self) -> bool:
        """Another look must still end in time."""
        done = self.counts["rotated"] + self.counts["resumed"] + self.counts["failed"]
        is_late = self.services.clock.elapsed_seconds() + HEADROOM * self.slowest_seconds >= self.ends_at
        return is_late or done >= self.max_rotations or self.faults_in_a_row >= MAX_FAULTS_IN_A_ROW

    def unseen(self) -> list[DueEntry]:
        """In any order: ticks side by side start at different ends."""
        self.listed_at = self.services.clock.now()
        listed = self.services.due.due(self.listed_at)
        self.sweeps_left = [entry for entry in listed if entry.kind == "sweep"]
        entries = [entry for entry in listed if entry.kind != "sweep" and entry not in self.seen]
        random.shuffle(entries)
        return entries


def run(request: TickRequest, caller: Caller, services: Services) -> TickReply:
    caller.require_scope(SCOPE)
    tick = _Tick(request, caller, services)
    for entry in _entries(tick):
        began_at = services.clock.elapsed_seconds()
        _look_at(entry, tick)
        tick.slowest_seconds = max(tick.slowest_seconds, services.clock.elapsed_seconds() - began_at)
    for outcome in COUNTED:
        services.metrics.ticked(outcome, tick.counts[outcome])  # 0 too: a first failure is then seen as a rise
    events = deliver_events(services, tick.ends_at)
    if tick.sweeps_left and not tick.is_over():
        go_on(tick.sweeps_left[0], tick.ends_at, services)
    note(**tick.counts, events_sent=events.sent, events_waiting=events.waiting)
    return TickReply(
        **{name: tick.counts[name] for name in (*COUNTED, "remaining")},
        failures=tick.failures,
        events_sent=events.sent,
        events_waiting=events.waiting,
    )


def _entries(tick: _Tick) -> Iterator[DueEntry]:
    """Each once, until the tick is over."""
    while entries := tick.unseen():
        for position, entry in enumerate(entries[: max(LOOKS_A_LIST, len(entries) // 50)]):
            if tick.is_over():
                tick.counts["remaining"] = len(entries) - position
                return
            tick.seen.add(entry)
            yield entry


def _look_at(entry: DueEntry, tick: _Tick) -> None:
    """One failing key never stops the others."""
    try:
        if entry.kind == "config":
            tick.counts[rotate_config(entry, tick.actor, tick.services)] += 1
        else:
            _act(entry, tick.services.keys.find(entry.subject), tick)
        tick.faults_in_a_row = 0
    except Conflict:
        tick.counts["skipped"] += 1
    except KeyrailError as error:
        tick.counts["failed"] += 1
        tick.failures.append(TickFailure(subject=entry.subject, code=error.code))
        tick.faults_in_a_row += not isinstance(error, DeliveryFailed)


def _act(entry: DueEntry, stored: StoredKey | None, tick: _Tick) -> None:
    services, now = tick.services, tick.services.clock.now()
    action, is_done = due_action(stored, now), False
    if stored is not None and action is DueAction.RETIRE:
        stored, is_done = _retire(stored, tidy(stored.record, now), tick), True
        action = due_action(stored, now)
    match action:
        case DueAction.WAIT:
            tick.counts["skipped"] += 1
            return
        case DueAction.DROP:
            if not is_done and not _may_be_dropped(entry, stored, tick):
                return
        case DueAction.WATCH_GRACE if stored is not None:
            _watch_grace(entry, stored, tick)
        case _ if stored is not None:
            _rotate(stored, tick)
            tick.counts["rotated" if action is DueAction.ROTATE else "resumed"] += 1
    services.due.remove(entry)


def _rotate(stored: StoredKey, tick: _Tick) -> None:
    record = stored.record
    asked = SinkRotation(_rotation_id(record), record.rotation.grace_seconds, tick.actor)
    rotate_into_sink(stored, asked, tick.services)
    tick.told.add(record.key_id)


def _rotation_id(record: KeyRecord) -> str:
    """The same for every tick that sees this rotation due: fired twice, late or side by side, it happens once."""
    due_at = record.rotation.next_at
    return fingerprint("due rotation", record.key_id, due_at.isoformat() if due_at else "")


def _may_be_dropped(entry: DueEntry, stored: StoredKey | None, tick: _Tick) -> bool:
    """Not where somebody may be at it still: hints are put before records are written, and removed by whoever did what
    they hint at. Where he was cut off before he told everybody, that is done here."""
    now, lease_seconds = tick.services.clock.now(), tick.services.rotation_lease_seconds
    if now < entry.at + timedelta(seconds=lease_seconds):
        return False
    left = None if stored is None else left_behind(stored.record, entry.at, lease_seconds)
    if stored is None or left is None or stored.record.key_id in tick.told:
        return True
    if left.step == "promoted" and tick.listed_at < left.at + timedelta(seconds=lease_seconds):
        tick.counts["skipped"] += 1
        return False
    if entry not in tick.services.due.due(now):
        return False
    if left.step == "promoted":
        tell_promoted(stored, tick.actor, tick.services)
    else:
        _tell_retired(stored.record, left.n, tick)
    return True


# -- the grace of the generation before -----------------------------------------------------------------------------


def _retire(stored: StoredKey, record: KeyRecord, tick: _Tick) -> StoredKey:
    """`record`, in which what was retiring is retired, is written and told."""
    version = tick.services.keys.replace(record, stored.version)
    if version is None:
        raise Conflict("The key was changed at the same moment.", code="CONCURRENT_CHANGE")
    left = {g.n for g in record.generations if g.state == "retiring"}
    for generation in stored.record.generations:
        if generation.state == "retiring" and generation.n not in left:
            _tell_retired(record, generation.n, tick)
    tick.counts["retired"] += 1
    return StoredKey(record, version)


def _tell_retired(record: KeyRecord, n: int, tick: _Tick) -> None:
    tick.told.add(record.key_id)
    at = next((generation.retire_at for generation in record.generations if generation.n == n), None)
    announce(tick.services, "rotation.retired", record, actor=tick.actor, change=str(n), at=at, generation=n)


def _watch_grace(entry: DueEntry, stored: StoredKey, tick: _Tick) -> None:
    """Tells the owner that the old generation is still in use; or ends its grace where it has been silent."""
    services, record, now = tick.services, stored.record, tick.services.clock.now()
    predecessor, current = find_predecessor(record), find_generation(record, "current")
    if predecessor is None or current is None or current.activated_at is None:
        return
    used_at = services.usage.last_used(record.key_id).get(predecessor.n)
    if record.rotation.silent_seconds is not None:
        silent_from = silent_at(record, current.activated_at, used_at)
        if silent_from <= now:
            _end_grace(stored, predecessor, tick)
            return
        services.due.add(DueEntry.of(silent_from, "key", record.key_id))
    warn_at = grace_watch_times(record)[0]
    if entry.at == DueEntry.of(warn_at, "key", record.key_id).at and is_still_used(record, used_at):
        services.metrics.grace_still_used()
        announce(
            services,
            "grace.still_used",
            record,
            actor=tick.actor,
            change=str(predecessor.n),
            generation=predecessor.n,
            last_used_at=_told(used_at),
            retire_at=_told(predecessor.retire_at),
        )


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _end_grace(stored: StoredKey, predecessor: Generation, tick: _Tick) -> None:
    """Early, so the feed tells those who hold the record; and the hint for its end says nothing any more."""
    _retire(stored, end_grace(stored.record, tick.services.clock.now()), tick)
    tick.services.feed.publish(stored.record.key_id)
    if predecessor.retire_at is not None:
        tick.services.due.remove(DueEntry.of(predecessor.retire_at, "key", stored.record.key_id))


OPERATION = Operation(
    name="rotate_due",
    summary="Rotate everything that is due",
    method="POST",
    path="/v1/rotation/tick",
    scope=SCOPE,
    request=TickRequest,
    reply=TickReply,
    run=run,
    codes=("BAD_EVENT", "TOKEN_REFUSED"),
    takes_events=True,
    takes_oidc=True,
)
