"""What every ChangeFeed keeps to, over memory, a real Vault and DynamoDB."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyrail.adapters.dynamodb_feed import DynamoChangeFeed
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.vault_feed import VaultChangeFeed
from keyrail.domain.errors import Unavailable
from keyrail.ports import FEED_RING_SIZE, ChangeFeed, FeedHead
from vault_mount import Mount

PUBLISHERS = 16


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def feed(request: pytest.FixtureRequest) -> ChangeFeed:
    if request.param == "memory":
        return MemoryChangeFeed()
    if request.param == "dynamodb":
        return DynamoChangeFeed(request.getfixturevalue("dynamo_table"))
    mount: Mount = request.getfixturevalue("mount")
    mount.put("feed/head", {"seq": 0, "ring": []})
    return VaultChangeFeed(request.getfixturevalue("vault_session"))


def test_a_new_feed_has_no_changes(feed: ChangeFeed) -> None:
    assert feed.head() == FeedHead(0, ())


def test_changes_are_counted_and_named_in_order(feed: ChangeFeed) -> None:
    for name in ("one", "pepper", "one"):
        feed.publish(name)
    assert feed.head() == FeedHead(3, ("one", "pepper", "one"))


def test_a_reader_learns_what_changed_since_it_last_looked(feed: ChangeFeed) -> None:
    feed.publish("before")
    seen = feed.head().seq
    feed.publish("after")
    assert feed.head().changed_since(seen) == ("after",)


def test_the_ring_forgets_the_oldest_and_a_reader_that_far_behind_is_told_so(feed: ChangeFeed) -> None:
    for n in range(FEED_RING_SIZE + 1):
        feed.publish(f"name {n}")
    head = feed.head()
    assert head.seq == FEED_RING_SIZE + 1
    assert head.ring == tuple(f"name {n}" for n in range(1, FEED_RING_SIZE + 1))
    assert head.changed_since(0) is None
    assert head.changed_since(1) == head.ring


def test_no_change_is_lost_among_racing_publishers(feed: ChangeFeed) -> None:
    """Who is told that the feed was too busy repeats it, as every caller of an operation does."""

    def publish(name: str) -> None:
        for _ in range(5):
            with contextlib.suppress(Unavailable):
                return feed.publish(name)
        raise AssertionError(f"{name} was never published")

    names = [f"name {n}" for n in range(PUBLISHERS * 4)]
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        list(pool.map(publish, names))
    assert feed.head().seq >= len(names)
    assert set(feed.head().ring) == set(names)
