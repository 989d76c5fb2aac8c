"""Once a night, over all keys and configs: mends what a crash may have left, and tells what an owner should know.
docs/operations/sweep.md"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from keyrail.domain import config
from keyrail.domain.access import Caller
from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.domain.fields import Reply, Request
from keyrail.domain.housekeeping import hint_times, is_unused, live_pepper_versions, without_old_generations
from keyrail.domain.records import StoredKey
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation_ports import DueEntry
from keyrail.telemetry import note

SCOPE = "rotation:tick"
PAGE = 200
MAX_LISTED = 1000  # key ids in one reply
MAX_FAULTS_IN_A_ROW = 3  # of the store itself: then the rest is left to the next call
INDEX_ENTRY_AGE = timedelta(days=1)  # a younger one may be of an issue under way
_KEY_ID, _TENANT = "[0-9A-Za-z]{16}", "[a-z0-9][a-z0-9-]{0,62}"
_CURSORS = {  # by phase, in their order: what was looked at last
    "keys": re.compile(_KEY_ID),
    "index": re.compile(f"{_TENANT}/{_KEY_ID}"),
    "configs": re.compile(f"{_TENANT}/{config.NAME.pattern}"),
}


class SweepRequest(Request):
    """A sweep stops before `budget_seconds` are over; `cursor` is the `next_cursor` of the call before."""

    budget_seconds: int = Field(default=45, ge=1, le=840)
    unused_days: int = Field(default=90, ge=1, le=3650)
    cursor: str | None = Field(default=None, max_length=256)


class SweepFailure(Reply):
    subject: str
    code: str


class SweepReply(Reply):
    """Without `next_cursor` all was looked at. Anything `failed` makes the status 503; the rest was done."""

    looked_at: int
    rebuilt: int
    tidied: int
    unlisted: int
    failed: int
    unused: list[str]
    old_pepper: list[str]
    by_pepper_version: dict[str, int]
    failures: list[SweepFailure]
    next_cursor: str | None = None

    @property
    def http_status(self) -> int:
        return 503 if self.failed else 200


class _Sweep:
    def __init__(self, request: SweepRequest, services: Services) -> None:
        self.services = services
        self.ends_at = services.clock.elapsed_seconds() + request.budget_seconds
        self.slowest_seconds = 0.0
        self.unused_since = services.clock.now() - timedelta(days=request.unused_days)
        self.current_pepper = services.lookup.peppers().current
        self.counts: Counter[str] = Counter()
        self.by_pepper_version: Counter[int] = Counter()
        self.unused: list[str] = []
        self.old_pepper: list[str] = []
        self.failures: list[SweepFailure] = []
        self.faults_in_a_row = 0

    def is_over(self) -> bool:
        """Another look may take as long as the slowest so far, and must still end in time."""
        if max(len(self.unused), len(self.old_pepper), len(self.failures)) >= MAX_LISTED:
            return True
        is_late = self.services.clock.elapsed_seconds() + self.slowest_seconds >= self.ends_at
        return is_late or self.faults_in_a_row >= MAX_FAULTS_IN_A_ROW


def run(request: SweepRequest, caller: Caller, services: Services) -> SweepReply:
    caller.require_scope(SCOPE)
    begin, after = _place(request.cursor)
    sweep = _Sweep(request, services)
    next_cursor = None
    for phase in list(_CURSORS)[list(_CURSORS).index(begin) :]:
        next_cursor = _over(phase, after, sweep)
        after = None
        if next_cursor is not None:
            break
    note(**sweep.counts, is_complete=next_cursor is None)
    return SweepReply(
        **{name: sweep.counts[name] for name in ("looked_at", "rebuilt", "tidied", "unlisted", "failed")},
        unused=sweep.unused,
        old_pepper=sweep.old_pepper,
        by_pepper_version={str(version): count for version, count in sorted(sweep.by_pepper_version.items())},
        failures=sweep.failures,
        next_cursor=next_cursor,
    )


def _place(cursor: str | None) -> tuple[str, str | None]:
    phase, colon, after = (cursor or "keys:").partition(":")
    if not colon or phase not in _CURSORS or (after and not _CURSORS[phase].fullmatch(after)):
        raise InvalidArgument("The cursor is not one of ours.", code="BAD_CURSOR")
    return phase, after or None


def _over(phase: str, after: str | None, sweep: _Sweep) -> str | None:
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


def _look_at(phase: str, name: str, sweep: _Sweep) -> None:
    """One malformed record never stops the others."""
    try:
        _LOOKS[phase](name, sweep)
        sweep.faults_in_a_row = 0
    except KeyrailError as error:
        sweep.counts["failed"] += 1
        sweep.failures.append(SweepFailure(subject=name, code=error.code))
        sweep.faults_in_a_row += 1


def _look_at_key(key_id: str, sweep: _Sweep) -> None:
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


def _report(stored: StoredKey, sweep: _Sweep) -> None:
    now, key_id = sweep.services.clock.now(), stored.record.key_id
    versions = live_pepper_versions(stored, now)
    sweep.by_pepper_version.update(versions)
    if versions - {sweep.current_pepper}:
        sweep.old_pepper.append(key_id)
    if is_unused(stored, {}, sweep.unused_since, now):  # else there is no need to ask when it was used
        last_used = sweep.services.usage.last_used(key_id)
        if is_unused(stored, last_used, sweep.unused_since, now):
            sweep.unused.append(key_id)


def _look_at_index_entry(name: str, sweep: _Sweep) -> None:
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


def _look_at_config(subject: str, sweep: _Sweep) -> None:
    """A rotation that failed is tried once more a night than it put off."""
    tenant, _, name = subject.partition("/")
    document = sweep.services.configs.find(tenant, name).document
    sweep.counts["looked_at"] += 1
    if document is not None and document.rotation is not None:
        entry = DueEntry.of(config.hint_at(document.rotation), "config", subject)
        sweep.counts["rebuilt"] += sweep.services.due.add(entry)


_LOOKS = {"keys": _look_at_key, "index": _look_at_index_entry, "configs": _look_at_config}


OPERATION = Operation(
    name="sweep",
    summary="Mend and report, over all keys",
    method="POST",
    path="/v1/rotation/sweep",
    scope=SCOPE,
    request=SweepRequest,
    reply=SweepReply,
    run=run,
    codes=("BAD_EVENT", "BAD_CURSOR", "TOKEN_REFUSED"),
    takes_events=True,
    takes_oidc=True,
)
