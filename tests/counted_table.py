"""Tables of a DynamoDB that count what they are asked."""

import secrets
import threading
from typing import Any

from keyrail.adapters.dynamodb_documents import DynamoUsageLog
from keyrail.adapters.dynamodb_table import DynamoTable
from keyrail.dev.aws import create_table

DEADLINE_SECONDS = 10.0  # for a machine that does something else too


class CountedTable(DynamoTable):
    """Says what was asked: action and request, each time that one goes out."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def _once(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((action, request))
        return super()._once(action, request)

    def actions(self) -> list[str]:
        return [action for action, _ in self.asked]


class QuietDynamoLog(DynamoUsageLog):
    """The test says when a batch is written."""

    def _start_writer(self) -> threading.Thread:
        return threading.current_thread()


def new_table(endpoint: str) -> CountedTable:
    table = CountedTable(f"keyrail-{secrets.token_hex(4)}", DEADLINE_SECONDS, endpoint)
    create_table(table.client(), table.name)
    return table
