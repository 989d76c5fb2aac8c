"""adapters/cached_lookup.py under threads: readers that overtake each other, and the thread that reads the feed."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import builders
import pytest

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.system_clock import SystemClock
from keyrail.domain.records import StoredKey
from keyrail.ports import FeedHead, NoMetrics

POLL_SECONDS = 0.005


class SlowStore:
    """Looks, and then takes its time to answer, so that answers overtake each other."""

    def __init__(self) -> None:
        self.version = 1
        self.feed = MemoryChangeFeed()
        self.stops = False
        self._random = Random(4)

    def find(self, key_id: str) -> StoredKey | None:
        found = replace(builders.stored(), version=self.version)
        time.sleep(self._random.uniform(0, 2.5 * POLL_SECONDS))
        return found

    def head(self) -> FeedHead:
        if self.stops and threading.current_thread().name == "keyrail-feed":
            raise SystemExit  # ends the poller quietly
        return self.feed.head()

    def publish(self, version: int) -> None:
        self.version = version
        self.feed.publish(builders.KEY_ID)


def lookup_of(store: SlowStore, **bounds: Any) -> CachedLookup:
    ports: Any = (store, MemoryPepperSource(builders.PEPPERS), MemoryRoleSource(), store, SystemClock(), NoMetrics())
    return CachedLookup(*ports, CacheBounds(**({"poll_seconds": POLL_SECONDS, "background": False} | bounds)))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStore]:
    reported = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda args: args.exc_type is SystemExit or reported(args))
    store = SlowStore()
    yield store
    store.stops = True
    for thread in pollers():
        thread.join(5)
    assert pollers() == []


def pollers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "keyrail-feed"]


def eventually(claim: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < ends_at
        time.sleep(POLL_SECONDS / 5)


def version_in(lookup: CachedLookup) -> int:
    stored = lookup.find(builders.KEY_ID).stored
    assert stored is not None
    return stored.version


def test_once_a_change_was_seen_nobody_is_told_what_was_before(store: SlowStore) -> None:
    """Readers hammer while versions are published; what any of them learns never goes back behind the version that
    was current when the feed was last read before its asking."""
    lookup = lookup_of(store)
    seen_floor, done, gone_back = [0], threading.Event(), []

    def read() -> None:
        while not done.is_set():
            floor = seen_floor[0]
            version = version_in(lookup)
            if version < floor:
                gone_back.append((version, floor))

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for version in range(2, 80):
        store.publish(version)
        published = store.feed.head().seq
        eventually(lambda published=published: lookup._seq is not None and lookup._seq >= published)  # type: ignore[misc]
        seen_floor[0] = version
    done.set()
    for reader in readers:
        reader.join(10)
    assert gone_back == []


class TestPoller:
    def test_the_feed_is_read_without_a_request(self, store: SlowStore) -> None:
        lookup = lookup_of(store, background=True)
        version_in(lookup)
        store.publish(2)
        eventually(lambda: lookup._seq == 1)
        assert version_in(lookup) == 2

    def test_it_starts_with_the_first_request_and_there_is_one(self, store: SlowStore) -> None:
        lookup = lookup_of(store, background=True)
        assert pollers() == []
        askers = [threading.Thread(target=version_in, args=(lookup,)) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(10)
        assert len(pollers()) == 1

    def test_one_that_died_is_started_anew(self, store: SlowStore) -> None:
        lookup = lookup_of(store, background=True)
        version_in(lookup)
        (first,) = pollers()
        store.stops = True
        first.join(5)
        assert not first.is_alive()
        store.stops = False
        time.sleep(2 * POLL_SECONDS)
        version_in(lookup)
        (second,) = pollers()
        assert second is not first

    def test_a_process_that_is_frozen_between_requests_has_none(self, store: SlowStore) -> None:
        lookup = lookup_of(store, background=False)
        version_in(lookup)
        store.publish(2)
        time.sleep(2 * POLL_SECONDS)
        assert version_in(lookup) == 2
        assert pollers() == []
