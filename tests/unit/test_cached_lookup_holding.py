"""adapters/cached_lookup.py: what a holding says is what asking for each of its names would say."""

from collections.abc import Callable
from typing import Any

import pytest
from cached_instance import A_MOMENT, BOUNDS, KEY_ID, OTHER_ID, POLL, Instance

from keyrail.ports import Holding


@pytest.fixture
def instance() -> Instance:
    return Instance()


def fill(instance: Instance) -> None:
    for key_id in (KEY_ID, OTHER_ID):
        instance.lookup.find(key_id)
    instance.lookup.peppers()
    instance.lookup.roles()


def holding_of(instance: Instance) -> Holding:
    holding = instance.lookup.holding([KEY_ID, OTHER_ID], instance.lookup.changes())
    assert holding is not None
    return holding


def test_what_stays_as_it_is_is_held(instance: Instance) -> None:
    fill(instance)
    assert instance.lookup.still_holds(holding_of(instance))


def test_nothing_is_held_of_what_is_not_in_memory(instance: Instance) -> None:
    instance.lookup.find(KEY_ID)
    assert instance.lookup.holding([KEY_ID], instance.lookup.changes()) is None
    fill(instance)
    assert instance.lookup.holding([KEY_ID, "2Keyrail2Unit2Id"], instance.lookup.changes()) is None


def read_anew(instance: Instance) -> None:
    instance.lookup.find(OTHER_ID, anew=True)


def forget_one(instance: Instance) -> None:
    instance.store.change(KEY_ID)
    instance.wait(POLL + A_MOMENT)
    instance.lookup.find(OTHER_ID)


def forget_all(instance: Instance) -> None:
    for _ in range(300):  # more than the feed tells of
        instance.store.feed.publish("3Keyrail3Unit3Id")
    instance.wait(POLL + A_MOMENT)
    instance.lookup.find(OTHER_ID)


def no_longer_there(instance: Instance) -> None:
    find: Any = instance.store.find
    instance.store.find = lambda _: None  # type: ignore[method-assign]
    instance.lookup.find(KEY_ID, anew=True)
    instance.store.find = find  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [read_anew, forget_one, forget_all, no_longer_there])
def test_any_change_ends_it_and_whatever_was_asked_before(
    instance: Instance, change: Callable[[Instance], None]
) -> None:
    fill(instance)
    changes, holding = instance.lookup.changes(), holding_of(instance)
    change(instance)
    fill(instance)
    assert instance.lookup.holding([KEY_ID, OTHER_ID], changes) is None
    assert not instance.lookup.still_holds(holding)
    assert instance.lookup.still_holds(holding_of(instance))


@pytest.mark.parametrize("document", ["pepper", "roles"])
def test_so_does_a_new_pepper_and_what_roles_mean(instance: Instance, document: str) -> None:
    fill(instance)
    holding = holding_of(instance)
    instance.store.change(document)
    instance.wait(POLL + A_MOMENT)
    fill(instance)
    assert not instance.lookup.still_holds(holding)


def test_it_ends_where_the_feed_was_not_read_for_long(instance: Instance) -> None:
    fill(instance)
    holding = holding_of(instance)
    instance.wait(POLL)
    assert instance.lookup.still_holds(holding)
    instance.wait(A_MOMENT)
    assert not instance.lookup.still_holds(holding)


def test_it_ends_where_what_is_in_use_is_to_be_read_anew(instance: Instance) -> None:
    """With the feed read all the time, as by a thread of its own."""
    fill(instance)
    holding = holding_of(instance)
    refresh_after = BOUNDS.refresh_after(BOUNDS.ttl_seconds)
    instance.wait(refresh_after - A_MOMENT)
    instance.lookup._poll_if_due(0)
    assert instance.lookup.still_holds(holding)
    instance.wait(A_MOMENT)
    assert not instance.lookup.still_holds(holding)
