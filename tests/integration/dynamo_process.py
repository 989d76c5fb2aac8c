"""All functions of one process over DynamoDB, with what stays in Vault in a real one; the clock stands still, so that
nothing is read because time has passed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from counted_table import CountedTable
from first_admin import make_admin
from keyrail import bootstrap
from keyrail.operations.catalogue import CATALOGUE
from keyrail.settings import load_settings
from keyrail.triggers.http_function import HttpFunction
from keyrail.triggers.http_messages import HttpReply, HttpRequest

OPERATIONS = {operation.name: HttpFunction(operation) for operation in CATALOGUE}


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2030, 1, 2, tzinfo=UTC)

    def elapsed_seconds(self) -> float:
        return 0.0


class Process:
    """Just started; `caller` is the key that every call shows, a new admin's unless given."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], table: str, endpoint: str, caller: str | None = None
    ) -> None:
        monkeypatch.setattr(bootstrap, "SystemClock", StoppedClock)
        monkeypatch.setattr("keyrail.adapters.dynamodb_table.DynamoTable", CountedTable)
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        on_aws = {"KEYRAIL_STORE": "dynamodb", "KEYRAIL_DYNAMODB_TABLE": table}
        self.services = bootstrap.build_services(load_settings(env | on_aws))
        keys: Any = self.services.keys
        self.table: CountedTable = keys._table
        self.caller = caller or make_admin(self.services)

    def answer(self, operation: str, body: dict[str, Any]) -> HttpReply:
        """At the bare URL of the function, where every field is in the body."""
        sent = json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.caller}", "content-type": "application/json"}
        request = HttpRequest("POST", "/", "", headers.get, lambda _limit: sent)
        return OPERATIONS[operation].answer(request, self.services)

    def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.answer(operation, body)
        assert reply.status in (200, 201), reply.body
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    def asked_by(self, operation: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Action and request of each request to DynamoDB that one call caused."""
        self.table.asked.clear()
        self.call(operation, body)
        return list(self.table.asked)
