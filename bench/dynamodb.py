"""What a tick asks of DynamoDB while the store grows: requests, and hints that are read. Counts are exact; times would
be those of the stand-in, so none is told."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Section, at_most
from bench.options import Options
from keyrail.adapters.dynamodb_due import DynamoDueIndex
from keyrail.adapters.dynamodb_layout import due_item
from keyrail.adapters.dynamodb_table import DynamoTable
from keyrail.dev.aws import CREDENTIALS, aws_server, create_table
from keyrail.domain.key_format import new_key_id
from keyrail.rotation_ports import DueEntry

DUE = 100
NOW = datetime(2030, 1, 2, tzinfo=UTC)
BATCH = 25  # items of one BatchWriteItem


def measure(options: Options) -> Section:
    os.environ.update(CREDENTIALS)
    smaller, larger = options.hint_totals
    section = Section(f"11  A tick on DynamoDB, {DUE} of all keys due", beside=f"{smaller:,} keys")
    with aws_server() as endpoint:
        few, many = (_cost(endpoint, total) for total in (smaller, larger))
    for name, beside, ours in zip(("requests", "hints read"), few, many, strict=True):
        section.compare(f"{larger:,} keys, {name}", "", [ours], [beside], at_most(1))
    section.notes.append("Each key has one hint; those that are not due lie within the next ninety days.")
    return section


def _cost(endpoint: str, total: int) -> tuple[int, int]:
    table = DynamoTable(f"bench-{secrets.token_hex(4)}", 30.0, endpoint)
    create_table(table.client(), table.name)
    _fill(table, total)
    asked = _Asked()
    table.client().meta.events.register("after-call.dynamodb.Query", asked.note)
    found = DynamoDueIndex(table).due(NOW)
    if len(found) != DUE:
        raise RuntimeError(f"{len(found)} hints were due")
    return asked.requests, asked.read


def _fill(table: DynamoTable, total: int) -> None:
    later = timedelta(days=90) / total
    times = [NOW - n * timedelta(minutes=1) for n in range(DUE)]
    times += [NOW + (1 + n) * later + timedelta(seconds=1) for n in range(total - DUE)]
    entries = [DueEntry.of(at, "key", new_key_id()) for at in times]
    for start in range(0, total, BATCH):
        puts = [{"PutRequest": {"Item": due_item(entry)}} for entry in entries[start : start + BATCH]]
        table.client().batch_write_item(RequestItems={table.name: puts})


class _Asked:
    """Of the queries since it was registered."""

    def __init__(self) -> None:
        self.requests = self.read = 0

    def note(self, parsed: dict[str, Any], **_: Any) -> None:
        self.requests += 1
        self.read += parsed["ScannedCount"]
