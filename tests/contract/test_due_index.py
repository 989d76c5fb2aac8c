"""What every DueIndex keeps to, over memory, a real Vault and DynamoDB."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from counted_table import CountedTable
from keyrail.adapters import dynamodb_due
from keyrail.adapters.dynamodb_due import DynamoDueIndex
from keyrail.adapters.dynamodb_layout import SHARDS
from keyrail.adapters.memory_due import MemoryDueIndex
from keyrail.adapters.vault_due import VaultDueIndex
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.key_format import new_key_id
from keyrail.rotation_ports import DueEntry, DueIndex
from vault_mount import NOW, Mount, RecordedMetrics

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def index(request: pytest.FixtureRequest) -> DueIndex:
    if request.param == "memory":
        return MemoryDueIndex()
    if request.param == "dynamodb":
        return DynamoDueIndex(request.getfixturevalue("dynamo_table"))
    return VaultDueIndex(request.getfixturevalue("deleting_session"))


def key(at: datetime, key_id: str | None = None) -> DueEntry:
    return DueEntry.of(at, "key", key_id or new_key_id())


def test_nothing_is_due_at_first(index: DueIndex) -> None:
    assert index.due(NOW) == []


@pytest.mark.parametrize("at", [NOW, NOW.replace(minute=0, second=0), NOW.replace(minute=59, second=59)])
def test_an_entry_is_due_exactly_at_its_second(index: DueIndex, at: datetime) -> None:
    entry = key(at)
    index.add(entry)
    assert index.due(at - TICK) == []
    assert index.due(at) == [entry]
    assert index.due(at + 1000 * HOUR) == [entry]


def test_a_moment_within_a_second_is_due_at_the_next(index: DueIndex) -> None:
    entry = key(NOW + TICK)
    index.add(entry)
    assert index.due(NOW + timedelta(seconds=1) - TICK) == []
    assert index.due(NOW + timedelta(seconds=1)) == [entry]


def test_the_oldest_come_first_over_hours_days_and_years(index: DueIndex) -> None:
    entries = [key(NOW - offset) for offset in (0 * HOUR, HOUR, 25 * HOUR, 24 * 40 * HOUR, 24 * 400 * HOUR)]
    for entry in entries:
        index.add(entry)
    assert index.due(NOW) == entries[::-1]


def test_times_of_another_zone_are_the_same_moments(index: DueIndex) -> None:
    entry = key(NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
    index.add(entry)
    (found,) = index.due(NOW)
    assert found == key(NOW, entry.subject)
    assert found.at.tzinfo is UTC


def test_added_twice_it_is_there_once_and_removed_twice_it_is_gone(index: DueIndex) -> None:
    entry = key(NOW)
    for _ in range(2):
        index.add(entry)
    assert index.due(NOW) == [entry]
    for _ in range(2):
        index.remove(entry)
    assert index.due(NOW) == []


def test_what_was_removed_may_come_back(index: DueIndex) -> None:
    entry = key(NOW)
    for _ in range(3):
        index.add(entry)
        assert index.due(NOW) == [entry]
        index.remove(entry)


def test_only_the_named_entry_is_removed(index: DueIndex) -> None:
    key_id = new_key_id()
    stays = [key(NOW, key_id), key(NOW - HOUR), key(NOW)]
    goes = key(NOW - HOUR, key_id)
    for entry in (*stays, goes):
        index.add(entry)
    index.remove(goes)
    assert set(index.due(NOW)) == set(stays)


def test_ids_that_differ_in_case_alone_are_two(index: DueIndex) -> None:
    entries = {key(NOW, "abcdefghijklmnop"), key(NOW, "ABCDEFGHIJKLMNOP")}
    for entry in entries:
        index.add(entry)
    assert set(index.due(NOW)) == entries


def test_keys_configs_and_sweeps_lie_side_by_side(index: DueIndex) -> None:
    entries = {key(NOW), *(DueEntry.of(NOW, "config", f"acme/{name}") for name in ("db", "models/openai/key", "a"))}
    entries |= {DueEntry.of(NOW, "sweep", subject) for subject in ("acme/db", "90:index:acme/0Keyrail0Nobody0")}
    for entry in entries:
        index.add(entry)
    assert set(index.due(NOW)) == entries
    for entry in entries:
        index.remove(entry)
    assert index.due(NOW) == []


def test_many_at_once_lose_none(index: DueIndex) -> None:
    entries = [key(NOW - n * timedelta(minutes=7)) for n in range(64)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(index.add, entries))
        assert sorted(index.due(NOW), key=lambda entry: entry.at) == entries[::-1]
        list(pool.map(index.remove, entries[::2]))
    assert set(index.due(NOW)) == set(entries[1::2])


class TestCost:
    @pytest.fixture
    def index(self, deleting_session: VaultSession) -> VaultDueIndex:
        return VaultDueIndex(deleting_session)

    @pytest.mark.parametrize("later", [0, 1, 40])
    def test_follows_the_hours_that_are_due_not_those_to_come(
        self, index: VaultDueIndex, metrics: RecordedMetrics, mount: Mount, later: int
    ) -> None:
        due = [key(NOW - hours * HOUR) for hours in (0, 1, 30) for _ in range(5)]
        for entry in [*due, *(key(NOW + (1 + n) * HOUR) for n in range(later))]:
            index.add(entry)
        metrics.calls.clear()
        assert set(index.due(NOW)) == set(due)
        assert (len(metrics.calls), metrics.count("list")) == (4, 4), "the hours' names, and three hours"
        listed = {path for operation, path in mount.audited() if operation == "list"}
        assert listed == {"metadata/due/"} | {f"metadata/due/{NOW - h * HOUR:%Y%m%d%H}/" for h in (0, 1, 30)}

    @pytest.mark.parametrize("later", [0, 1, 10])
    def test_reads_the_configs_that_are_due_not_those_of_later_this_hour(
        self, index: VaultDueIndex, metrics: RecordedMetrics, later: int
    ) -> None:
        due = DueEntry.of(NOW, "config", "acme/db")
        for entry in [due, *(DueEntry.of(NOW + TICK, "config", f"acme/later-{n}") for n in range(later))]:
            index.add(entry)
        metrics.calls.clear()
        assert index.due(NOW) == [due]
        assert (metrics.count("list"), metrics.count("read")) == (2, 1)

    def test_is_one_request_for_each_addition_and_removal(self, index: VaultDueIndex, metrics: RecordedMetrics) -> None:
        entry = key(NOW)
        index.add(entry)
        assert metrics.calls == [("write", "ok")]
        metrics.calls.clear()
        index.remove(entry)
        assert len(metrics.calls) == 1

    def test_no_folder_is_left_behind(self, index: VaultDueIndex, metrics: RecordedMetrics) -> None:
        for n in range(3):
            index.add(key(NOW - n * HOUR))
        for entry in index.due(NOW):
            index.remove(entry)
        metrics.calls.clear()
        assert index.due(NOW) == []
        assert metrics.calls == [("list", "absent")]


class TestInVault:
    @pytest.fixture
    def index(self, deleting_session: VaultSession) -> VaultDueIndex:
        return VaultDueIndex(deleting_session)

    @pytest.mark.parametrize(
        "path",
        [
            "due/notes",
            "due/20300102/0405-k-abcdefghijklmnop",
            "due/2030010203/what-is-this",
            "due/2030010203/0405-x-abcdefghijklmnop",
            "due/2030010203/0405-k-abcdefghijklmno",
            "due/2030010203/0405-c-abcdefghijklmnop",
            "due/2030010203/0475-k-abcdefghijklmnop",
            "due/2030010299/0405-k-abcdefghijklmnop",
            "due/2030010203/more/below",
        ],
    )
    def test_what_somebody_put_there_by_hand_is_passed_over(
        self, index: VaultDueIndex, mount: Mount, path: str
    ) -> None:
        """One stray name must not keep every key from its rotation."""
        mount.put(path, {})
        entry = key(NOW)
        index.add(entry)
        assert index.due(NOW) == [entry]
        assert index.due(NOW + 1000 * HOUR) == [entry]


class TestInDynamoDB:
    @pytest.fixture
    def index(self, dynamo_table: CountedTable) -> DynamoDueIndex:
        return DynamoDueIndex(dynamo_table)

    @pytest.mark.parametrize("later", [0, 20, 300])
    def test_what_it_costs_follows_what_is_due_not_the_total(
        self, index: DynamoDueIndex, dynamo_table: CountedTable, later: int
    ) -> None:
        due = [key(NOW - n * HOUR) for n in range(10)]
        for entry in [*due, *(key(NOW + (1 + n) * HOUR) for n in range(later))]:
            index.add(entry)
        dynamo_table.asked.clear()
        assert index.due(NOW) == due[::-1]
        assert dynamo_table.actions() == ["query"] * SHARDS
        read = [dynamo_table.client().query(**request)["ScannedCount"] for _, request in dynamo_table.asked]
        assert sum(read) == len(due), "no hint of a later time was read"

    def test_hints_are_spread_and_so_are_those_of_one_moment(
        self, index: DynamoDueIndex, dynamo_table: CountedTable
    ) -> None:
        entries = [key(NOW) for _ in range(200)]
        for entry in entries:
            index.add(entry)
        shards = Counter(request["Item"]["shard"]["S"] for _, request in dynamo_table.asked if "Item" in request)
        assert len(shards) == SHARDS
        assert max(shards.values()) < 3 * len(entries) / SHARDS

    def test_more_than_a_page_is_read_on(self, index: DynamoDueIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dynamodb_due, "PAGE", 2)
        entries = {key(NOW - n * HOUR) for n in range(40)}
        for entry in entries:
            index.add(entry)
        assert set(index.due(NOW)) == entries

    @pytest.mark.parametrize("position", ["2", "20300101000000", "20300101000000#x#y", "20301301000000#k#" + "a" * 16])
    def test_what_somebody_put_there_by_hand_is_passed_over(
        self, index: DynamoDueIndex, dynamo_table: CountedTable, position: str
    ) -> None:
        stray = {"pk": {"S": "due#stray"}, "shard": {"S": "due#0"}, "position": {"S": position}}
        dynamo_table.write("put_item", Item=stray)
        entry = key(NOW)
        index.add(entry)
        assert index.due(NOW) == [entry]
        assert index.due(NOW + 24 * 400 * HOUR) == [entry]
