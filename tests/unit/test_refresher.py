"""A key in use is read anew without any request waiting for the store."""

import threading
import time
from dataclasses import replace

import pytest
from cached_instance import BOUNDS, KEY_ID, TTL, Instance

from keyrail.adapters.cached_lookup import LOCK_SECONDS
from keyrail.adapters.refresher import Refresher
from keyrail.domain.errors import Unavailable
from keyrail.telemetry import JsonFormatter

IN_BACKGROUND = replace(BOUNDS, background=True)
REFRESHED = BOUNDS.refresh_after(TTL)


@pytest.fixture
def instance() -> Instance:
    """Its clock stands still but for `wait`, so that only one reading of the feed is due each time."""
    made = Instance(IN_BACKGROUND)
    made.version()
    return made


def _until(is_so: threading.Event) -> None:
    assert is_so.wait(10)


def test_a_request_is_answered_from_memory_while_the_key_is_read_anew(instance: Instance) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def slowly() -> None:
        asked.set()
        may_answer.wait(10)

    instance.wait(REFRESHED)
    instance.store.version = 2  # as of a change that the feed did not tell
    instance.store.meanwhile = slowly
    assert instance.version() == 1
    _until(asked)
    assert instance.version() == 1
    reads = instance.reads_of(KEY_ID)
    may_answer.set()
    ends_at = time.monotonic() + 10
    while instance.version() == 1 and time.monotonic() < ends_at:
        time.sleep(LOCK_SECONDS / 100)
    assert instance.version() == 2
    assert instance.reads_of(KEY_ID) == reads


def test_where_the_store_is_away_the_key_is_believed_until_its_ttl_ends(instance: Instance) -> None:
    instance.store.down = {KEY_ID}
    instance.wait(REFRESHED)
    assert instance.version() == 1
    instance.wait(TTL - REFRESHED + 0.01)
    with pytest.raises(Unavailable):
        instance.version()


def test_a_name_that_waits_is_read_once_and_one_that_failed_stops_nothing() -> None:
    refresher, begun, may_go, ended = Refresher(), threading.Event(), threading.Event(), threading.Event()
    read: list[str] = []

    def first() -> None:
        begun.set()
        may_go.wait(10)
        raise Unavailable("away")

    refresher.add("first", first)
    _until(begun)
    for _ in range(3):
        refresher.add("second", lambda: read.append("second"))
    refresher.add("third", ended.set)
    may_go.set()
    _until(ended)
    assert read == ["second"]


def test_a_defect_is_told_by_its_class_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    refresher, ended = Refresher(), threading.Event()
    refresher.add("broken", lambda: int("a secret"))
    refresher.add("next", ended.set)
    _until(ended)
    assert [record.message for record in caplog.records] == ["unforeseen"]
    assert "a secret" not in JsonFormatter().format(caplog.records[0])
