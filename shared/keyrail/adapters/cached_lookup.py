"""What validation reads, kept in memory, and never believed for longer than it may be.

    revoke/rotate/update ──write──▶ record ──bump──▶ feed/head {seq, ring}
                                                        │ read at most once a second
    validate ──▶ entry held? ──▶ feed known? ──▶ younger than its TTL? ──▶ answer from memory
                    │ no           │ no: read it now; not for max_stale: │ no
                    └──────────────┴───────── read through ──────────────┘

Three bounds, each on its own enough: the feed (about a second), `max_stale_seconds` without a feed, and the TTL.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from keyrail.domain.digest import Peppers
from keyrail.domain.errors import KeyrailError
from keyrail.domain.roles import Roles
from keyrail.ports import ChangeFeed, Clock, Found, KeyStore, Metrics, PepperSource, RoleSource
from keyrail.telemetry import log

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheBounds:
    poll_seconds: float = 1.0
    max_stale_seconds: float = 5.0
    ttl_seconds: float = 10.0
    document_ttl_seconds: float = 60.0  # peppers and roles: small, and the feed tells of them too
    max_keys: int = 20_000  # about 2 KB each
    background: bool = True  # False where a process is frozen between requests: then the feed is read inline


class _Entry:
    __slots__ = ("read_at", "value")

    def __init__(self, value: Any, read_at: float) -> None:
        self.value = value
        self.read_at = read_at


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
        self._lock = threading.Lock()  # guards entries and seq together
        self._poll_lock = threading.Lock()  # one reader of the feed at a time
        self._seq: int | None = None
        self._feed_read_at = self._feed_tried_at = float("-inf")
        self._inline_after = bounds.poll_seconds * (1.25 if bounds.background else 1.0)
        self._poller: threading.Thread | None = None

    def find(self, key_id: str) -> Found:
        held = self._held(key_id, self._bounds.ttl_seconds)
        if held is None:
            self._metrics.cache("miss")
            return Found(self._read_through(key_id, lambda: self._keys.find(key_id)), from_memory=False)
        self._metrics.cache("hit")
        return Found(held, from_memory=True)

    def peppers(self) -> Peppers:
        held = self._held("pepper", self._bounds.document_ttl_seconds)
        return self._read_through("pepper", self._peppers.read) if held is None else held

    def roles(self) -> Roles:
        held = self._held("roles", self._bounds.document_ttl_seconds)
        return self._read_through("roles", self._roles.read) if held is None else held

    def forget(self, name: str) -> None:
        with self._lock:
            self._entries.pop(name, None)

    def _held(self, name: str, ttl_seconds: float) -> Any:
        """What is held of `name` and may be believed; None for anything else."""
        if name not in self._entries:
            return None
        now = self._clock.elapsed_seconds()
        if now - self._feed_read_at > self._inline_after and not self._feed_is_known():
            return None
        entry = self._entries.get(name)  # only now: reading the feed may just have dropped it
        return entry.value if entry is not None and now - entry.read_at <= ttl_seconds else None

    def _read_through(self, name: str, load: Callable[[], T]) -> T:
        if self._seq is None:
            self._feed_is_known()
        seq, read_at = self._seq, self._clock.elapsed_seconds()
        value = load()
        if value is not None and seq is not None:
            self._insert(name, _Entry(value, read_at), seq)
        return value

    def _insert(self, name: str, entry: _Entry, seq: int) -> None:
        """Not where a change was seen since the reading began: the entry may be from before that change."""
        with self._lock:
            if self._seq != seq:
                return
            self._entries.pop(name, None)
            self._entries[name] = entry
            while len(self._entries) > self._bounds.max_keys:
                del self._entries[next(iter(self._entries))]

    def _feed_is_known(self) -> bool:
        """True where the feed was read within `max_stale_seconds`; reads it here where a reading is due."""
        age = self._clock.elapsed_seconds() - self._feed_read_at
        if age <= self._inline_after:
            return True
        self._start_poller()
        too_old = age > self._bounds.max_stale_seconds
        if self._poll_lock.acquire(blocking=too_old, timeout=self._bounds.poll_seconds if too_old else -1):
            try:
                self._poll_if_due()
            finally:
                self._poll_lock.release()
        return self._clock.elapsed_seconds() - self._feed_read_at <= self._bounds.max_stale_seconds

    def _poll_if_due(self) -> None:
        now = self._clock.elapsed_seconds()
        if now - max(self._feed_read_at, self._feed_tried_at) < self._bounds.poll_seconds / 2:
            return
        self._feed_tried_at = now
        try:
            head = self._feed.head()
        except KeyrailError as error:
            log(logging.WARNING, "feed", code=error.code, detail=error.detail)
            return
        with self._lock:
            changed = None if self._seq is None else head.changed_since(self._seq)
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
                self._poll_if_due()
