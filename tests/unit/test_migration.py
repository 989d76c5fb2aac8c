"""keyrail/migration.py over stores in memory: whatever happens meanwhile, nothing is lost and nothing comes back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import KEY_ID, NOW, record, tombstone
from hypothesis import given
from hypothesis import strategies as st

from keyrail.adapters.memory_due import MemoryDueIndex
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.memory_keys import MemoryKeyStore
from keyrail.domain.errors import Conflict
from keyrail.domain.migration import Alike, Newer, Noted, alike, newer, record_fingerprint
from keyrail.domain.records import KeyRecord, StoredKey
from keyrail.migration import Migration, Outcome, Store
from keyrail.rotation_ports import DueEntry
from keyrail.triggers.cli_migrate_notes import NotesFile
from keyrail.triggers.cli_root import CliError

WRITES = ("create", "replace", "revoke", "publish", "intend", "agree")


class Killed(BaseException):
    """As by kill -9: nothing catches it."""


class Tapped:
    """Calls through, and says so; dies before or after the write with the number `dies_at`."""

    def __init__(self, inner: Any, tap: "Tap") -> None:
        self._inner, self._tap = inner, tap

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return self._tap.through(name, method) if name in WRITES else method


class Tap:
    def __init__(self) -> None:
        self.writes: list[str] = []
        self.dies_at: int | None = None
        self.dies_after = False
        self.before: Callable[[], None] = lambda: None

    def through(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            is_the_end = len(self.writes) == self.dies_at
            self.writes.append(name)
            if is_the_end and not self.dies_after:
                raise Killed
            done = method(*given)
            if is_the_end:
                raise Killed
            return done

        return call


def empty() -> Store:
    return Store(MemoryKeyStore(), MemoryDueIndex(), MemoryChangeFeed())


class Pair:
    """Two stores, and the report of all runs between them."""

    def __init__(self, file: Path | None = None) -> None:
        self.vault, self.dynamodb, self.tap = empty(), empty(), Tap()
        self.file = file
        self.notes = NotesFile(None, {}, "vault", "dynamodb")

    def to(self, target: str, *, dry_run: bool = False) -> Migration:
        """A new run, which writes through the tap."""
        source = "vault" if target == "dynamodb" else "dynamodb"
        there: Any = getattr(self, target)
        keys, feed = Tapped(there.keys, self.tap), Tapped(there.feed, self.tap)
        tapped = Store(keys, there.due, feed)
        if self.file is not None:
            self.notes.close()
            self.notes = NotesFile(self.file, {"migrate": "test"}, source, target)
        notes: Any = Tapped(self.notes, self.tap)
        self.tap.writes.clear()
        return Migration(getattr(self, source), tapped, notes, dry_run)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path / "report")


def change(store: Store, **changes: Any) -> KeyRecord:
    stored = store.keys.find(KEY_ID)
    assert stored is not None
    changed = replace(stored.record, **changes)
    assert store.keys.replace(changed, stored.version)
    store.feed.publish(KEY_ID)
    return changed


def there(store: Store) -> KeyRecord | None:
    stored = store.keys.find(KEY_ID)
    return None if stored is None else stored.record


class TestWhichIsNewer:
    OLD, NEW = record(name="old"), record(name="new")
    AGREED = Alike(7, 1, record_fingerprint(OLD))

    def test_neither_where_both_are_alike_whatever_is_noted(self) -> None:
        assert newer(StoredKey(self.OLD, 9), StoredKey(self.OLD, 4), Noted()) is Newer.NEITHER

    @pytest.mark.parametrize(
        ("source", "target", "expected"),
        [
            (StoredKey(NEW, 8), StoredKey(OLD, 1), Newer.SOURCE),
            (StoredKey(OLD, 7), StoredKey(NEW, 2), Newer.TARGET),
            (StoredKey(NEW, 8), StoredKey(record(name="rival"), 2), Newer.UNKNOWN),
            (StoredKey(OLD, 9), StoredKey(record(name="rival"), 2), Newer.UNKNOWN),  # changed, and back again
            (StoredKey(NEW, 8), StoredKey(OLD, 3), Newer.UNKNOWN),  # the same at the target
        ],
    )
    def test_the_side_that_changed_since_both_agreed(
        self, source: StoredKey, target: StoredKey, expected: Newer
    ) -> None:
        assert newer(source, target, Noted(self.AGREED)) is expected

    def test_a_change_and_back_again_is_a_change(self) -> None:
        """A scope that was given and taken away must not live on at the target."""
        given_and_copied = Noted(Alike(8, 2, record_fingerprint(self.NEW)))
        assert newer(StoredKey(self.OLD, 9), StoredKey(self.NEW, 2), given_and_copied) is Newer.SOURCE

    def test_nobody_knows_without_a_note(self) -> None:
        assert newer(StoredKey(self.NEW, 8), StoredKey(self.OLD, 1), Noted()) is Newer.UNKNOWN

    def test_what_a_run_was_about_to_write_is_known_at_the_target_alone(self) -> None:
        intended = Noted(self.AGREED, (alike(StoredKey(self.NEW, 8), 2),))
        newest = StoredKey(record(name="newest"), 9)
        assert newer(newest, StoredKey(self.NEW, 2), intended) is Newer.SOURCE
        assert newer(newest, StoredKey(self.OLD, 1), intended) is Newer.SOURCE
        assert newer(StoredKey(self.NEW, 8), StoredKey(record(name="rival"), 2), intended) is Newer.UNKNOWN


def test_a_record_and_its_tombstone_are_copied_and_a_second_run_writes_nothing(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.vault.keys.revoke(tombstone())
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.COPIED
    assert pair.tap.writes == ["intend", "revoke", "create", "agree"]
    assert pair.dynamodb.keys.find(KEY_ID) == StoredKey(record(), 1, tombstone())
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.SAME
    assert pair.tap.writes == []


def test_a_change_is_copied_and_told(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    assert pair.dynamodb.feed.head().seq == 0, "nobody holds what is new"
    changed = change(pair.vault, name="another")
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.UPDATED
    assert there(pair.dynamodb) == changed
    assert pair.dynamodb.feed.head().ring == (KEY_ID,)


def test_a_revocation_after_the_copy_is_copied_and_told(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    pair.vault.keys.revoke(tombstone())
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.REVOKED
    assert pair.dynamodb.keys.find(KEY_ID) == StoredKey(record(), 1, tombstone())
    assert pair.dynamodb.feed.head().ring == (KEY_ID,)


def test_what_was_revoked_at_the_target_stays_revoked(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    pair.dynamodb.keys.revoke(tombstone())
    change(pair.vault, name="another")
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.UPDATED
    stored = pair.dynamodb.keys.find(KEY_ID)
    assert stored is not None
    assert stored.tombstone == tombstone()


def test_a_tombstone_that_came_first_is_kept_when_the_record_comes(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.dynamodb.keys.revoke(tombstone())
    pair.to("dynamodb").move(KEY_ID)
    assert pair.dynamodb.keys.find(KEY_ID) == StoredKey(record(), 1, tombstone())


def test_a_newer_record_at_the_target_stays(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    changed = change(pair.dynamodb, name="by a function that was switched")
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.NEWER_THERE
    assert there(pair.dynamodb) == changed


def test_where_both_changed_it_is_said_and_neither_is_written_over(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    here, changed = change(pair.vault, name="here"), change(pair.dynamodb, name="there")
    pair.vault.keys.revoke(tombstone())
    with pytest.raises(Conflict) as error:
        pair.to("dynamodb").move(KEY_ID)
    assert error.value.code == "BOTH_CHANGED"
    assert (there(pair.vault), there(pair.dynamodb)) == (here, changed)
    stored = pair.dynamodb.keys.find(KEY_ID)
    assert stored is not None
    assert stored.tombstone == tombstone(), "revoking needs no agreement"


def test_without_the_report_a_record_that_differs_is_left_alone(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "first")
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    change(pair.vault, name="another")
    pair.file = tmp_path / "second"
    with pytest.raises(Conflict):
        pair.to("dynamodb").move(KEY_ID)
    assert there(pair.dynamodb) == record()


def test_the_way_back_takes_what_changed_there(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    changed = change(pair.dynamodb, name="in DynamoDB")
    assert pair.to("vault").move(KEY_ID) is Outcome.UPDATED
    assert there(pair.vault) == changed
    again = change(pair.vault, name="in Vault again")
    assert pair.to("dynamodb").move(KEY_ID) is Outcome.UPDATED
    assert there(pair.dynamodb) == again


def test_a_report_that_another_run_writes_is_not_touched(tmp_path: Path) -> None:
    first = NotesFile(tmp_path / "report", {"migrate": "test"}, "vault", "dynamodb")
    with pytest.raises(CliError, match="another run"):
        NotesFile(tmp_path / "report", {"migrate": "test"}, "vault", "dynamodb")
    first.close()
    NotesFile(tmp_path / "report", {"migrate": "test"}, "vault", "dynamodb").close()


def test_what_was_only_about_to_go_one_way_is_not_taken_for_old_on_the_way_back(pair: Pair) -> None:
    """Cut off before the write: then both sides changed."""
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    here = change(pair.vault, name="never copied")
    pair.tap.dies_at, run = 1, pair.to("dynamodb")
    with pytest.raises(Killed):
        run.move(KEY_ID)
    pair.tap.dies_at = None
    change(pair.dynamodb, name="there")
    with pytest.raises(Conflict):
        pair.to("vault").move(KEY_ID)
    assert there(pair.vault) == here


def test_a_dry_run_says_what_would_be_done_and_does_nothing(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.vault.due.add(DueEntry.of(NOW, "key", KEY_ID))
    run = pair.to("dynamodb", dry_run=True)
    assert run.move(KEY_ID) is Outcome.COPIED
    assert run.move_hint(run.hints()[0]) == "hints"
    assert pair.tap.writes == []
    assert (there(pair.dynamodb), pair.dynamodb.due.due(NOW)) == (None, [])


def test_hints_are_copied_however_far_in_the_future(pair: Pair) -> None:
    entries = [
        DueEntry.of(NOW, "key", KEY_ID),
        DueEntry.of(NOW + timedelta(days=9000), "config", "acme/models/openai"),
    ]
    for entry in entries:
        pair.vault.due.add(entry)
    run = pair.to("dynamodb")
    assert [run.move_hint(entry) for entry in run.hints()] == ["hints"] * 2
    assert [run.move_hint(entry) for entry in run.hints()] == ["hints there"] * 2
    assert pair.dynamodb.due.due(NOW + timedelta(days=9001)) == entries


def test_a_key_that_changes_at_every_look_is_said_to(pair: Pair) -> None:
    pair.vault.keys.create(record())
    pair.to("dynamodb").move(KEY_ID)
    run, names = pair.to("dynamodb"), iter(range(100))

    class Restless(MemoryKeyStore):
        def find(self, key_id: str) -> StoredKey | None:
            change(pair.vault, name=f"name {next(names)}")
            return pair.vault.keys.find(key_id)

    restless = replace(run, source=replace(pair.vault, keys=Restless()))
    with pytest.raises(Conflict) as error:
        restless.move(KEY_ID)
    assert error.value.code == "CONCURRENT_CHANGE"


def revoked_meanwhile(pair: Pair) -> None:
    pair.vault.keys.revoke(tombstone())


def changed_meanwhile(pair: Pair) -> None:
    change(pair.vault, name="meanwhile")


def changed_and_revoked_meanwhile(pair: Pair) -> None:
    changed_meanwhile(pair)
    revoked_meanwhile(pair)


@pytest.mark.parametrize("meanwhile", [revoked_meanwhile, changed_meanwhile, changed_and_revoked_meanwhile])
@pytest.mark.parametrize("at", ["create", "replace"])
def test_what_happens_while_a_record_is_written_is_seen_by_the_last_look(
    pair: Pair, meanwhile: Callable[[Pair], None], at: str
) -> None:
    pair.vault.keys.create(record())
    if at == "replace":
        pair.to("dynamodb").move(KEY_ID)
        change(pair.vault, name="another")
    run = pair.to("dynamodb")
    happens_once = iter([meanwhile])
    through = pair.tap.through

    def through_and_meanwhile(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            done = through(name, method)(*given)
            if name == at:
                next(happens_once, lambda _: None)(pair)
            return done

        return call

    pair.tap.through = through_and_meanwhile  # type: ignore[method-assign]
    run.move(KEY_ID)
    source, target = pair.vault.keys.find(KEY_ID), pair.dynamodb.keys.find(KEY_ID)
    assert source is not None
    assert target is not None
    assert (target.record, target.tombstone) == (source.record, source.tombstone)


def lives() -> Iterator[tuple[str, Callable[[Pair], None]]]:
    """What may have to be copied, each over a record that was copied before."""
    yield "changed", changed_meanwhile
    yield "revoked", revoked_meanwhile
    yield "both", changed_and_revoked_meanwhile


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize(("what", "happens"), list(lives()))
def test_killed_at_any_write_the_next_run_ends_it_and_tells_everybody(
    tmp_path: Path, what: str, happens: Callable[[Pair], None], is_new: bool
) -> None:
    for at in range(10):
        for dies_after in (False, True):
            pair = Pair(tmp_path / f"{at}-{dies_after}")
            pair.vault.keys.create(record())
            if not is_new:
                pair.to("dynamodb").move(KEY_ID)
            happens(pair)
            run, pair.tap.dies_at, pair.tap.dies_after = pair.to("dynamodb"), at, dies_after
            try:
                run.move(KEY_ID)
            except Killed:
                pass
            else:
                assert at >= 3
                return
            seen = pair.dynamodb.keys.find(KEY_ID)
            if is_new and what != "changed":
                assert seen is None or seen.tombstone == tombstone(), "never alive at the target"
            pair.tap.dies_at = None
            again = pair.to("dynamodb")
            again.tell_again()
            again.move(KEY_ID)
            source, target = pair.vault.keys.find(KEY_ID), pair.dynamodb.keys.find(KEY_ID)
            assert source is not None
            assert target is not None
            assert (target.record, target.tombstone) == (source.record, source.tombstone)
            assert is_new or KEY_ID in pair.dynamodb.feed.head().ring
            third = pair.to("dynamodb")
            third.tell_again()
            assert third.move(KEY_ID) is Outcome.SAME
            assert pair.tap.writes == []
    pytest.fail("a run of more than ten writes")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 3)),
        st.tuples(st.just("revoke"), st.just(0)),
        st.tuples(st.just("migrate"), st.integers(0, 12)),
    ),
    max_size=12,
)


@given(STEPS)
def test_whatever_happens_at_the_source_the_target_follows_and_never_goes_back(steps: list[tuple[str, int]]) -> None:
    """Names come again, as scopes do that are given and taken away; `migrate` is killed at its nth half-write."""
    pair = Pair()
    pair.vault.keys.create(record())
    history, reached = [there(pair.vault)], 0
    for what, n in steps:
        if what == "change":
            history.append(change(pair.vault, name=f"name {n}"))
        elif what == "revoke":
            pair.vault.keys.revoke(tombstone())
        else:
            run, pair.tap.dies_at, pair.tap.dies_after = pair.to("dynamodb"), n // 2, n % 2 == 1
            try:
                run.move(KEY_ID)
            except Killed:
                pass
            else:
                assert there(pair.dynamodb) == history[-1]
        seen = there(pair.dynamodb)
        if seen is not None:
            assert seen in history[reached:]
            reached = history.index(seen, reached)
    pair.tap.dies_at = None
    pair.to("dynamodb").move(KEY_ID)
    source, target = pair.vault.keys.find(KEY_ID), pair.dynamodb.keys.find(KEY_ID)
    assert source is not None
    assert target is not None
    assert (target.record, target.tombstone) == (source.record, source.tombstone)
