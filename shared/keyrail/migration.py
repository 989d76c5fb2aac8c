"""Moves keys from one store to another while both are in use: a key at a time, each step safe to repeat.

    look at both ──▶ note what will be written ──▶ tombstone ──▶ record ──▶ feed ──┐
        ▲                                                                          │
        └──────────────── until there is nothing to do: then note that both agree ◀┘

The last look is the proof: it reads both sides anew. A tombstone goes first, so the target never holds a revoked key
alive. Whatever is newer at the target stays. docs/deploy/choose-store.md
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from keyrail.domain.errors import Conflict
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.migration import Alike, Newer, Noted, alike, newer
from keyrail.domain.records import StoredKey
from keyrail.ports import ChangeFeed, KeyStore
from keyrail.rotation_ports import DueEntry, DueIndex

LOOKS = 5  # at a key that changes under our hands; then Conflict
PAGE = 1000
_FOREVER = datetime.max.replace(tzinfo=UTC)


class Outcome(StrEnum):
    COPIED = "copied"
    UPDATED = "updated"
    REVOKED = "revoked"  # the tombstone alone
    SAME = "same"
    NEWER_THERE = "newer there"
    GONE = "gone"  # listed, and without a record


_WRITTEN = (Outcome.COPIED, Outcome.UPDATED, Outcome.REVOKED)


@dataclass(frozen=True, slots=True)
class Store:
    """All of it that moves."""

    keys: KeyStore
    due: DueIndex
    feed: ChangeFeed


class Notes(Protocol):
    """What this run and those before it know of each key. Kept when it is told; safe to share among threads."""

    def of(self, key_id: str) -> Noted: ...

    def intend(self, key_id: str, written: Alike | None) -> None:
        """Before a write at the target; None where it is a tombstone alone."""
        ...

    def agree(self, key_id: str, both: Alike) -> None: ...

    def unsettled(self) -> list[str]:
        """Of which a write was intended, and nothing is known since."""
        ...


@dataclass(frozen=True)
class Migration:
    """Every method may raise Unavailable and DeadlineExceeded, and be called again then."""

    source: Store
    target: Store
    notes: Notes
    dry_run: bool = False

    def key_ids(self) -> list[str]:
        """Of all records of the source, some 70 bytes each."""
        return _all_ids(self.source.keys)

    def hints(self) -> list[DueEntry]:
        """All that a tick is to look at one day."""
        return self.source.due.due(_FOREVER)

    def move_hint(self, entry: DueEntry) -> str:
        if self.dry_run:
            return "hints"
        return "hints" if self.target.due.add(entry) else "hints there"

    def tell_again(self) -> None:
        """Of what a run that was cut off may have written and not told of."""
        for key_id in self.notes.unsettled():
            self.target.feed.publish(key_id)

    def move(self, key_id: str) -> Outcome:
        """Until both agree, or the target is ahead. Raises: Conflict BOTH_CHANGED, CONCURRENT_CHANGE; Unreadable."""
        first = outcome = self._step(key_id)
        for _ in range(LOOKS):
            if outcome not in _WRITTEN or self.dry_run:
                return first
            outcome = self._step(key_id)
        raise Conflict(f"{key_id} changes faster than it can be copied.", code="CONCURRENT_CHANGE")

    def changed_since(self, seq: int) -> tuple[int, list[str] | None]:
        """Where the source's feed is now, and the key ids that it named since; None where it named too many."""
        head = self.source.feed.head()
        names = head.changed_since(seq)
        return head.seq, None if names is None else sorted({name for name in names if KEY_ID.fullmatch(name)})

    def count_there(self) -> int:
        return len(_all_ids(self.target.keys))

    def _step(self, key_id: str) -> Outcome:
        """One look at both, and what it asks for."""
        here, there = self.source.keys.find(key_id), self.target.keys.find(key_id)
        if here is None:
            return Outcome.GONE
        is_revoked_here_only = here.tombstone is not None and (there is None or there.tombstone is None)
        what = Newer.SOURCE if there is None else newer(here, there, self.notes.of(key_id))
        if what is Newer.SOURCE or is_revoked_here_only:
            return self._write(here, there, with_record=what is Newer.SOURCE)
        if what is Newer.UNKNOWN:
            raise Conflict(f"{key_id} differs, and nobody knows which is newer.", code="BOTH_CHANGED")
        if there is not None and what is Newer.NEITHER:
            self._agree(here, there)
        return Outcome.SAME if what is Newer.NEITHER else Outcome.NEWER_THERE

    def _write(self, here: StoredKey, there: StoredKey | None, *, with_record: bool) -> Outcome:
        """Tombstone, record, and word of it. Where a race is lost the next look finds out."""
        record, version = here.record, 0 if there is None else there.version
        outcome = Outcome.REVOKED if not with_record else Outcome.COPIED if there is None else Outcome.UPDATED
        if self.dry_run:
            return outcome
        self.notes.intend(record.key_id, alike(here, version + 1) if with_record else None)
        if here.tombstone is not None:
            self.target.keys.revoke(here.tombstone)
        if with_record and there is None:
            self.target.keys.create(record)
        elif with_record:
            self.target.keys.replace(record, version)
        if there is not None:
            self.target.feed.publish(record.key_id)
        return outcome

    def _agree(self, here: StoredKey, there: StoredKey) -> None:
        key_id, both = here.record.key_id, alike(here, there.version)
        if not self.dry_run and self.notes.of(key_id) != Noted(both):
            self.notes.agree(key_id, both)


def _all_ids(keys: KeyStore) -> list[str]:
    ids: list[str] = []
    after: str | None = None
    while True:
        page = keys.list_all_ids(after, PAGE)
        ids += page.key_ids
        after = page.next_after
        if after is None:
            return ids
