"""Events on their way out, in DynamoDB: one item each, found by an index in the order of their times.

    outbox#<event id>   document (JSON); in by_position
    outbox#sender       turn, lasts_until: who sends

Create-only for whoever puts them, removed once taken. The index follows within about a second: an event that it lacks
is found by the next run, and one that was removed meanwhile is passed over.
"""

import heapq
import json
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from keyrail.adapters.dynamodb_layout import AFTER_ALL, BEFORE_ALL, SHARDS, event_item, event_pk
from keyrail.adapters.dynamodb_table import ConditionFailed, DynamoTable
from keyrail.adapters.stored_event import decode_event
from keyrail.domain import stored_form
from keyrail.domain.events import LifecycleEvent

LONGEST_TURN = timedelta(hours=1)  # one said to last longer is from a clock that was wrong
PAGE = 1000  # positions a request, where they are counted; some 100 KB
BATCH = 100  # items that one request may ask for
_TURN = {"pk": {"S": "outbox#sender"}}


class DynamoEventOutbox:
    """Requests: put 1; pending 1 a shard and 1 for each 100 events; remove 1; waiting 1 a shard, and 1 for each 1,000
    events of it; take_turn 1; end_turn 1."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def put(self, event: LifecycleEvent) -> None:
        item = event_item(event.event_id, event.at) | {"document": {"S": json.dumps(stored_form.encode(event))}}
        try:
            self._table.write("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ConditionFailed:
            return  # one that is there already is the same

    def pending(self, limit: int) -> list[LifecycleEvent]:
        """Past those that are malformed, and stay."""
        positions = heapq.merge(*(self._shard(n, limit) for n in range(SHARDS)))
        events: list[LifecycleEvent] = []
        while len(events) < limit and (batch := list(islice(positions, min(BATCH, limit - len(events))))):
            events += self._read([pk for _, pk in batch])
        return events

    def remove(self, event: LifecycleEvent) -> None:
        self._table.write("delete_item", Key={"pk": {"S": event_pk(event.event_id)}})

    def waiting(self) -> int:
        return sum(1 for n in range(SHARDS) for _ in self._shard(n, PAGE))

    def take_turn(self, now: datetime, seconds: float) -> str | None:
        """Whoever had it was killed, where it did not end in time."""
        turn = secrets.token_hex(16)
        item = {**_TURN, "turn": {"S": turn}, "lasts_until": _seconds(now + timedelta(seconds=seconds))}
        try:
            self._table.write(
                "put_item",
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR NOT lasts_until BETWEEN :now AND :longest",
                ExpressionAttributeValues={":now": _seconds(now), ":longest": _seconds(now + LONGEST_TURN)},
            )
        except ConditionFailed:
            return None
        return turn

    def end_turn(self, turn: str) -> None:
        ours: dict[str, Any] = {"ConditionExpression": "turn = :turn"}
        try:
            self._table.write("delete_item", Key=_TURN, **ours, ExpressionAttributeValues={":turn": {"S": turn}})
        except ConditionFailed:
            return  # somebody else's by now

    def _shard(self, n: int, page: int) -> Iterator[tuple[str, str]]:
        """Position and pk, the oldest first."""
        for item in self._table.query(
            "by_position", ("shard", f"outbox#{n}"), ("position", BEFORE_ALL, AFTER_ALL), page
        ):
            yield item["position"]["S"], item["pk"]["S"]

    def _read(self, pks: list[str]) -> Iterator[LifecycleEvent]:
        items = self._table.read_items(pks)
        for pk in pks:
            event = decode_event(pk, _document(items[pk])) if pk in items else None
            if event is not None:
                yield event


def _seconds(at: datetime) -> dict[str, str]:
    return {"N": f"{at.timestamp():.6f}"}


def _document(item: dict[str, Any]) -> object:
    """None where it is no JSON."""
    try:
        return json.loads(item["document"]["S"])
    except (KeyError, ValueError, RecursionError):
        return None
