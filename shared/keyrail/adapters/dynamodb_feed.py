"""What changed last, in one item of DynamoDB: seq, and a ring of names.

A change is one atomic update that counts and appends, so publishers never lose to each other. The ring grows to FULL
names; whoever finds it so cuts off the oldest, and readers look at the newest FEED_RING_SIZE.
"""

from collections.abc import Callable
from typing import Any

from keyrail.adapters.dynamodb_layout import FEED_PK
from keyrail.adapters.dynamodb_table import ConditionFailed, DynamoTable, Item
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.ports import FEED_RING_SIZE, FeedHead

FULL = 256  # names, about 5 KB: an update costs a write unit a KB, and one in 56 is followed by a cut
TRIES = 20  # of which each finds the ring full or its answer lost
_KEY = {"pk": {"S": FEED_PK}}
_CUT = ", ".join(f"ring[{n}]" for n in range(FULL - FEED_RING_SIZE))


class DynamoChangeFeed:
    """Requests: head 1; publish 1, and 2 more where the ring is full."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def head(self) -> FeedHead:
        """Where nothing was ever published there is no item."""
        item = self._table.read("get_item", Key=_KEY, ConsistentRead=True).get("Item")
        return FeedHead(0, ()) if item is None else decode_head(item)

    def publish(self, name: str) -> None:
        """Naming a change twice does no harm, so a write whose answer was lost is repeated."""
        for _ in range(TRIES):
            try:
                self._append(name)
            except ConditionFailed:
                _unless_lost(self._cut)
            except DeadlineExceeded:
                continue
            else:
                return
        raise Unavailable("too many changes at once: the feed could not be written")

    def _append(self, name: str) -> None:
        self._table.write(
            "update_item",
            Key=_KEY,
            UpdateExpression="SET ring = list_append(if_not_exists(ring, :none), :name) ADD seq :one",
            ConditionExpression="attribute_not_exists(ring) OR size(ring) < :full",
            ExpressionAttributeValues={
                ":none": {"L": []},
                ":name": {"L": [{"S": name}]},
                ":one": {"N": "1"},
                ":full": {"N": str(FULL)},
            },
        )

    def _cut(self) -> None:
        self._table.write(
            "update_item",
            Key=_KEY,
            UpdateExpression=f"REMOVE {_CUT}",
            ConditionExpression="size(ring) >= :full",
            ExpressionAttributeValues={":full": {"N": str(FULL)}},
        )


def _unless_lost(cut: Callable[[], Any]) -> None:
    """Somebody else has cut it, or nobody knows: the next try to append will tell."""
    try:
        cut()
    except (ConditionFailed, DeadlineExceeded):
        return


def decode_head(item: Item) -> FeedHead:
    """Raises: Unavailable."""
    try:
        seq, ring = int(item["seq"]["N"]), tuple(each["S"] for each in item["ring"]["L"])
    except (KeyError, ValueError, TypeError):
        raise Unavailable("the feed in DynamoDB is malformed") from None
    if seq < len(ring):
        raise Unavailable("the feed in DynamoDB is malformed")
    return FeedHead(seq, ring[-FEED_RING_SIZE:])
