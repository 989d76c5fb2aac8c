"""What a tick must look at, in DynamoDB: one item a hint, found by an index in the order of its time.

The index follows within about a second. A hint that it lacks is found by the next tick; one that it still has is
looked at in vain, since the records decide.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from keyrail.adapters.dynamodb_layout import AFTER_ALL, BEFORE_ALL, SHARDS, due_item, due_pk
from keyrail.adapters.dynamodb_table import ConditionFailed, DynamoTable
from keyrail.domain.key_format import KEY_ID
from keyrail.rotation_ports import DueEntry, DueKind

PAGE = 1000  # hints a request; some 100 KB
_POSITION = re.compile(rf"(\d{{14}})#(?:k#({KEY_ID.pattern})|([cs])#(.+))")
_KINDS: dict[str, DueKind] = {"c": "config", "s": "sweep"}


class DynamoDueIndex:
    """Requests: add 1, remove 1, due 1 a shard, and 1 for each 1,000 of a shard's that are due."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def add(self, entry: DueEntry) -> bool:
        try:
            self._table.write("put_item", Item=due_item(entry), ConditionExpression="attribute_not_exists(pk)")
        except ConditionFailed:
            return False
        return True

    def remove(self, entry: DueEntry) -> None:
        self._table.write("delete_item", Key={"pk": {"S": due_pk(entry)}})

    def due(self, now: datetime) -> list[DueEntry]:
        return sorted(self._due(now), key=lambda entry: entry.at)

    def _due(self, now: datetime) -> Iterator[DueEntry]:
        span = ("position", BEFORE_ALL, f"{now.astimezone(UTC):%Y%m%d%H%M%S}{AFTER_ALL}")
        for n in range(SHARDS):
            for item in self._table.query("by_position", ("shard", f"due#{n}"), span, PAGE):
                entry = _entry(item["position"]["S"])
                if entry is not None:
                    yield entry


def _entry(position: str) -> DueEntry | None:
    """None where somebody put it there by hand: nothing waits for that."""
    match = _POSITION.fullmatch(position)
    if match is None:
        return None
    try:
        at = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return DueEntry(at, "key", match[2]) if match[2] else DueEntry(at, _KINDS[match[3]], match[4])
