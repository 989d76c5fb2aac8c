"""adapters/cached_lookup.py: what is held is believed within three bounds."""

from dataclasses import replace

import pytest
from cached_instance import A_MOMENT, BOUNDS, KEY_ID, MAX_STALE, OTHER_ID, POLL, TTL, Instance

from keyrail.domain.errors import Unavailable
from keyrail.ports import FEED_RING_SIZE, FeedHead, Found


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
