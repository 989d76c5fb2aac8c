"""What is held in use stays usable for all of max_stale, however old it was when the store went away."""

from dataclasses import dataclass, field

import builders
import pytest

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_documents import MemoryRoleSource
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.system_clock import SystemClock
from keyrail.domain.digest import Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.records import StoredKey
from keyrail.ports import FeedHead, NoMetrics

BOUNDS = CacheBounds(background=False)


@dataclass
class Away:
    """A store that may be away; `reads` are those of records it was asked for."""

    is_away: bool = False
    reads: int = 0
    feed: MemoryChangeFeed = field(default_factory=MemoryChangeFeed)

    def find(self, key_id: str) -> StoredKey | None:
        self.reads += 1
        self.answer()
        return builders.stored() if key_id == builders.KEY_ID else None

    def head(self) -> FeedHead:
        self.answer()
        return self.feed.head()

    def read(self) -> Peppers:
        self.answer()
        return builders.PEPPERS

    def answer(self) -> None:
        if self.is_away:
            raise Unavailable("away")


class Elapsed(SystemClock):
    def __init__(self) -> None:
        self.seconds = 1000.0

    def elapsed_seconds(self) -> float:
        return self.seconds


@pytest.fixture
def store() -> Away:
    return Away()


@pytest.fixture
def clock() -> Elapsed:
    return Elapsed()


@pytest.fixture
def lookup(store: Away, clock: Elapsed) -> CachedLookup:
    return CachedLookup(store, store, MemoryRoleSource(), store, clock, NoMetrics(), BOUNDS)


def _use_for(seconds: float, lookup: CachedLookup, clock: Elapsed) -> None:
    """A use of key and pepper each half second."""
    ends_at = clock.seconds + seconds
    while clock.seconds < ends_at:
        assert lookup.find(builders.KEY_ID).stored is not None
        assert lookup.peppers()
        clock.seconds += 0.5


@pytest.mark.parametrize("used_for_seconds", [0.5, 4.5, 9.5, 12, 57, 59.5, 130])
def test_a_key_in_use_is_answered_for_max_stale_and_no_longer(
    lookup: CachedLookup, clock: Elapsed, store: Away, used_for_seconds: float
) -> None:
    _use_for(used_for_seconds, lookup, clock)
    feed_read_at = clock.seconds - 1  # at most
    store.is_away = True
    _use_for(BOUNDS.max_stale_seconds - 1, lookup, clock)
    clock.seconds = feed_read_at + 1 + BOUNDS.max_stale_seconds + 0.1
    with pytest.raises(Unavailable):
        lookup.find(builders.KEY_ID)
    with pytest.raises(Unavailable):
        lookup.peppers()


def test_a_key_in_use_is_read_twice_in_each_ttl(lookup: CachedLookup, clock: Elapsed, store: Away) -> None:
    _use_for(100, lookup, clock)
    assert 18 <= store.reads <= 20


def test_a_refresh_that_fails_is_tried_once_a_second_and_not_by_every_request(
    lookup: CachedLookup, clock: Elapsed, store: Away
) -> None:
    _use_for(6, lookup, clock)
    store.is_away, store.reads = True, 0
    for _ in range(300):
        assert lookup.find(builders.KEY_ID).from_memory
        clock.seconds += 0.01
    assert store.reads <= 3


def test_a_refresh_brings_what_the_store_holds_now(lookup: CachedLookup, clock: Elapsed, store: Away) -> None:
    lookup.find(builders.KEY_ID)
    for seconds, from_memory in [(4.9, True), (0.2, False), (4.9, True), (0.2, False)]:
        clock.seconds += seconds
        assert lookup.find(builders.KEY_ID).from_memory is from_memory


def test_the_ttl_is_the_end_whatever_the_feed_says(store: Away, clock: Elapsed) -> None:
    """A feed that is read and never tells of the change, with a store that is away: the second line holds."""
    lookup = CachedLookup(store, store, MemoryRoleSource(), MemoryChangeFeed(), clock, NoMetrics(), BOUNDS)
    lookup.find(builders.KEY_ID)
    store.is_away = True
    clock.seconds += BOUNDS.ttl_seconds
    assert lookup.find(builders.KEY_ID).from_memory
    clock.seconds += 0.1
    with pytest.raises(Unavailable):
        lookup.find(builders.KEY_ID)
