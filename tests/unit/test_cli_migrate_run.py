"""triggers/cli_migrate*.py: what is left undone while a store is away is done when it is back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
import pytest
from builders import NOW, record, tombstone

from keyrail.adapters.memory_due import MemoryDueIndex
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.memory_keys import MemoryKeyStore
from keyrail.domain.errors import DeadlineExceeded, Unavailable, Unreadable
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import Tombstone
from keyrail.migration import Migration, Store
from keyrail.rotation_ports import DueEntry
from keyrail.triggers import cli_migrate_run
from keyrail.triggers.cli_migrate import Run, migrate
from keyrail.triggers.cli_migrate_notes import NotesFile
from keyrail.triggers.cli_migrate_run import Movers


class Shaky(MemoryKeyStore):
    """A target that is away, or busy for so many writes."""

    is_away, busy = False, 0

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        self._answer()
        return super().revoke(tombstone)

    def create(self, record: Any) -> bool:
        self._answer()
        return super().create(record)

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("away")
        if self.busy:
            self.busy -= 1
            raise DeadlineExceeded("busy") if self.busy % 2 else Unavailable("busy")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_migrate_run, "PAUSES_SECONDS", (0.0,) * 3)


@pytest.fixture
def target() -> Shaky:
    return Shaky()


@pytest.fixture
def run(target: Shaky) -> Iterator[Run]:
    source = Store(MemoryKeyStore(), MemoryDueIndex(), MemoryChangeFeed())
    there = Store(target, MemoryDueIndex(), MemoryChangeFeed())
    with click.Context(migrate):
        yield Run(Migration(source, there, NotesFile(None, {}, "vault", "dynamodb")), Movers())


def issue(run: Run, count: int) -> list[str]:
    ids = [new_key_id() for _ in range(count)]
    for key_id in ids:
        assert run.migration.source.keys.create(record(key_id=key_id))
    return ids


def revoke(run: Run, ids: list[str]) -> None:
    for key_id in ids:
        run.migration.source.keys.revoke(replace(tombstone(), key_id=key_id))
        run.migration.source.feed.publish(key_id)


def dead(run: Run, ids: list[str]) -> list[str]:
    found = {key_id: run.migration.target.keys.find(key_id) for key_id in ids}
    return [key_id for key_id, stored in found.items() if stored is not None and stored.tombstone is not None]


def test_revocations_while_the_target_is_away_arrive_when_it_is_back(run: Run, target: Shaky) -> None:
    ids = issue(run, 12)
    run.all(run.begin(), follow=False)
    target.is_away = True
    revoke(run, ids)
    run.catch_up()
    run.catch_up()
    assert dead(run, ids) == []
    target.is_away = False
    run.catch_up()
    run.catch_up()
    assert dead(run, ids) == ids
    assert run.movers.failures == {}


def test_so_do_more_than_the_feed_remembers(run: Run, target: Shaky) -> None:
    ids = issue(run, 210)
    run.all(run.begin(), follow=False)
    target.is_away = True
    revoke(run, ids)
    run.catch_up()
    assert dead(run, ids) == []
    target.is_away = False
    run.catch_up()
    assert (dead(run, ids), run.movers.counts["left"]) == (ids, 0)


def test_a_busy_target_is_asked_again(run: Run, target: Shaky) -> None:
    issue(run, 3)
    target.busy = 3
    assert run.all(run.begin(), follow=False) == 0
    assert (run.movers.counts["copied"], run.movers.counts["left"]) == (3, 0)


def test_a_hint_that_failed_is_tried_again_as_a_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = DueEntry.of(NOW, "key", *issue(run, 1))
    run.migration.source.due.add(entry)
    add, answers = run.migration.target.due.add, iter([Unavailable("away")] * 4)

    def shaky(entry: DueEntry) -> bool:
        for answer in answers:
            raise answer
        return add(entry)

    monkeypatch.setattr(run.migration.target.due, "add", shaky)
    assert run.all(run.begin(), follow=False) == 0
    assert run.migration.target.due.due(NOW) == [entry]


def test_a_store_that_stays_away_leaves_the_rest(run: Run, target: Shaky) -> None:
    ids = issue(run, 40)
    target.is_away = True
    assert run.all(run.begin(), follow=False) == 3
    assert run.movers.counts["copied"] == 0
    assert run.movers.counts["left"] + len(run.movers.failures) == len(ids)
    assert run.movers.counts["left"] > 0


def test_damaged_records_are_not_taken_for_a_store_that_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = issue(run, 20)
    find, asked = run.migration.source.keys.find, []

    def damaged(key_id: str) -> Any:
        asked.append(key_id)
        if key_id in ids[:10]:
            raise Unreadable("damaged")
        return find(key_id)

    monkeypatch.setattr(run.migration.source.keys, "find", damaged)
    assert run.all(run.begin(), follow=False) == 1
    assert run.movers.failures == dict.fromkeys(ids[:10], "UNREADABLE")
    assert (run.movers.counts["copied"], run.movers.counts["left"]) == (10, 0)
    assert all(asked.count(key_id) == 1 for key_id in ids[:10]), "asking again does not help"
