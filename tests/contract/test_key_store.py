"""What every KeyStore keeps to: the same tests over memory, a real Vault and DynamoDB."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keyrail.adapters.dynamodb_keys import DynamoKeyStore
from keyrail.adapters.memory_keys import MemoryKeyStore
from keyrail.adapters.vault_keys import VaultKeyStore
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import StoredKey
from keyrail.ports import KeyStore, Page
from vault_mount import a_record, a_tombstone

RACERS = 16


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def keys(request: pytest.FixtureRequest) -> KeyStore:
    if request.param == "memory":
        return MemoryKeyStore()
    if request.param == "dynamodb":
        return DynamoKeyStore(request.getfixturevalue("dynamo_table"))
    return VaultKeyStore(request.getfixturevalue("vault_session"))


def test_an_unknown_id_is_not_found(keys: KeyStore) -> None:
    assert keys.find(new_key_id()) is None


def test_a_created_record_is_found_as_it_was(keys: KeyStore) -> None:
    record = a_record()
    assert keys.create(record) is True
    assert keys.find(record.key_id) == StoredKey(record, version=1)


def test_ids_that_differ_in_case_alone_are_two_keys(keys: KeyStore) -> None:
    lower, upper = a_record("abcdefghijklmnop"), a_record("ABCDEFGHIJKLMNOP", name="another")
    assert keys.create(lower)
    assert keys.create(upper)
    assert keys.find(lower.key_id) == StoredKey(lower, 1)
    assert keys.find(upper.key_id) == StoredKey(upper, 1)


def test_a_taken_id_is_refused_and_nothing_changes(keys: KeyStore) -> None:
    first = a_record()
    keys.create(first)
    assert keys.create(first) is False, "not even the same record twice"
    assert keys.create(replace(first, name="another")) is False
    assert keys.find(first.key_id) == StoredKey(first, 1)
    assert keys.list_ids("acme", None, 10) == Page((first.key_id,), None)


def test_a_record_of_the_store_does_not_change_with_the_callers(keys: KeyStore) -> None:
    record = a_record(metadata={"team": {"cost": 7}})
    keys.create(record)
    record.metadata["team"]["cost"] = 8
    found = keys.find(record.key_id)
    assert found is not None
    found.record.metadata["team"]["cost"] = 9
    again = keys.find(record.key_id)
    assert again is not None
    assert again.record.metadata == {"team": {"cost": 7}}


def test_a_replacement_of_the_version_read_is_stored(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    renamed = replace(record, name="renamed")
    assert keys.replace(renamed, 1) == 2
    assert keys.find(record.key_id) == StoredKey(renamed, 2)


def test_a_replacement_of_an_older_version_is_refused(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    second = replace(record, name="second")
    keys.replace(second, 1)
    assert keys.replace(replace(record, name="third"), 1) is None
    assert keys.find(record.key_id) == StoredKey(second, 2)


@pytest.mark.parametrize("version", [0, 1])
def test_what_does_not_exist_is_not_replaced(keys: KeyStore, version: int) -> None:
    record = a_record()
    assert keys.replace(record, version) is None
    assert keys.find(record.key_id) is None


def test_a_revoked_key_has_its_tombstone(keys: KeyStore) -> None:
    record, tombstone = a_record(), None
    keys.create(record)
    tombstone = a_tombstone(record.key_id)
    assert keys.revoke(tombstone) == tombstone
    assert keys.find(record.key_id) == StoredKey(record, 1, tombstone)


def test_the_first_tombstone_stands(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    first = keys.revoke(a_tombstone(record.key_id, "leaked"))
    assert keys.revoke(a_tombstone(record.key_id, "a change of mind")) == first
    found = keys.find(record.key_id)
    assert found is not None
    assert found.tombstone == first


def test_neither_replacing_nor_creating_lifts_a_tombstone(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    tombstone = keys.revoke(a_tombstone(record.key_id))
    assert keys.replace(replace(record, state="active", name="risen"), 1) == 2
    assert keys.create(record) is False
    found = keys.find(record.key_id)
    assert found is not None
    assert found.tombstone == tombstone


def test_a_tombstone_without_a_record_is_no_key_and_outlives_its_late_record(keys: KeyStore) -> None:
    record = a_record()
    tombstone = keys.revoke(a_tombstone(record.key_id))
    assert keys.find(record.key_id) is None
    keys.create(record)
    assert keys.find(record.key_id) == StoredKey(record, 1, tombstone)


def test_of_racing_creators_one_wins(keys: KeyStore) -> None:
    record = a_record()
    rivals = [replace(record, name=f"rival {n}") for n in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(keys.create, rivals))
    assert won.count(True) == 1
    assert keys.find(record.key_id) == StoredKey(rivals[won.index(True)], 1)


def test_of_racing_replacements_one_wins_each_round(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    with ThreadPoolExecutor(RACERS) as pool:
        for version in range(1, 6):
            rivals = [replace(record, name=f"rival {n} of {version}") for n in range(RACERS)]
            won = list(pool.map(keys.replace, rivals, [version] * RACERS))
            assert sorted(won, key=str) == [version + 1] + [None] * (RACERS - 1)
            assert keys.find(record.key_id) == StoredKey(rivals[won.index(version + 1)], version + 1)


def test_racing_revokers_all_see_one_tombstone(keys: KeyStore) -> None:
    record = a_record()
    keys.create(record)
    with ThreadPoolExecutor(RACERS) as pool:
        seen = list(pool.map(keys.revoke, [a_tombstone(record.key_id, f"reason {n}") for n in range(RACERS)]))
    found = keys.find(record.key_id)
    assert found is not None
    assert seen == [found.tombstone] * RACERS


def test_a_tenant_without_keys_lists_none(keys: KeyStore) -> None:
    keys.create(a_record(tenant="acme"))
    assert keys.list_ids("nobody", None, 10) == Page((), None)


def test_a_tenants_ids_are_listed_apart_from_anothers(keys: KeyStore) -> None:
    mine, other = a_record(tenant="acme"), a_record(tenant="acme-2")
    keys.create(mine)
    keys.create(other)
    assert keys.list_ids("acme", None, 10) == Page((mine.key_id,), None)
    assert keys.list_ids("acme-2", None, 10) == Page((other.key_id,), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_pages_of_any_size_make_up_the_whole_in_order(keys: KeyStore, limit: int) -> None:
    first_letters = "AAAz0f"  # three in one shard, one each in three others
    ids = [letter + new_key_id()[1:] for letter in first_letters]
    for key_id in ids:
        keys.create(a_record(key_id))
    pages = [keys.list_ids("acme", None, limit)]
    while pages[-1].next_after is not None:
        assert len(pages[-1].key_ids) == limit
        pages.append(keys.list_ids("acme", pages[-1].next_after, limit))
    assert [key_id for page in pages for key_id in page.key_ids] == sorted(ids)
    assert pages[-1].key_ids, "no page is there only to say that it is empty"


def test_listing_goes_on_after_an_id_that_is_no_longer_listed(keys: KeyStore) -> None:
    ids = ["B" * 16, "D" * 16]
    for key_id in ids:
        keys.create(a_record(key_id))
    assert keys.list_ids("acme", "C" * 16, 10) == Page(("D" * 16,), None)
    assert keys.list_ids("acme", "E" * 16, 10) == Page((), None)


class TestForTheSweep:
    """With rights that no other function has."""

    @pytest.fixture(params=["memory", "vault", "dynamodb"])
    def keys(self, request: pytest.FixtureRequest) -> KeyStore:
        if request.param == "memory":
            return MemoryKeyStore()
        if request.param == "dynamodb":
            return DynamoKeyStore(request.getfixturevalue("dynamo_table"))
        return VaultKeyStore(request.getfixturevalue("deleting_session"))

    @pytest.mark.parametrize("limit", [1, 3, 12, 13])
    def test_all_keys_and_all_entries_are_paged_in_order(self, keys: KeyStore, limit: int) -> None:
        records = [a_record(tenant=tenant) for tenant in ("a", "a-b", "a0") for _ in range(4)]
        for record in records:
            keys.create(record)
        entries = ["/".join(name) for name in sorted((record.tenant, record.key_id) for record in records)]
        assert paged(keys.list_all_ids, limit) == sorted(record.key_id for record in records)
        assert paged(keys.list_index, limit) == entries

    def test_an_entry_is_as_old_as_its_key_and_can_be_removed(self, keys: KeyStore) -> None:
        record, other = a_record(tenant="acme"), a_record(tenant="acme")
        began_at = datetime.now(UTC) - timedelta(seconds=5)
        for each in (record, other):
            keys.create(each)
        made_at = keys.indexed_at("acme", record.key_id)
        assert made_at is not None
        assert made_at == record.created_at or made_at > began_at, "the store's own time, or the record's"
        assert keys.indexed_at("another", record.key_id) is None
        for _ in range(2):
            keys.remove_from_index("acme", record.key_id)
        assert keys.indexed_at("acme", record.key_id) is None
        assert keys.list_index(None, 10).key_ids == (f"acme/{other.key_id}",)
        assert keys.list_ids("acme", None, 10).key_ids == (other.key_id,)
        assert keys.find(record.key_id) == StoredKey(record, 1)

    def test_removing_what_never_was_makes_nothing(self, keys: KeyStore) -> None:
        key_id = new_key_id()
        keys.remove_from_index("acme", key_id)
        assert keys.find(key_id) is None
        assert keys.list_all_ids(None, 10) == Page((), None)


def paged(listed: Callable[[str | None, int], Page], limit: int) -> list[str]:
    names: list[str] = []
    page = listed(None, limit)
    while page.next_after is not None:
        assert len(page.key_ids) == limit
        names += page.key_ids
        page = listed(page.next_after, limit)
    return [*names, *page.key_ids]
