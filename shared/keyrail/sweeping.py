"""A look at all keys and configs, a part at a time: mends what a crash may have left, and finds what an owner should
know. docs/operations/sweep.md

Whoever names a cursor goes on by himself. What is left of a call without one, as the clock makes it, is a hint in the
due index, and the ticks go on with it.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from keyrail.domain import config
from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.domain.housekeeping import hint_times, is_unused, live_pepper_versions, without_old_generations
from keyrail.domain.records import StoredKey
from keyrail.ports import Services
from keyrail.rotation_ports import DueEntry
from keyrail.telemetry import log

PAGE = 200
MAX_LISTED = 1000  # key ids in one part's report
MAX_FAULTS_IN_A_ROW = 3  # of the store itself: then the rest is left to the next part
INDEX_ENTRY_AGE = timedelta(days=1)  # a younger one may be of an issue under way
TURN_SECONDS = 900  # longer than any tick: so long one that is killed keeps the others from its part
_KEY_ID, _TENANT = "[0-9A-Za-z]{16}", "[a-z0-9][a-z0-9-]{0,62}"
_CURSORS = {  # by phase, in their order: what was looked at last
    "keys": re.compile(_KEY_ID),
    "index": re.compile(f"{_TENANT}/{_KEY_ID}"),
    "configs": re.compile(f"{_TENANT}/{config.NAME.pattern}"),
}
_LEFT = re.compile(  # the subject of a hint: unused_days and a cursor
    rf"([0-9]{{1,4}}):({'|'.join(f'{phase}:(?:{after.pattern})?' for phase, after in _CURSORS.items())})"
)


class Sweep:
    """One part: what it counted and found, and in `next_cursor` where the next one begins, None at the end."""

    def __init__(self, unused_days: int, ends_at: float, services: Services) -> None:
        """`ends_at` by the clock's elapsed seconds."""
        self.services, self.ends_at, self.unused_days = services, ends_at, unused_days
        self.slowest_seconds = 0.0
        self.unused_since = services.clock.now() - timedelta(days=unused_days)
        self.current_pepper = services.lookup.peppers().current
        self.counts: Counter[str] = Counter(looked_at=0, rebuilt=0, tidied=0, unlisted=0, failed=0)
        self.by_pepper_version: Counter[int] = Counter()
        self.unused: list[str] = []
        self.old_pepper: list[str] = []
        self.failures: list[tuple[str, str]] = []  # what, and an error's code
        self.faults_in_a_row = 0
        self.next_cursor: str | None = None

    def is_over(self) -> bool:
        """Another look may take as long as the slowest so far, and must still end in time."""
        if max(len(self.unused), len(self.old_pepper), len(self.failures)) >= MAX_LISTED:
            return True
        is_late = self.services.clock.elapsed_seconds() + self.slowest_seconds >= self.ends_at
        return is_late or self.faults_in_a_row >= MAX_FAULTS_IN_A_ROW

    def run(self, cursor: str | None) -> None:
        """Its report is a line of the log, whoever else gets it. Raises: InvalidArgument BAD_CURSOR; Unavailable."""
        begin, after = place(cursor)
        for phase in list(_CURSORS)[list(_CURSORS).index(begin) :]:
            self.next_cursor = _over(phase, after, self)
            after = None
            if self.next_cursor is not None:
                break
        log(logging.WARNING if self.failures else logging.INFO, "sweep", **self.report())

    def report(self) -> dict[str, Any]:
        return {
            **self.counts,
            "unused": self.unused,
            "old_pepper": self.old_pepper,
            "by_pepper_version": {str(version): count for version, count in sorted(self.by_pepper_version.items())},
            "failures": [{"subject": subject, "code": code} for subject, code in self.failures],
            "next_cursor": self.next_cursor,
        }

    def leave_rest(self) -> None:
        """To the next tick."""
        if self.next_cursor is not None:
            self.services.due.add(_left(self.services.clock.now(), f"{self.unused_days}:{self.next_cursor}"))


def place(cursor: str | None) -> tuple[str, str | None]:
    """A phase, and what was looked at last in it. Raises: InvalidArgument BAD_CURSOR."""
    phase, colon, after = (cursor or "keys:").partition(":")
    if not colon or phase not in _CURSORS or (after and not _CURSORS[phase].fullmatch(after)):
        raise InvalidArgument("The cursor is not one of ours.", code="BAD_CURSOR")
    return phase, after or None


def go_on(hint: DueEntry, ends_at: float, services: Services) -> None:
    """The next part of a sweep that was left, but where another tick has its turn. Nobody fails for it: what went
    wrong is told in the log, and tried again when the turn is over."""
    left, now = _LEFT.fullmatch(hint.subject), services.clock.now()
    if left is None:
        log(logging.ERROR, "sweep", detail="a hint in the due index is not ours, and is removed")
        services.due.remove(hint)
        return
    begun_at = datetime.fromtimestamp(now.timestamp() // TURN_SECONDS * TURN_SECONDS, now.tzinfo)
    turn = _left(begun_at + timedelta(seconds=2 * TURN_SECONDS), hint.subject)  # the same for all who begin about now
    if not services.due.add(turn):
        return
    services.due.remove(hint)
    try:
        part = Sweep(int(left[1]), ends_at, services)
        part.run(left[2])
    except KeyrailError as error:
        log(logging.ERROR, "sweep", code=error.code, detail=error.detail)
        return
    part.leave_rest()
    services.due.remove(turn)


def _left(at: datetime, subject: str) -> DueEntry:
    return DueEntry.of(at, "sweep", subject)


def _over(phase: str, after: str | None, sweep: Sweep) -> str | None:
    """Looks at each; the cursor to go on from, None at the end."""
    for name in _names(phase, after, sweep.services):
        if sweep.is_over():
            return f"{phase}:{after or ''}"
        began_at = sweep.services.clock.elapsed_seconds()
        _look_at(phase, name, sweep)
        sweep.slowest_seconds = max(sweep.slowest_seconds, sweep.services.clock.elapsed_seconds() - began_at)
        after = name
    return None


def _names(phase: str, after: str | None, services: Services) -> Iterator[str]:
    if phase == "configs":
        yield from services.configs.names(after or "")
        return
    listed = services.keys.list_all_ids if phase == "keys" else services.keys.list_index
    while True:
        page = listed(after, PAGE)
        yield from page.key_ids
        after = page.next_after
        if after is None:
            return


def _look_at(phase: str, name: str, sweep: Sweep) -> None:
    """One malformed record never stops the others."""
    try:
        _LOOKS[phase](name, sweep)
        sweep.faults_in_a_row = 0
    except KeyrailError as error:
        sweep.counts["failed"] += 1
        sweep.failures.append((name, error.code))
        sweep.faults_in_a_row += 1


def _look_at_key(key_id: str, sweep: Sweep) -> None:
    services, now = sweep.services, sweep.services.clock.now()
    stored = services.keys.find(key_id)
    if stored is None:
        return
    sweep.counts["looked_at"] += 1
    for at in hint_times(stored, now):
        sweep.counts["rebuilt"] += services.due.add(DueEntry.of(at, "key", key_id))
    tidied = without_old_generations(stored.record, now)
    if tidied is not stored.record:  # where somebody changed it at the same moment, the next night will do
        sweep.counts["tidied"] += services.keys.replace(tidied, stored.version) is not None
    _report(stored, sweep)


def _report(stored: StoredKey, sweep: Sweep) -> None:
    now, key_id = sweep.services.clock.now(), stored.record.key_id
    versions = live_pepper_versions(stored, now)
    sweep.by_pepper_version.update(versions)
    if versions - {sweep.current_pepper}:
        sweep.old_pepper.append(key_id)
    if is_unused(stored, {}, sweep.unused_since, now):  # else there is no need to ask when it was used
        last_used = sweep.services.usage.last_used(key_id)
        if is_unused(stored, last_used, sweep.unused_since, now):
            sweep.unused.append(key_id)


def _look_at_index_entry(name: str, sweep: Sweep) -> None:
    """An issue that was cut off leaves an entry without a record."""
    tenant, _, key_id = name.partition("/")
    keys = sweep.services.keys
    if keys.find(key_id) is not None:
        return
    made_at = keys.indexed_at(tenant, key_id)
    if made_at is None or made_at > sweep.services.clock.now() - INDEX_ENTRY_AGE:
        return
    if keys.find(key_id) is None:  # again: that issue may have been repeated just now
        keys.remove_from_index(tenant, key_id)
        sweep.counts["unlisted"] += 1


def _look_at_config(subject: str, sweep: Sweep) -> None:
    """A rotation that failed is tried once more a night than it put off."""
    tenant, _, name = subject.partition("/")
    document = sweep.services.configs.find(tenant, name).document
    sweep.counts["looked_at"] += 1
    if document is not None and document.rotation is not None:
        entry = DueEntry.of(config.hint_at(document.rotation), "config", subject)
        sweep.counts["rebuilt"] += sweep.services.due.add(entry)


_LOOKS = {"keys": _look_at_key, "index": _look_at_index_entry, "configs": _look_at_config}
