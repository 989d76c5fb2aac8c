"""adapters/cached_lookup.py: what is read while things change, what is asked anew, and how much is held."""

from dataclasses import replace
from typing import Any

import builders
import pytest
from cached_instance import A_MOMENT, BOUNDS, KEY_ID, OTHER_ID, POLL, TTL, Instance

from keyrail.domain.digest import Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.roles import Roles
from keyrail.ports import Found


@pytest.fixture
def instance() -> Instance:
    return Instance()


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
