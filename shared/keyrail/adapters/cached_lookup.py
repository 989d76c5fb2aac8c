"""What validation reads, kept in memory, and never believed for longer than it may be.

    revoke/rotate/update ──write──▶ record ──bump──▶ feed/head {seq, ring}
                                                        │ read at most once a second
    validate ──▶ entry held? ──▶ feed known? ──▶ younger than its TTL? ──▶ answer from memory
                    │ no           │ no: read it now; not for max_stale: │ no
                    └──────────────┴───────── read through ──────────────┘

An entry in use is read anew before its TTL ends, behind the requests' back; where that fails it is believed until then.
Three bounds, each on its own enough: the feed (about a second), `max_stale_seconds` without a feed, and the TTL.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from keyrail.adapters.refresher import Refresher
from keyrail.domain.digest import Peppers
from keyrail.domain.errors import KeyrailError
from keyrail.domain.roles import Roles
from keyrail.ports import ChangeFeed, Clock, Found, Holding, KeyStore, Metrics, PepperSource, RoleSource
from keyrail.telemetry import log

_DOCUMENTS = ("pepper", "roles")
LOCK_SECONDS = 0.25  # for another thread's reading of the feed, which takes milliseconds or does not come

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheBounds:
    poll_seconds: float = 1.0
    max_stale_seconds: float = 5.0
    ttl_seconds: float = 10.0
    document_ttl_seconds: float = 60.0  # peppers and roles: small, and the feed tells of them too
    max_keys: int = 20_000  # about 2 KB each
    background: bool = True  # False where a process is frozen between requests: then the feed is read inline

    def refresh_after(self, ttl_seconds: float) -> float:
        """So early that what is in use would last for all of `max_stale_seconds`, should the store go away."""
        return max(ttl_seconds - self.max_stale_seconds, ttl_seconds / 2)


class _Entry:
    __slots__ = ("read_at", "refresh_at", "value")

    def __init__(self, value: Any, read_at: float, refresh_at: float) -> None:
        self.value = value
        self.read_at = read_at
        self.refresh_at = refresh_at


class CachedLookup:
    def __init__(
        self,
        keys: KeyStore,
        peppers: PepperSource,
        roles: RoleSource,
        feed: ChangeFeed,
        clock: Clock,
        metrics: Metrics,
        bounds: CacheBounds,
    ) -> None:
        self._keys, self._peppers, self._roles, self._feed = keys, peppers, roles, feed
        self._clock, self._metrics, self._bounds = clock, metrics, bounds
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()  # guards entries, their changes and seq together
        self._changes = 0
        self._poll_lock = threading.Lock()  # one reader of the feed at a time
        self._seq: int | None = None
        self._feed_read_at = self._feed_began_at = self._feed_tried_at = float("-inf")
        self._inline_after = bounds.poll_seconds * (1.25 if bounds.background else 1.0)
        self._retry_after = self._inline_after if bounds.background else bounds.poll_seconds / 2
        self._poller: threading.Thread | None = None
        self._refresher = Refresher()

    def find(self, key_id: str, *, anew: bool = False) -> Found:
        load = partial(self._keys.find, key_id)
        stored, from_memory = self._value(key_id, self._bounds.ttl_seconds, load, anew=anew)
        self._metrics.cache("hit" if from_memory else "miss")
        return Found(stored, from_memory)

    def peppers(self, *, anew: bool = False) -> Peppers:
        return self._value("pepper", self._bounds.document_ttl_seconds, self._peppers.read, anew=anew)[0]

    def roles(self) -> Roles:
        return self._value("roles", self._bounds.document_ttl_seconds, self._roles.read)[0]

    def changes(self) -> int:
        return self._changes

    def holding(self, key_ids: Iterable[str], changes: int) -> Holding | None:
        names = (*key_ids, *_DOCUMENTS)
        with self._lock:
            if self._changes != changes or not self._entries.keys() >= set(names):
                return None
            return tuple((name, self._entries[name]) for name in names)

    def still_holds(self, holding: Holding) -> bool:
        now = self._clock.elapsed_seconds()
        if now - self._feed_read_at > self._inline_after:
            return False
        for name, known in holding:
            entry = self._entries.get(name)
            if entry is None or entry is not known or now >= entry.refresh_at:
                return False
        return True

    def _value(self, name: str, ttl_seconds: float, load: Callable[[], T], *, anew: bool = False) -> tuple[T, bool]:
        """The value, and whether it is from memory."""
        entry, now = self._entries.get(name), self._clock.elapsed_seconds()
        if entry is not None and not anew and now < entry.refresh_at and now - self._feed_read_at <= self._inline_after:
            return entry.value, True  # almost always; what follows asks the same again, and what to do
        entry = None if anew else self._held(name, ttl_seconds)
        if entry is None:
            return self._read_through(name, ttl_seconds, load), False
        if self._is_to_be_refreshed(entry, ttl_seconds):
            if self._bounds.background:
                self._refresher.add(name, lambda: self._read_through(name, ttl_seconds, load))
                return entry.value, True
            try:
                return self._read_through(name, ttl_seconds, load), False
            except KeyrailError:
                entry = self._held(name, ttl_seconds)  # trying may have taken a while
                if entry is None:
                    raise
        return entry.value, True

    def _held(self, name: str, ttl_seconds: float) -> _Entry | None:
        """What is held of `name` and may be believed."""
        if name not in self._entries:
            return None
        now = self._clock.elapsed_seconds()
        if now - self._feed_read_at > self._inline_after and not self._feed_is_known():
            return None
        entry = self._entries.get(name)  # only now: reading the feed may just have dropped it
        return entry if entry is not None and now - entry.read_at <= ttl_seconds else None

    def _is_to_be_refreshed(self, entry: _Entry, ttl_seconds: float) -> bool:
        """Once a second, to whoever asks first, from `refresh_at` on, which is never later than the end of the TTL."""
        now = self._clock.elapsed_seconds()
        if now < entry.refresh_at:
            return False
        entry.refresh_at = min(now + self._bounds.poll_seconds, entry.read_at + ttl_seconds)
        return True

    def _read_through(self, name: str, ttl_seconds: float, load: Callable[[], T]) -> T:
        if self._seq is None:
            self._feed_is_known()
        seq, read_at = self._seq, self._clock.elapsed_seconds()
        value = load()
        if value is None:
            with self._lock:
                self._changes += 1
                self._entries.pop(name, None)
        elif seq is not None:
            self._insert(name, _Entry(value, read_at, read_at + self._bounds.refresh_after(ttl_seconds)), seq)
        return value

    def _insert(self, name: str, entry: _Entry, seq: int) -> None:
        """Not where a change was seen since the reading began: the entry may be from before that change."""
        with self._lock:
            if self._seq != seq:
                return
            self._changes += 1
            self._entries.pop(name, None)
            self._entries[name] = entry
            if name not in _DOCUMENTS:
                self._make_room()

    def _make_room(self) -> None:
        """The keys held longest go first; pepper and roles, which every decision needs, stay."""
        documents = sum(name in self._entries for name in _DOCUMENTS)
        while len(self._entries) - documents > self._bounds.max_keys:
            del self._entries[next(name for name in self._entries if name not in _DOCUMENTS)]

    def _feed_is_known(self) -> bool:
        """True where the feed was read within `max_stale_seconds`; reads it here where a reading is due."""
        age = self._clock.elapsed_seconds() - self._feed_read_at
        if age <= self._inline_after:
            return True
        self._start_poller()
        if self._poll_lock.acquire(timeout=0 if self._reading_hangs() else LOCK_SECONDS):
            try:
                self._poll_if_due(self._retry_after)  # later than the poller's turn: a hanging Vault holds up it alone
            finally:
                self._poll_lock.release()
        return self._clock.elapsed_seconds() - self._feed_read_at <= self._bounds.max_stale_seconds

    def _reading_hangs(self) -> bool:
        """True where another thread has been reading the feed for long. One that has just begun is worth waiting for:
        in a process that stood still, it and the request that must not see the old memory wake together."""
        is_under_way = self._feed_began_at > self._feed_tried_at
        return is_under_way and self._clock.elapsed_seconds() - self._feed_began_at > LOCK_SECONDS

    def _poll_if_due(self, after_seconds: float) -> None:
        """Where the last reading, or the end of the last attempt, is so long ago."""
        now = self._clock.elapsed_seconds()
        if now - max(self._feed_read_at, self._feed_tried_at) < after_seconds:
            return
        self._feed_began_at = now
        try:
            head = self._feed.head()
        except KeyrailError as error:
            log(logging.WARNING, "feed", code=error.code, detail=error.detail)
            return
        finally:
            self._feed_tried_at = self._clock.elapsed_seconds()
        with self._lock:
            changed = None if self._seq is None else head.changed_since(self._seq)
            self._changes += changed != ()
            if changed is None:
                self._entries.clear()
            for name in changed or ():
                self._entries.pop(name, None)
            self._seq, self._feed_read_at = head.seq, now
        self._metrics.feed_read(now)

    def _start_poller(self) -> None:
        if not self._bounds.background:
            return
        with self._lock:
            if self._poller is None or not self._poller.is_alive():
                self._poller = threading.Thread(target=self._poll_forever, name="keyrail-feed", daemon=True)
                self._poller.start()

    def _poll_forever(self) -> None:
        while True:
            time.sleep(self._bounds.poll_seconds * random.uniform(0.8, 1.0))  # noqa: S311
            with self._poll_lock:
                self._poll_if_due(self._bounds.poll_seconds / 2)
