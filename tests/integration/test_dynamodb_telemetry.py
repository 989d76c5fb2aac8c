"""Each request to DynamoDB is counted and timed by what became of it, and is a span where traces are collected."""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from socket import create_server

import pytest
from opentelemetry.trace import SpanKind

from aws_faults import REQUEST_LOST, Between, Fate, aws_error, serving
from collected import Collected, collecting
from counted_table import DEADLINE_SECONDS, CountedTable
from keyrail import tracing
from keyrail.adapters.dynamodb_keys import DynamoKeyStore
from keyrail.adapters.dynamodb_table import TRIES, DynamoTable
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import KeyRecord
from keyrail.ports import NoMetrics
from vault_mount import a_record, a_tombstone


@dataclass
class Recorded(NoMetrics):
    calls: list[tuple[str, str]] = field(default_factory=list)

    def dynamodb_call(self, operation: str, outcome: str, seconds: float) -> None:
        assert 0 <= seconds < DEADLINE_SECONDS
        self.calls.append((operation, outcome))


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def between(aws_endpoint: str) -> Between:
    return Between(aws_endpoint)


@pytest.fixture
def table(between: Between, dynamo_table: CountedTable, recorded: Recorded) -> Iterator[DynamoTable]:
    with serving(between.answer) as url:
        yield DynamoTable(dynamo_table.name, DEADLINE_SECONDS, url, recorded)


@pytest.fixture
def keys(table: DynamoTable) -> DynamoKeyStore:
    return DynamoKeyStore(table)


@pytest.fixture
def spans() -> Iterator[Collected]:
    with collecting() as collected:
        yield collected


def test_what_is_done_and_what_is_refused_by_its_condition(keys: DynamoKeyStore, recorded: Recorded) -> None:
    record = a_record()
    keys.create(record)
    keys.create(record)
    keys.find(record.key_id)
    keys.revoke(a_tombstone(record.key_id))
    keys.list_ids("acme", "z" * 16, 1)
    assert recorded.calls == [
        ("PutItem", "ok"),
        ("PutItem", "conflict"),
        ("BatchGetItem", "ok"),
        ("PutItem", "ok"),
        ("Query", "ok"),
    ]


@pytest.mark.parametrize(
    ("fate", "outcome", "tries"),
    [
        (Fate(aws_error("ThrottlingException")), "busy", TRIES),
        (Fate(aws_error("AccessDeniedException")), "refused", 1),
        (Fate(aws_error("InternalServerError", 500)), "fault", TRIES),
        (REQUEST_LOST, "fault", TRIES),
    ],
)
def test_each_try_that_fails_is_told_by_its_kind(
    keys: DynamoKeyStore, between: Between, recorded: Recorded, fate: Fate, outcome: str, tries: int
) -> None:
    between.fates = [fate] * TRIES
    with pytest.raises(Unavailable):
        keys.find(new_key_id())
    assert recorded.calls == [("BatchGetItem", outcome)] * tries


def test_no_answer_in_time_and_no_connection(aws_credentials: None, recorded: Recorded) -> None:
    with closing(create_server(("127.0.0.1", 0))) as silent:
        hanging = DynamoTable("keyrail", 0.2, f"http://127.0.0.1:{silent.getsockname()[1]}", recorded)
        with pytest.raises(DeadlineExceeded):
            hanging.write("put_item", Item={"pk": {"S": "feed"}})
    away = DynamoTable("keyrail", 2.0, f"http://127.0.0.1:{free_ports(1)[0]}", recorded)
    with pytest.raises(Unavailable):
        DynamoKeyStore(away).find(new_key_id())
    assert recorded.calls == [("PutItem", "timeout"), *[("BatchGetItem", "fault")] * TRIES]


class TestSpans:
    def test_a_request_is_a_span_that_holds_no_id(
        self, keys: DynamoKeyStore, spans: Collected, dynamo_table: CountedTable
    ) -> None:
        record = found_within_a_span(keys)
        span = spans.one("DynamoDB.BatchGetItem")
        assert (span.kind, span.status.is_unset) == (SpanKind.CLIENT, True)
        assert dict(span.attributes or {}) == {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": "BatchGetItem",
            "db.collection.name": dynamo_table.name,
        }
        assert record.key_id not in spans.text()

    def test_each_try_is_one_and_says_why_it_failed(
        self, keys: DynamoKeyStore, between: Between, spans: Collected
    ) -> None:
        between.fates = [Fate(aws_error("ThrottlingException"))]
        found_within_a_span(keys, first=True)
        failed, done = [span for span in spans.all() if span.name == "DynamoDB.BatchGetItem"]
        assert (dict(failed.attributes or {})["error.type"], failed.status.is_ok) == ("ThrottlingException", False)
        assert done.status.is_unset

    def test_a_condition_that_does_not_hold_is_an_answer(self, keys: DynamoKeyStore, spans: Collected) -> None:
        record = a_record()
        keys.create(record)
        assert tracing.tracer is not None
        with tracing.tracer.serve("a call", {}, {}):
            assert keys.create(record) is False
        assert spans.one("DynamoDB.PutItem").status.is_unset

    def test_outside_of_a_call_there_is_none(self, keys: DynamoKeyStore, spans: Collected) -> None:
        keys.find(new_key_id())
        assert spans.all() == []


def found_within_a_span(keys: DynamoKeyStore, *, first: bool = False) -> KeyRecord:
    record = a_record()
    if not first:
        keys.create(record)
    assert tracing.tracer is not None
    with tracing.tracer.serve("a call", {}, {}), suppress(Unavailable):
        keys.find(record.key_id)
    return record
