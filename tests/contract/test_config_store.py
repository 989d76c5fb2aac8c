"""What every ConfigStore keeps to, over memory and over a real Vault."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from keyrail.adapters.memory_config_store import MemoryConfigStore
from keyrail.adapters.vault_config_store import VaultConfigStore
from keyrail.domain.config import KEPT_VERSIONS, ConfigDocument, ConfigRotation, ConfigWrite, StoredConfig
from keyrail.rotation_ports import ConfigStore
from vault_mount import NOW, Mount

WRITERS = 16
RULES = """
path "MOUNT/data/*" { capabilities = ["create", "read", "update"] }
path "MOUNT/metadata/*" { capabilities = ["read", "list"] }
path "MOUNT/destroy/*" { capabilities = ["update"] }
"""


@pytest.fixture(params=["memory", "vault"])
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        yield MemoryConfigStore()
        return
    from keyrail.adapters.vault_session import VaultSession

    mount: Mount = request.getfixturevalue("mount")
    mount.root.secrets.kv.v2.configure(mount_point=mount.name, cas_required=True, max_versions=KEPT_VERSIONS)
    session = VaultSession(mount.config(token=mount.token(RULES)))
    yield VaultConfigStore(session)
    session.close()


def a_document(value: Any = "first", version: int = 1, **more: Any) -> ConfigDocument:
    write = ConfigWrite(version=version, at=NOW, by="0" * 16, how="written")
    return ConfigDocument(value=value, writes=(write,), **more)


ROTATION = ConfigRotation(
    kind="generated",
    settings={"length": 32},
    interval_seconds=60,
    next_at=NOW,
    rotation_id="some",
    step="staged",
    mark="then",
    lease_until=NOW + timedelta(seconds=30, microseconds=1),
)


@pytest.mark.parametrize(
    "document",
    [
        a_document({"a": [None, 1, 1.5, True, "ü\u0000\n", {}], "": ""}),
        a_document(None),
        a_document("x" * 65_000),
        a_document(1, schema={"type": "integer"}, rotation=ROTATION),
    ],
    ids=["values", "null", "large", "all"],
)
def test_a_document_comes_back_as_it_was_written(store: ConfigStore, document: ConfigDocument) -> None:
    assert store.write("acme", "a/b-c/D_e", document, 0) == 1
    assert store.find("acme", "a/b-c/D_e") == StoredConfig(document, 1)
    assert store.find_version("acme", "a/b-c/D_e", 1) == document


def test_an_unknown_name_is_vacant_at_version_zero(store: ConfigStore) -> None:
    assert store.find("acme", "none") == StoredConfig(None, 0)
    assert store.find_version("acme", "none", 1) is None
    assert store.readable_versions("acme", "none") == frozenset()


def test_tenants_and_folders_are_apart(store: ConfigStore) -> None:
    for tenant, name in (("acme", "a"), ("acme", "a/b"), ("other", "a")):
        assert store.write(tenant, name, a_document(f"{tenant} {name}"), 0) == 1
    for tenant, name in (("acme", "a"), ("acme", "a/b"), ("other", "a")):
        found = store.find(tenant, name).document
        assert found is not None
        assert found.value == f"{tenant} {name}"


def test_names_are_listed_by_segments_from_any_of_them_on(store: ConfigStore) -> None:
    expected = ["a-b/a", "acme/a", "acme/a/b", "acme/a/b/c", "acme/a-b", "acme/b", "other/a"]
    for each in reversed(expected):
        tenant, _, name = each.partition("/")
        assert store.write(tenant, name, a_document(), 0) == 1
    assert list(store.names("")) == expected
    for n, each in enumerate(expected):
        assert list(store.names(each)) == expected[n + 1 :]
    assert list(store.names("acme/a/ab")) == expected[2:]
    assert list(store.names("zoo/a")) == []


def test_a_write_names_the_version_that_it_replaces(store: ConfigStore) -> None:
    assert store.write("acme", "a", a_document("first"), 0) == 1
    assert store.write("acme", "a", a_document("lost"), 0) is None
    assert store.write("acme", "a", a_document("second"), 1) == 2
    assert store.write("acme", "a", a_document("lost"), 1) is None
    assert store.write("acme", "a", a_document("lost"), 3) is None
    assert store.find("acme", "a") == StoredConfig(a_document("second"), 2)
    assert store.find_version("acme", "a", 1) == a_document("first")
    assert store.readable_versions("acme", "a") == {1, 2}


def test_of_racing_writers_one_wins_each_round(store: ConfigStore) -> None:
    for version in range(5):
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(
                pool.map(lambda n, at=version: store.write("acme", "a", a_document(f"{at} {n}"), at), range(WRITERS))
            )
        assert [each for each in won if each is not None] == [version + 1]
        assert store.find("acme", "a").document == a_document(f"{version} {won.index(version + 1)}")


def test_the_newest_versions_are_kept(store: ConfigStore) -> None:
    for version in range(KEPT_VERSIONS + 3):
        assert store.write("acme", "a", a_document(version), version) == version + 1
    assert store.find_version("acme", "a", 3) is None
    assert store.find_version("acme", "a", 4) == a_document(3)
    assert store.readable_versions("acme", "a") == set(range(4, KEPT_VERSIONS + 4))


def test_what_was_destroyed_is_gone_and_the_rest_stays(store: ConfigStore) -> None:
    for version in range(3):
        store.write("acme", "a", a_document(version), version)
    store.destroy("acme", "a", [1, 2, 9])
    assert [store.find_version("acme", "a", version) for version in (1, 2)] == [None, None]
    assert store.find("acme", "a") == StoredConfig(a_document(2), 3)
    assert store.readable_versions("acme", "a") == {3}


def test_an_emptied_name_is_vacant_and_takes_no_late_write(store: ConfigStore) -> None:
    store.write("acme", "a", a_document("first"), 0)
    assert store.write("acme", "a", None, 1) == 2
    store.destroy("acme", "a", [1])
    assert store.find("acme", "a") == StoredConfig(None, 2)
    assert store.write("acme", "a", a_document("late"), 1) is None
    assert store.write("acme", "a", a_document("anew"), 0) is None
    assert store.write("acme", "a", a_document("anew"), 2) == 3
    assert store.find("acme", "a") == StoredConfig(a_document("anew"), 3)


def test_a_newest_version_that_was_destroyed_leaves_a_vacant_name(store: ConfigStore) -> None:
    store.write("acme", "a", a_document("first"), 0)
    store.destroy("acme", "a", [1])
    assert store.find("acme", "a") == StoredConfig(None, 1)
    assert store.write("acme", "a", a_document("anew"), 1) == 2


def test_destroying_what_never_was_does_nothing(store: ConfigStore) -> None:
    store.destroy("acme", "none", [1, 2])
    assert store.find("acme", "none") == StoredConfig(None, 0)
