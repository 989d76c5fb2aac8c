"""adapters/cached_lookup.py: what is held is believed within three bounds, and never after a change was seen."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import builders
import pytest

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.domain.digest import Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.records import StoredKey
from keyrail.domain.roles import Roles
from keyrail.ports import FEED_RING_SIZE, FeedHead, Found, NoMetrics

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

    def cache(self, outcome: str) -> None:
        self.outcomes.append(outcome)

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


@pytest.fixture
def instance() -> Instance:
    return Instance()


def test_the_first_time_is_read_and_the_next_is_from_memory(instance: Instance) -> None:
    first, second = instance.lookup.find(KEY_ID), instance.lookup.find(KEY_ID)
    assert (first.from_memory, second.from_memory) == (False, True)
    assert first.stored is second.stored
    assert (instance.reads_of(KEY_ID), instance.reads_of("feed")) == (1, 1)
    assert instance.metrics.outcomes == ["miss", "hit"]


def test_an_unknown_id_is_never_held(instance: Instance) -> None:
    """Or one could fill the memory with ids, and a key that is issued now would be unknown for a while."""
    for _ in range(3):
        assert instance.lookup.find("2Keyrail2Unit2Id") == Found(None, from_memory=False)
    assert instance.reads_of("2Keyrail2Unit2Id") == 3


class TestTheFeedBound:
    def test_a_change_is_seen_when_the_feed_is_read_again(self, instance: Instance) -> None:
        instance.version()
        instance.store.change()
        instance.wait(POLL - A_MOMENT)
        assert instance.version() == 1
        instance.wait(2 * A_MOMENT)
        assert instance.version() == 2

    def test_the_feed_is_read_once_a_second_however_many_ask(self, instance: Instance) -> None:
        for _ in range(1000):
            instance.version()
            instance.wait(0.01)
        assert 9 <= instance.reads_of("feed") <= 10
        assert instance.metrics.feed_read_at == sorted(set(instance.metrics.feed_read_at))

    def test_a_change_of_another_key_drops_only_that(self, instance: Instance) -> None:
        for key_id in (KEY_ID, OTHER_ID):
            instance.version(key_id)
        instance.store.change(OTHER_ID)
        instance.wait(POLL + A_MOMENT)
        assert [instance.is_from_memory(key_id) for key_id in (KEY_ID, OTHER_ID)] == [True, False]

    def test_as_many_changes_as_the_ring_holds_drop_what_they_name(self, instance: Instance) -> None:
        instance.version()
        for _ in range(FEED_RING_SIZE):
            instance.store.change(OTHER_ID)
        instance.wait(POLL + A_MOMENT)
        assert instance.is_from_memory()

    def test_a_gap_larger_than_the_ring_drops_all(self, instance: Instance) -> None:
        instance.version()
        for _ in range(FEED_RING_SIZE + 1):
            instance.store.change(OTHER_ID)
        instance.wait(POLL + A_MOMENT)
        assert not instance.is_from_memory()

    @pytest.mark.parametrize("seq", [0, 4])
    def test_a_count_that_went_back_drops_all(self, instance: Instance, seq: int) -> None:
        """The store was put back from a backup: what happened since is not known."""
        for _ in range(5):
            instance.store.change(OTHER_ID)
        instance.version()
        instance.store.feed._head = FeedHead(seq, (OTHER_ID,) * seq)
        instance.wait(POLL + A_MOMENT)
        assert not instance.is_from_memory()
        assert instance.is_from_memory()

    @pytest.mark.parametrize("name", ["pepper", "roles"])
    def test_peppers_and_roles_are_told_of_too(self, instance: Instance, name: str) -> None:
        read = {"pepper": instance.lookup.peppers, "roles": instance.lookup.roles}[name]
        for _ in range(3):
            read()
        assert instance.reads_of(name) == 1
        instance.store.change(name)
        instance.wait(POLL + A_MOMENT)
        read()
        assert instance.reads_of(name) == 2


class TestTheStaleBound:
    def test_without_a_feed_memory_answers_until_max_stale(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {"feed"}
        instance.store.change()
        instance.wait(MAX_STALE - A_MOMENT)
        assert (instance.version(), instance.is_from_memory()) == (1, True)

    def test_then_the_store_is_asked(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {"feed"}
        instance.store.change()
        instance.wait(MAX_STALE + A_MOMENT)
        assert [instance.version(), instance.version()] == [2, 2]
        assert not instance.is_from_memory()

    def test_and_where_it_cannot_answer_that_is_said(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {"all"}
        instance.wait(MAX_STALE + A_MOMENT)
        with pytest.raises(Unavailable):
            instance.version()
        with pytest.raises(Unavailable):
            instance.lookup.peppers()

    def test_what_was_never_held_is_unavailable_at_once(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {"all"}
        with pytest.raises(Unavailable):
            instance.version(OTHER_ID)

    def test_the_age_of_the_feed_counts_from_the_asking(self, instance: Instance) -> None:
        """What its answer took may have been after the feed had looked."""
        read = instance.store.head

        def slowly() -> FeedHead:
            head = read()
            instance.wait(2)
            return head

        instance.store.head = slowly  # type: ignore[method-assign]
        instance.version()
        instance.store.down = {"feed"}
        instance.wait(MAX_STALE - 2 - A_MOMENT)
        assert instance.is_from_memory()
        instance.wait(2 * A_MOMENT)
        assert not instance.is_from_memory()

    def test_the_feed_is_not_asked_by_every_request_while_it_cannot_answer(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {"feed"}
        instance.wait(POLL + A_MOMENT)
        for _ in range(100):
            instance.version()
        assert instance.reads_of("feed") == 2

    def test_back_again_it_tells_what_was_missed(self, instance: Instance) -> None:
        for key_id in (KEY_ID, OTHER_ID):
            instance.version(key_id)
        instance.store.down = {"feed"}
        instance.wait(POLL + A_MOMENT)
        instance.version()
        instance.store.change(KEY_ID)
        instance.store.down = set()
        instance.wait(POLL + A_MOMENT)
        assert [instance.version(key_id) for key_id in (KEY_ID, OTHER_ID)] == [2, 1]

    def test_a_process_that_never_read_the_feed_holds_nothing(self) -> None:
        instance = Instance()
        instance.store.down = {"feed"}
        for _ in range(3):
            assert not instance.is_from_memory()
        instance.store.down = set()
        instance.wait(POLL + A_MOMENT)
        assert [instance.is_from_memory() for _ in range(2)] == [False, True]


class TestTheTtlBound:
    def test_no_entry_is_believed_for_longer(self, instance: Instance) -> None:
        """A change that the feed never tells of, with a store that answers the feed and no key."""
        instance.version()
        instance.store.version = 2
        instance.store.down = {KEY_ID}
        instance.wait(TTL)
        assert instance.version() == 1
        instance.wait(A_MOMENT)
        with pytest.raises(Unavailable):
            instance.version()

    def test_a_ttl_of_nothing_holds_no_keys(self) -> None:
        instance = Instance(replace(BOUNDS, ttl_seconds=0))
        for _ in range(3):
            assert not instance.is_from_memory()
            instance.wait(A_MOMENT)

    def test_peppers_and_roles_have_their_own(self, instance: Instance) -> None:
        instance.store.down = set()
        for _ in range(int(BOUNDS.document_ttl_seconds) - 6):
            instance.lookup.peppers()
            instance.wait(1)
        assert instance.reads_of("pepper") == 1


class TestAChangeWhileReading:
    """An entry that was read before a change was seen is not held after it."""

    def test_seen_meanwhile_is_not_held(self, instance: Instance) -> None:
        instance.version(OTHER_ID)

        def change_and_see() -> None:
            instance.store.change(KEY_ID)
            instance.wait(POLL + A_MOMENT)
            instance.version(OTHER_ID)  # another thread's request reads the feed

        instance.store.meanwhile = change_and_see
        assert instance.version() == 1  # as the store said when it was asked
        assert instance.lookup.find(KEY_ID).from_memory is False
        assert instance.version() == 2

    def test_also_where_another_key_changed(self, instance: Instance) -> None:
        """One count for all keys: dropping too much is safe."""
        instance.version(OTHER_ID)

        def change_and_see() -> None:
            instance.store.change(OTHER_ID)
            instance.wait(POLL + A_MOMENT)
            instance.version(OTHER_ID)

        instance.store.meanwhile = change_and_see
        instance.version()
        assert not instance.is_from_memory()

    def test_not_seen_yet_is_held_and_dropped_when_it_is(self, instance: Instance) -> None:
        instance.version(OTHER_ID)
        instance.store.meanwhile = instance.store.change
        assert [instance.version(), instance.version()] == [1, 1]
        instance.wait(POLL + A_MOMENT)
        assert instance.version() == 2

    def test_its_age_counts_from_the_asking(self, instance: Instance) -> None:
        instance.version(OTHER_ID)
        instance.store.meanwhile = lambda: instance.wait(POLL - A_MOMENT)
        instance.version()
        instance.store.down = {KEY_ID}
        instance.wait(TTL - POLL + 2 * A_MOMENT)
        with pytest.raises(Unavailable):
            instance.version()


class TestAsking:
    def test_anew_asks_the_store_and_holds_its_answer(self, instance: Instance) -> None:
        instance.version()
        instance.store.version = 2
        assert instance.lookup.find(KEY_ID, anew=True) == Found(instance.store.find(KEY_ID), from_memory=False)
        assert (instance.version(), instance.is_from_memory()) == (2, True)

    def test_anew_in_vain_leaves_what_is_held(self, instance: Instance) -> None:
        instance.version()
        instance.store.down = {KEY_ID}
        with pytest.raises(Unavailable):
            instance.lookup.find(KEY_ID, anew=True)
        assert instance.version() == 1

    def test_peppers_anew(self, instance: Instance) -> None:
        for anew in (False, True, False):
            assert isinstance(instance.lookup.peppers(anew=anew), Peppers)
        assert instance.reads_of("pepper") == 2

    def test_a_record_that_is_gone_is_gone_from_memory(self, instance: Instance, monkeypatch: Any) -> None:
        instance.version()
        monkeypatch.setattr(instance.store, "find", lambda key_id: None)
        assert instance.lookup.find(KEY_ID, anew=True).stored is None
        assert instance.lookup.find(KEY_ID).stored is None


class TestSize:
    IDS = tuple(f"{number:016d}" for number in range(6))

    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> Instance:
        instance = Instance(replace(BOUNDS, max_keys=3))
        monkeypatch.setattr(instance.store, "find", lambda key_id: builders.stored())
        return instance

    def test_the_longest_held_makes_room(self, small: Instance) -> None:
        for key_id in self.IDS[:4]:
            small.lookup.find(key_id)
        assert [small.is_from_memory(key_id) for key_id in self.IDS[1:4]] == [True] * 3
        assert not small.is_from_memory(self.IDS[0])

    def test_peppers_and_roles_keep_theirs(self, small: Instance) -> None:
        for key_id in self.IDS * 2:
            small.lookup.peppers()
            small.lookup.roles()
            small.lookup.find(key_id)
        assert (small.reads_of("pepper"), small.reads_of("roles")) == (1, 1)

    def test_of_nothing_holds_no_keys(self) -> None:
        instance = Instance(replace(BOUNDS, max_keys=0))
        for _ in range(3):
            assert not instance.is_from_memory()
            assert isinstance(instance.lookup.roles(), Roles)
        assert instance.reads_of("roles") == 1
