"""One process with its memory and its clock, before a store that tests change, stop and look into."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import builders

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.domain.errors import Unavailable
from keyrail.domain.records import StoredKey
from keyrail.ports import FeedHead, NoMetrics

BOUNDS = CacheBounds(background=False)
POLL, MAX_STALE, TTL = BOUNDS.poll_seconds, BOUNDS.max_stale_seconds, BOUNDS.ttl_seconds
KEY_ID, OTHER_ID = builders.KEY_ID, "1Keyrail1Unit1Id"
A_MOMENT = 0.01


class Store:
    """Every port behind the lookup. `version` is what a reading of a key says; `reads` what was asked for."""

    def __init__(self) -> None:
        self.version = 1
        self.reads: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.down: set[str] = set()
        self.feed = MemoryChangeFeed()

    def find(self, key_id: str) -> StoredKey | None:
        self._read(key_id)
        found = replace(builders.stored(), version=self.version) if key_id in (KEY_ID, OTHER_ID) else None
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()  # the store has looked, and its answer is on its way
        return found

    def head(self) -> FeedHead:
        self._read("feed")
        return self.feed.head()

    def change(self, name: str = KEY_ID) -> None:
        self.version += 1
        self.feed.publish(name)

    def _read(self, name: str) -> None:
        self.reads.append(name)
        if self.down & {name, "all"}:
            raise Unavailable(f"{name} can't be read")


@dataclass
class Document:
    store: Store
    name: str
    value: Any

    def read(self) -> Any:
        self.store._read(self.name)
        return self.value


@dataclass
class Moved:
    seconds: float = 1000.0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)

    def elapsed_seconds(self) -> float:
        return self.seconds


@dataclass
class Counted(NoMetrics):
    outcomes: list[str] = field(default_factory=list)
    feed_read_at: list[float] = field(default_factory=list)

    def cache(self, outcome: str, times: int = 1) -> None:
        self.outcomes += [outcome] * times

    def feed_read(self, at_elapsed_seconds: float) -> None:
        self.feed_read_at.append(at_elapsed_seconds)


@dataclass
class Instance:
    """One process: its memory, its clock, and the store it shares with others."""

    bounds: CacheBounds = BOUNDS
    store: Store = field(default_factory=Store)
    clock: Moved = field(default_factory=Moved)
    metrics: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        peppers, roles = (Document(self.store, *it) for it in (("pepper", builders.PEPPERS), ("roles", builders.ROLES)))
        ports: Any = (self.store, peppers, roles, self.store, self.clock, self.metrics)
        self.lookup = CachedLookup(*ports, self.bounds)

    def version(self, key_id: str = KEY_ID) -> int:
        stored = self.lookup.find(key_id).stored
        assert stored is not None
        return stored.version

    def is_from_memory(self, key_id: str = KEY_ID) -> bool:
        return self.lookup.find(key_id).from_memory

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def reads_of(self, name: str) -> int:
        return self.store.reads.count(name)
