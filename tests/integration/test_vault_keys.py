"""The key store in Vault: what each call costs, what a lost answer means, and what malformed documents do."""

import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyrail.adapters.vault_keys import VaultKeyStore
from keyrail.adapters.vault_paths import index_path, record_path, tombstone_path
from keyrail.adapters.vault_replies import Denied
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import StoredKey, encode
from keyrail.ports import Page
from vault_mount import Mount, RecordedMetrics, a_record, a_tombstone
from vault_servers import LossyProxy

FUNCTIONS = Path(__file__).parents[2] / "functions"


@pytest.fixture
def keys(vault_session: VaultSession) -> VaultKeyStore:
    return VaultKeyStore(vault_session)


def test_what_each_call_costs_by_vaults_own_audit_log(mount: Mount, keys: VaultKeyStore) -> None:
    costs: dict[str, list[str]] = {}
    seen = [0]

    def costs_of(name: str) -> None:
        operations = [operation for operation, _ in mount.audited()]
        costs[name] = operations[seen[0] :]
        seen[0] = len(operations)

    record = a_record("A" * 16)
    costs_of("preparation")
    keys.create(record)
    costs_of("create")
    keys.find(record.key_id)
    costs_of("find")
    keys.find(new_key_id())
    costs_of("find unknown")
    keys.replace(record, 1)
    costs_of("replace")
    keys.replace(record, 1)
    costs_of("replace outdated")
    keys.revoke(a_tombstone(record.key_id))
    costs_of("revoke")
    keys.revoke(a_tombstone(record.key_id))
    costs_of("revoke again")
    keys.create(a_record("B" * 16))
    keys.create(a_record("C" * 16))
    costs_of("preparation")
    keys.list_ids("acme", None, 2)
    costs_of("list 2 of 3 in 3 shards")
    keys.list_ids("acme", "B" * 16, 10)
    costs_of("list the last")
    keys.list_ids("nobody", None, 10)
    costs_of("list of nobody")
    del costs["preparation"]
    assert costs == {
        "create": ["create", "create"],
        "find": ["read", "read"],
        "find unknown": ["read", "read"],
        "replace": ["update"],
        "replace outdated": ["update"],
        "revoke": ["create"],
        "revoke again": ["update", "read"],
        "list 2 of 3 in 3 shards": ["list"] * 3,
        "list the last": ["list"] * 3,
        "list of nobody": ["list"],
    }


def test_the_index_is_written_before_the_record(mount: Mount, keys: VaultKeyStore) -> None:
    record = a_record()
    keys.create(record)
    assert [path for operation, path in mount.audited() if operation == "create"] == [
        f"data/{index_path(record.tenant, record.key_id)}",
        f"data/{record_path(record.key_id)}",
    ]


def test_an_issue_that_was_cut_off_after_the_index_is_listed_and_can_be_done_again(
    mount: Mount, keys: VaultKeyStore
) -> None:
    record = a_record()
    mount.put(str(index_path(record.tenant, record.key_id)), {})
    assert keys.list_ids("acme", None, 10) == Page((record.key_id,), None)
    assert keys.find(record.key_id) is None
    assert keys.create(record) is True
    assert keys.find(record.key_id) == StoredKey(record, 1)


def policy_of(function: str, mount: Mount) -> str:
    return (FUNCTIONS / function / "policy.hcl").read_text().replace('"keyrail/', f'"{mount.name}/')


def under(function: str, mount: Mount, metrics: RecordedMetrics | None = None) -> VaultKeyStore:
    return VaultKeyStore(VaultSession(mount.config(token=mount.token(policy_of(function, mount))), metrics))


def test_the_policies_of_the_functions_are_enough_and_a_taken_id_is_no_fault_under_them(mount: Mount) -> None:
    record = a_record()
    issuing, rotating, revoking, listing = (
        under(function, mount) for function in ("issue_key", "rotate", "revoke_key", "list_keys")
    )
    assert issuing.create(record) is True
    assert issuing.create(record) is False
    assert rotating.replace(replace(record, name="renamed"), 1) == 2
    tombstone = a_tombstone(record.key_id)
    assert revoking.revoke(tombstone) == tombstone
    assert revoking.revoke(a_tombstone(record.key_id, "again")) == tombstone
    assert listing.list_ids("acme", None, 10) == Page((record.key_id,), None)
    assert listing.list_ids("nobody", None, 10) == Page((), None)
    for each in (issuing, rotating, revoking, listing):
        assert each.find(record.key_id) == StoredKey(replace(record, name="renamed"), 2, tombstone)


def test_what_a_function_may_not_do_is_a_fault_and_changes_nothing(mount: Mount) -> None:
    record = a_record()
    under("issue_key", mount).create(record)
    validating = under("validate_key", mount)
    for forbidden in (
        lambda: validating.create(a_record()),
        lambda: validating.replace(record, 1),
        lambda: validating.revoke(a_tombstone(record.key_id)),
        lambda: validating.list_ids("acme", None, 10),
        lambda: under("issue_key", mount).replace(record, 1),
        lambda: under("revoke_key", mount).replace(record, 1),
    ):
        with pytest.raises(Denied):
            forbidden()
    assert validating.find(record.key_id) == StoredKey(record, 1)


def test_revoking_again_under_create_alone_costs_one_read_more(mount: Mount, metrics: RecordedMetrics) -> None:
    revoking = under("revoke_key", mount, metrics)
    tombstone = a_tombstone(new_key_id())
    revoking.revoke(tombstone)
    revoking.revoke(tombstone)
    assert metrics.calls == [("write", "ok"), ("write", "denied"), ("read", "ok")]


@pytest.fixture
def proxy(mount: Mount) -> Iterator[LossyProxy]:
    with LossyProxy(mount.server.address) as between:
        yield between


@pytest.fixture
def lossy(mount: Mount, proxy: LossyProxy) -> VaultKeyStore:
    """A store whose writes all arrive at Vault, and whose answers to them are all lost."""
    proxy.lose = lambda method, path: method == "POST"
    return VaultKeyStore(VaultSession(mount.config(address=proxy.address)))


def test_a_record_whose_answer_was_lost_is_known_to_be_made(
    mount: Mount, proxy: LossyProxy, lossy: VaultKeyStore
) -> None:
    record = a_record()
    assert lossy.create(record) is True
    assert [path.rsplit("/", 1)[1] for _, path in proxy.lost] == [record.key_id] * 2, "index and record, once each"
    assert lossy.find(record.key_id) == StoredKey(record, 1)


def test_a_taken_id_whose_answer_was_lost_is_known_to_be_taken(mount: Mount, lossy: VaultKeyStore) -> None:
    first = a_record()
    mount.put(str(record_path(first.key_id)), encode(first))
    assert lossy.create(replace(first, name="another")) is False


def test_a_replacement_whose_answer_was_lost_is_known_to_be_done(mount: Mount, lossy: VaultKeyStore) -> None:
    record = a_record()
    mount.put(str(record_path(record.key_id)), encode(record))
    assert lossy.replace(replace(record, name="renamed"), 1) == 2


def test_a_lost_race_whose_answer_was_lost_is_known_to_be_lost(mount: Mount, lossy: VaultKeyStore) -> None:
    record = a_record()
    mount.put(str(record_path(record.key_id)), encode(record))
    mount.put(str(record_path(record.key_id)), encode(replace(record, name="another")), cas=1)
    assert lossy.replace(replace(record, name="renamed"), 1) is None


def test_a_replacement_written_over_before_we_looked_stays_unknown(
    mount: Mount, proxy: LossyProxy, lossy: VaultKeyStore
) -> None:
    record = a_record()
    path = str(record_path(record.key_id))
    mount.put(path, encode(record))
    proxy.after_passing_on = lambda: mount.put(path, encode(replace(record, name="later")), cas=2)
    with pytest.raises(DeadlineExceeded):
        lossy.replace(replace(record, name="renamed"), 1)


def test_a_tombstone_whose_answer_was_lost_stands(lossy: VaultKeyStore) -> None:
    tombstone = a_tombstone(new_key_id())
    assert lossy.revoke(tombstone) == tombstone
    assert lossy.revoke(a_tombstone(tombstone.key_id, "again")) == tombstone


def test_a_write_stays_unknown_where_looking_fails_too(proxy: LossyProxy, lossy: VaultKeyStore) -> None:
    proxy.lose = lambda method, path: True
    with pytest.raises(DeadlineExceeded):
        lossy.replace(a_record(), 1)
    with pytest.raises(DeadlineExceeded):
        lossy.revoke(a_tombstone(new_key_id()))


MALFORMED: list[dict[str, Any]] = [
    {},
    {"canary": "c4n4ry"},
    {**encode(a_record("A" * 16)), "schema_version": 2},
    {**encode(a_record("A" * 16)), "a_later_field": "c4n4ry"},
    {**encode(a_record("A" * 16)), "created_at": "c4n4ry"},
    {**encode(a_record("A" * 16)), "generations": [{"n": 1, "digest": "c4n4ry"}]},
    encode(a_record("B" * 16, name="c4n4ry")),
]


@pytest.mark.parametrize("document", MALFORMED)
def test_a_malformed_record_is_unavailable_and_not_quoted(
    mount: Mount, keys: VaultKeyStore, document: dict[str, Any]
) -> None:
    mount.put(str(record_path("A" * 16)), document)
    with pytest.raises(Unavailable) as caught:
        keys.find("A" * 16)
    assert "keys/AA/" in caught.value.detail
    assert "c4n4ry" not in f"{caught.value} {caught.value.detail}"
    shown = "".join(traceback.format_exception(caught.value))
    assert "c4n4ry" not in shown, "pydantic's error, whose text holds the values, is not chained"


def test_a_malformed_tombstone_is_unavailable_and_never_an_unrevoked_key(mount: Mount, keys: VaultKeyStore) -> None:
    record = a_record()
    keys.create(record)
    mount.put(str(tombstone_path(record.key_id)), {"reason": "no more than that"})
    with pytest.raises(Unavailable):
        keys.find(record.key_id)
    with pytest.raises(Unavailable):
        keys.revoke(a_tombstone(record.key_id))


def test_a_tombstone_that_was_deleted_by_hand_is_not_mistaken_for_a_revocation(
    mount: Mount, keys: VaultKeyStore
) -> None:
    record = a_record()
    keys.create(record)
    keys.revoke(a_tombstone(record.key_id))
    mount.root.secrets.kv.v2.delete_latest_version_of_secret(str(tombstone_path(record.key_id)), mount_point=mount.name)
    with pytest.raises(Unavailable):
        keys.revoke(a_tombstone(record.key_id))


def test_names_in_the_index_that_are_no_key_ids_are_passed_over(mount: Mount, keys: VaultKeyStore) -> None:
    record = a_record()
    keys.create(record)
    for stray in ("readme", "zz/readme", f"{record.key_id[0]}/readme", "-/readme"):
        mount.put(f"tenants/acme/{stray}", {})
    assert keys.list_ids("acme", None, 10) == Page((record.key_id,), None)
