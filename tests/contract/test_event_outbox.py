"""What every EventOutbox keeps to, over memory, a real Vault and DynamoDB."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from counted_table import CountedTable
from keyrail.adapters.dynamodb_layout import SHARDS
from keyrail.adapters.dynamodb_outbox import LONGEST_TURN, DynamoEventOutbox
from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.adapters.vault_outbox import VaultEventOutbox
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.rotation_ports import EventOutbox
from vault_mount import NOW, Mount

LEAST = """
path "MOUNT/data/outbox/+/+" { capabilities = ["create", "read"] }
path "MOUNT/metadata/outbox/*" { capabilities = ["list", "delete"] }
"""


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def outbox(request: pytest.FixtureRequest) -> EventOutbox:
    if request.param == "memory":
        return MemoryEventOutbox()
    if request.param == "dynamodb":
        return DynamoEventOutbox(request.getfixturevalue("dynamo_table"))
    return VaultEventOutbox(request.getfixturevalue("deleting_session"))


def event(number: int = 0) -> LifecycleEvent:
    at = NOW + timedelta(minutes=7 * number)
    return LifecycleEvent(
        event_id("key.issued", f"key {number}", "1"), "key.issued", at, "acme", f"key {number}", {"actor": "somebody"}
    )


def test_is_empty_at_first(outbox: EventOutbox) -> None:
    assert (outbox.pending(10), outbox.waiting()) == ([], 0)


def test_gives_back_what_was_put_the_oldest_first(outbox: EventOutbox) -> None:
    events = [event(number) for number in (0, 1, 9, 30, 200)]
    for each in reversed(events):
        outbox.put(each)
    assert outbox.pending(10) == events
    assert outbox.pending(2) == events[:2]
    assert outbox.waiting() == 5


def test_put_twice_it_is_there_once_and_the_first_stays(outbox: EventOutbox) -> None:
    outbox.put(event())
    outbox.put(event())
    outbox.put(replace(event(), facts={"actor": "somebody else"}))
    assert outbox.pending(10) == [event()]


def test_removed_twice_it_is_gone(outbox: EventOutbox) -> None:
    for number in range(3):
        outbox.put(event(number))
    for _ in range(2):
        outbox.remove(event(1))
    assert outbox.pending(10) == [event(0), event(2)]


def test_put_by_many_at_once_it_is_there_once(outbox: EventOutbox) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(outbox.put, [event(number % 8) for number in range(64)]))
    assert outbox.pending(100) == [event(number) for number in range(8)]


def test_an_event_told_again_later_is_the_same_where_it_says_when_it_was(outbox: EventOutbox) -> None:
    """As announce() tells a rotation that was promoted: at the time of the change, not of the telling."""
    tell: Callable[[], LifecycleEvent] = event
    outbox.put(tell())
    outbox.put(tell())
    assert outbox.waiting() == 1


MINUTE = timedelta(minutes=1)


def test_one_sender_at_a_time_has_the_turn_until_it_ends_or_is_given_back(outbox: EventOutbox) -> None:
    first = outbox.take_turn(NOW, 60.0)
    assert first is not None
    assert outbox.take_turn(NOW + MINUTE / 2, 60.0) is None
    second = outbox.take_turn(NOW + 2 * MINUTE, 60.0)
    assert second not in (None, first)
    outbox.end_turn(first)
    assert outbox.take_turn(NOW + 2 * MINUTE, 60.0) is None, "somebody else's turn is not ended"
    assert second is not None
    outbox.end_turn(second)
    outbox.end_turn(second)
    assert outbox.take_turn(NOW + 2 * MINUTE, 60.0) is not None


class TestInDynamoDb:
    @pytest.fixture
    def in_dynamo(self, dynamo_table: CountedTable) -> DynamoEventOutbox:
        return DynamoEventOutbox(dynamo_table)

    def test_of_many_senders_one_gets_the_turn(self, in_dynamo: DynamoEventOutbox) -> None:
        with ThreadPoolExecutor(8) as pool:
            turns = list(pool.map(lambda _: in_dynamo.take_turn(NOW, 60.0), range(8)))
        assert sum(turn is not None for turn in turns) == 1

    def test_a_turn_from_a_clock_that_was_wrong_does_not_last(self, in_dynamo: DynamoEventOutbox) -> None:
        assert in_dynamo.take_turn(NOW + 2 * LONGEST_TURN, 60.0) is not None
        assert in_dynamo.take_turn(NOW, 60.0) is not None

    def test_a_malformed_event_holds_up_no_other_and_stays(
        self, in_dynamo: DynamoEventOutbox, dynamo_table: CountedTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(3):
            in_dynamo.put(event(number))
        broken = {"pk": {"S": f"outbox#{event(0).event_id}"}}
        dynamo_table.write(
            "update_item",
            Key=broken,
            UpdateExpression="SET document = :none",
            ExpressionAttributeValues={":none": {"S": "{}"}},
        )
        assert in_dynamo.pending(1) == [event(1)]
        assert in_dynamo.pending(10) == [event(1), event(2)]
        assert in_dynamo.waiting() == 3
        assert [record.levelname for record in caplog.records] == ["ERROR"] * 2

    def test_what_it_costs(self, in_dynamo: DynamoEventOutbox, dynamo_table: CountedTable) -> None:
        for number in range(3):
            in_dynamo.put(event(number))
        assert dynamo_table.actions() == ["put_item"] * 3
        dynamo_table.asked.clear()
        assert len(in_dynamo.pending(10)) == 3
        assert sorted(dynamo_table.actions()) == ["batch_get_item"] + ["query"] * SHARDS


def test_in_vault_what_stands_can_be_changed_by_nobody_who_puts(mount: Mount) -> None:
    """Create-only: an event that was put stays as it is until it is sent."""
    from keyrail.adapters.vault_session import VaultSession

    session = VaultSession(mount.config(token=mount.token(LEAST)))
    outbox = VaultEventOutbox(session)
    outbox.put(event())
    outbox.put(replace(event(), facts={"actor": "a liar"}))
    (standing,) = outbox.pending(1)
    assert standing == event()
    outbox.remove(event())
    outbox.put(event())
    assert outbox.pending(1) == [event()]
    with pytest.raises(Unavailable):
        session.replace(_only_path(mount), {"a": 1}, 1)
    session.close()


def _only_path(mount: Mount) -> object:
    from keyrail.adapters.vault_paths import SecretPath

    hours = mount.root.secrets.kv.v2.list_secrets("outbox", mount_point=mount.name)["data"]["keys"]
    names = mount.root.secrets.kv.v2.list_secrets(f"outbox/{hours[0]}", mount_point=mount.name)["data"]["keys"]
    return SecretPath(("outbox", hours[0].rstrip("/"), names[0]))
