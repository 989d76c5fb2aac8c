"""What every UsageLog keeps to, over memory, a real Vault and DynamoDB."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from counted_table import CountedTable, QuietDynamoLog
from keyrail.adapters.batched_usage import (
    BATCH_KEYS,
    BATCH_SECONDS,
    MAX_GENERATIONS,
    OTHER_SECONDS,
    RETIRING_SECONDS,
    BatchedUsageLog,
)
from keyrail.adapters.dynamodb_documents import DynamoDocuments
from keyrail.adapters.memory_usage import MemoryUsageLog
from keyrail.adapters.vault_session import VaultSession
from keyrail.adapters.vault_usage import VaultUsageLog
from keyrail.domain.due import USAGE_LAG_SECONDS
from keyrail.domain.errors import Unavailable
from keyrail.domain.key_format import new_key_id
from keyrail.rotation_ports import UsageLog
from vault_mount import NOW, Mount, QuietUsageLog, RecordedMetrics

SECOND = timedelta(seconds=1)


class Elapsed:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
def vault_log(vault_session: VaultSession, elapsed: Elapsed) -> VaultUsageLog:
    return QuietUsageLog(vault_session, elapsed)


@pytest.fixture
def dynamo_log(dynamo_table: CountedTable, elapsed: Elapsed) -> "QuietDynamoLog":
    return QuietDynamoLog(DynamoDocuments(dynamo_table), elapsed)


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def logged(request: pytest.FixtureRequest) -> tuple[UsageLog, Callable[[], object]]:
    """The log, and what makes sure that it is written."""
    if request.param == "memory":
        return MemoryUsageLog(), lambda: None
    log: BatchedUsageLog = request.getfixturevalue("vault_log" if request.param == "vault" else "dynamo_log")
    return log, log.flush


class TestEveryLog:
    def test_knows_nothing_of_a_key_that_was_not_used(self, logged: tuple[UsageLog, Callable[[], object]]) -> None:
        log, _ = logged
        assert log.last_used(new_key_id()) == {}

    def test_tells_the_last_use_of_each_generation(self, logged: tuple[UsageLog, Callable[[], object]]) -> None:
        log, written = logged
        key_id, other = new_key_id(), new_key_id()
        log.used(key_id, 1, NOW, is_retiring=True)
        log.used(key_id, 2, NOW + SECOND, is_retiring=False)
        log.used(key_id, 1, NOW + 2 * SECOND, is_retiring=True)
        log.used(other, 1, NOW, is_retiring=False)
        written()
        assert log.last_used(key_id) == {1: NOW + 2 * SECOND, 2: NOW + SECOND}
        assert log.last_used(other) == {1: NOW}


class TestInVault:
    @pytest.mark.parametrize(("is_retiring", "pause"), [(True, RETIRING_SECONDS), (False, OTHER_SECONDS)])
    def test_a_key_is_written_at_most_once_in_its_pause(
        self, vault_log: VaultUsageLog, elapsed: Elapsed, metrics: RecordedMetrics, is_retiring: bool, pause: float
    ) -> None:
        key_id = new_key_id()
        for second in range(int(2 * pause)):
            elapsed.seconds = 1000.0 + second
            vault_log.used(key_id, 1, NOW + second * SECOND, is_retiring=is_retiring)
            if second % BATCH_SECONDS == 0:
                vault_log.flush()
        assert metrics.count("write") == 2
        assert vault_log.last_used(key_id) == {1: NOW + pause * SECOND}

    def test_two_generations_of_a_key_share_its_pause(
        self, vault_log: VaultUsageLog, elapsed: Elapsed, metrics: RecordedMetrics
    ) -> None:
        key_id = new_key_id()
        for second in range(60):
            elapsed.seconds = 1000.0 + second
            vault_log.used(key_id, second % 3, NOW, is_retiring=second % 3 == 0)
            vault_log.flush()
        assert metrics.count("write") == 1

    def test_a_use_is_in_the_log_before_anybody_counts_it_as_silence(self) -> None:
        assert RETIRING_SECONDS + 2 * BATCH_SECONDS < USAGE_LAG_SECONDS

    def test_the_last_use_is_written_also_where_no_other_follows(
        self, vault_log: VaultUsageLog, elapsed: Elapsed
    ) -> None:
        key_id = new_key_id()
        vault_log.used(key_id, 1, NOW, is_retiring=True)
        vault_log.flush()
        vault_log.used(key_id, 1, NOW + SECOND, is_retiring=True)
        assert vault_log.flush() == 0
        elapsed.seconds += RETIRING_SECONDS
        assert vault_log.flush() == 1
        assert vault_log.last_used(key_id) == {1: NOW + SECOND}

    def test_using_a_key_asks_nothing_of_vault(self, vault_log: VaultUsageLog, metrics: RecordedMetrics) -> None:
        for n in range(1000):
            vault_log.used(f"{n:016}", 1, NOW, is_retiring=True)
        assert metrics.calls == []

    def test_a_batch_costs_two_requests_a_key(self, vault_log: VaultUsageLog, metrics: RecordedMetrics) -> None:
        for _ in range(5):
            vault_log.used(new_key_id(), 1, NOW, is_retiring=True)
        assert vault_log.flush() == 5
        assert metrics.calls == [("read", "absent"), ("write", "ok")] * 5
        assert vault_log.flush() == 0

    def test_a_start_is_no_burst_and_retiring_keys_come_first(self, vault_log: VaultUsageLog) -> None:
        for n in range(BATCH_KEYS + 30):
            vault_log.used(f"{n:016}", 1, NOW, is_retiring=False)
        retiring = [new_key_id() for _ in range(10)]
        for key_id in retiring:
            vault_log.used(key_id, 1, NOW, is_retiring=True)
        assert vault_log.flush() == BATCH_KEYS + 10
        assert all(vault_log.last_used(key_id) for key_id in retiring)
        assert vault_log.flush() == 30

    def test_processes_write_side_by_side_and_no_use_goes_back(
        self, vault_session: VaultSession, elapsed: Elapsed
    ) -> None:
        one, other, key_id = QuietUsageLog(vault_session, elapsed), QuietUsageLog(vault_session, elapsed), new_key_id()
        one.used(key_id, 1, NOW + 5 * SECOND, is_retiring=True)
        other.used(key_id, 1, NOW, is_retiring=True)
        other.used(key_id, 2, NOW, is_retiring=True)
        assert one.flush() == other.flush() == 1
        assert one.last_used(key_id) == {1: NOW + 5 * SECOND, 2: NOW}

    def test_a_write_that_lost_its_race_comes_with_the_next_batch(
        self, vault_log: VaultUsageLog, vault_session: VaultSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key_id = new_key_id()
        vault_log.used(key_id, 1, NOW, is_retiring=True)
        with monkeypatch.context() as lost:
            lost.setattr(vault_session, "create", lambda *_: object())
            assert vault_log.flush() == 0
        vault_log.used(key_id, 2, NOW, is_retiring=False)
        assert vault_log.flush() == 1
        assert vault_log.last_used(key_id) == {1: NOW, 2: NOW}

    def test_while_vault_is_away_nothing_is_raised_and_all_is_kept(
        self, vault_session: VaultSession, elapsed: Elapsed, caplog: pytest.LogCaptureFixture
    ) -> None:
        log, keys = QuietUsageLog(vault_session, elapsed), [new_key_id() for _ in range(3)]
        for key_id in keys:
            log.used(key_id, 1, NOW, is_retiring=True)
        read = vault_session.read

        def away(path: object) -> None:
            raise Unavailable("no answer")

        vault_session.read = away  # type: ignore[assignment, method-assign]
        with caplog.at_level(logging.WARNING, "keyrail"):
            assert log.flush() == 0
        assert len(caplog.records) == 1, "the others are not even tried"
        vault_session.read = read  # type: ignore[method-assign]
        assert log.flush() == 3

    def test_old_generations_are_forgotten(self, vault_log: VaultUsageLog, elapsed: Elapsed) -> None:
        key_id = new_key_id()
        for n in range(1, MAX_GENERATIONS + 5):
            vault_log.used(key_id, n, NOW, is_retiring=True)
        vault_log.flush()
        assert sorted(vault_log.last_used(key_id)) == [*range(5, MAX_GENERATIONS + 5)]

    @pytest.mark.parametrize("document", [{"one": NOW.isoformat()}, {"1": "yesterday"}, {"1": 5}, {"1": None}])
    def test_a_malformed_document_is_no_silence_and_is_put_right_by_the_next_use(
        self, vault_log: VaultUsageLog, mount: Mount, document: dict[str, object]
    ) -> None:
        key_id = new_key_id()
        mount.put(f"usage/{key_id[:2]}/{key_id}", document)
        with pytest.raises(Unavailable) as failure:
            vault_log.last_used(key_id)
        assert failure.value.detail.endswith("is malformed")
        vault_log.used(key_id, 1, NOW, is_retiring=True)
        assert vault_log.flush() == 1
        assert vault_log.last_used(key_id) == {1: NOW}

    def test_many_threads_use_keys_while_they_are_written(self, vault_log: VaultUsageLog, elapsed: Elapsed) -> None:
        keys, done = [new_key_id() for _ in range(20)], threading.Event()

        def use() -> None:
            while not done.is_set():
                for key_id in keys:
                    vault_log.used(key_id, 1, datetime.now(UTC), is_retiring=True)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            elapsed.seconds += RETIRING_SECONDS
            vault_log.flush()
        done.set()
        for thread in threads:
            thread.join()
        elapsed.seconds += RETIRING_SECONDS
        assert vault_log.flush() == len(keys)
        assert all(vault_log.last_used(key_id) for key_id in keys)


class TestInDynamoDb:
    def test_a_batch_costs_two_requests_a_key(self, dynamo_log: QuietDynamoLog, dynamo_table: CountedTable) -> None:
        for _ in range(3):
            dynamo_log.used(new_key_id(), 1, NOW, is_retiring=True)
        assert dynamo_table.actions() == [], "using a key asks nothing"
        assert dynamo_log.flush() == 3
        assert dynamo_table.actions() == ["get_item", "put_item"] * 3

    def test_processes_write_side_by_side_and_no_use_goes_back(
        self, dynamo_table: CountedTable, elapsed: Elapsed
    ) -> None:
        documents, key_id = DynamoDocuments(dynamo_table), new_key_id()
        one, other = QuietDynamoLog(documents, elapsed), QuietDynamoLog(documents, elapsed)
        one.used(key_id, 1, NOW + 5 * SECOND, is_retiring=True)
        other.used(key_id, 1, NOW, is_retiring=True)
        other.used(key_id, 2, NOW, is_retiring=True)
        assert one.flush() == other.flush() == 1
        assert one.last_used(key_id) == {1: NOW + 5 * SECOND, 2: NOW}

    def test_of_two_first_writes_one_loses_and_comes_again(self, dynamo_table: CountedTable, elapsed: Elapsed) -> None:
        documents, key_id = DynamoDocuments(dynamo_table), new_key_id()
        log, read = QuietDynamoLog(documents, elapsed), documents.read

        def read_before_the_other_wrote(name: str) -> None:
            documents.write(name, {"2": NOW.isoformat()}, 0)

        documents.read = read_before_the_other_wrote  # type: ignore[method-assign]
        log.used(key_id, 1, NOW, is_retiring=True)
        assert log.flush() == 0
        documents.read = read  # type: ignore[method-assign]
        assert log.flush() == 1
        assert log.last_used(key_id) == {1: NOW, 2: NOW}

    @pytest.mark.parametrize("item", [{"document": {"S": "no JSON"}, "version": {"N": "1"}}, {"document": {"S": "[]"}}])
    def test_what_is_no_document_is_no_silence(
        self, dynamo_log: QuietDynamoLog, dynamo_table: CountedTable, item: dict[str, object]
    ) -> None:
        key_id = new_key_id()
        dynamo_table.write("put_item", Item={"pk": {"S": f"usage#{key_id}"}, **item})
        with pytest.raises(Unavailable, match=r"^The key store can't answer"):
            dynamo_log.last_used(key_id)


class TestWithoutABackground:
    """A process that is frozen between requests writes a use in the request that it comes with, or perhaps never."""

    @pytest.fixture
    def inline(self, vault_session: VaultSession, elapsed: Elapsed) -> VaultUsageLog:
        return VaultUsageLog(vault_session, elapsed, background=False)

    def test_a_use_is_written_at_once_and_no_thread_is_needed(
        self, inline: VaultUsageLog, metrics: RecordedMetrics
    ) -> None:
        key_id, threads = new_key_id(), threading.active_count()
        inline.used(key_id, 1, NOW, is_retiring=False)
        assert metrics.calls == [("read", "absent"), ("write", "ok")]
        assert threading.active_count() == threads
        assert inline.last_used(key_id) == {1: NOW}

    @pytest.mark.parametrize(("is_retiring", "pause"), [(True, RETIRING_SECONDS), (False, OTHER_SECONDS)])
    def test_a_key_is_written_at_most_once_in_its_pause(
        self, inline: VaultUsageLog, elapsed: Elapsed, metrics: RecordedMetrics, is_retiring: bool, pause: float
    ) -> None:
        key_id, other = new_key_id(), new_key_id()
        for seconds in (0, 1, pause - 1, pause):
            elapsed.seconds = 1000.0 + seconds
            for each in (key_id, other):
                inline.used(each, 1, NOW + seconds * SECOND, is_retiring=is_retiring)
        assert metrics.count("write") == 2 * 2
        assert inline.last_used(key_id) == {1: NOW + pause * SECOND}

    def test_one_that_begins_to_retire_waits_for_no_hour(self, inline: VaultUsageLog, elapsed: Elapsed) -> None:
        key_id = new_key_id()
        inline.used(key_id, 1, NOW, is_retiring=False)
        elapsed.seconds += RETIRING_SECONDS
        inline.used(key_id, 1, NOW + SECOND, is_retiring=True)
        assert inline.last_used(key_id) == {1: NOW + SECOND}

    def test_while_vault_is_away_no_request_after_the_first_waits_for_it(
        self,
        inline: VaultUsageLog,
        elapsed: Elapsed,
        vault_session: VaultSession,
        metrics: RecordedMetrics,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def away(*_: object) -> None:
            asked.append(1)
            raise Unavailable("Vault is away")

        asked: list[int] = []
        key_id = new_key_id()
        with monkeypatch.context() as patched:
            patched.setattr(vault_session, "read", away)
            for _ in range(100):
                inline.used(key_id, 1, NOW, is_retiring=True)
                inline.used(new_key_id(), 1, NOW, is_retiring=True)
        assert len(asked) == 1
        elapsed.seconds += BATCH_SECONDS
        inline.used(key_id, 1, NOW + SECOND, is_retiring=True)
        assert inline.last_used(key_id) == {1: NOW + SECOND}


def test_it_writes_by_itself(vault_session: VaultSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyrail.adapters.batched_usage.BATCH_SECONDS", 0.01)
    log, key_id = VaultUsageLog(vault_session), new_key_id()
    log.used(key_id, 1, NOW, is_retiring=False)
    ends_at = datetime.now(UTC) + 10 * SECOND
    while not log.last_used(key_id):
        assert datetime.now(UTC) < ends_at
    assert log.last_used(key_id) == {1: NOW}
