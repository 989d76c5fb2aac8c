"""Records, tombstones and the index by tenant, in Vault. The layout: vault_paths.py."""

import re
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from keyrail.adapters.vault_paths import (
    RECORD_SHARD,
    RECORDS,
    SHARD,
    TENANT,
    TENANTS,
    SecretPath,
    index_folder,
    index_path,
    index_shard,
    record_path,
    record_shard,
    tombstone_path,
)
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import Unreadable
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.records import KeyRecord, StoredKey, Tombstone, decode_record, decode_tombstone, encode
from keyrail.domain.stored_form import Malformed
from keyrail.ports import Page

T = TypeVar("T", KeyRecord, Tombstone)

_RECORD_FOLDER = re.compile(rf"{RECORD_SHARD.pattern}/")
_TENANT_FOLDER = re.compile(rf"{TENANT.pattern}/")


class VaultKeyStore:
    """Requests to Vault: find 2, create 2, replace 1, revoke 1 (2 where it was revoked), list_ids 1 + shards needed."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def find(self, key_id: str) -> StoredKey | None:
        """Both are read, also for an unknown id: the time it takes must not say which ids exist."""
        record, version = self._read(record_path(key_id), decode_record, key_id)
        tombstone, _ = self._read(tombstone_path(key_id), decode_tombstone, key_id)
        return None if record is None else StoredKey(record, version, tombstone)

    def create(self, record: KeyRecord) -> bool:
        """Index first: a key that validates is always listed; an id listed without a record is harmless."""
        self._session.create(index_path(record.tenant, record.key_id), {})
        return self._session.create(record_path(record.key_id), encode(record)) is None

    def replace(self, record: KeyRecord, version: int) -> int | None:
        return self._session.replace(record_path(record.key_id), encode(record), version)

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        path = tombstone_path(tombstone.key_id)
        standing = self._session.create(path, encode(tombstone))
        if standing is None:
            return tombstone
        return _decoded(standing.data, decode_tombstone, path, tombstone.key_id)

    def list_ids(self, tenant: str, after: str | None, limit: int) -> Page:
        """Names that are no key ids were put there by hand and are passed over."""
        names = self._session.list(index_folder(tenant))
        shards = (name[:1] for name in names if _is_shard(name) and (after is None or name[:1] >= after[:1]))
        return self._page(deque(index_shard(tenant, shard) for shard in shards), after, limit)

    def list_all_ids(self, after: str | None, limit: int) -> Page:
        """Requests to Vault: 1 + shards needed."""
        shards = [name.rstrip("/") for name in self._session.list(RECORDS) if _RECORD_FOLDER.fullmatch(name)]
        folders = deque(record_shard(shard) for shard in shards if after is None or shard >= after[:2])
        return self._page(folders, after, limit)

    def list_index(self, after: str | None, limit: int) -> Page:
        """Requests to Vault: 1 + 1 a tenant that comes after + shards needed."""
        begin_tenant, _, begin_id = (after or "/").partition("/")
        ids: list[str] = []
        names = [name for name in self._session.list(TENANTS) if _TENANT_FOLDER.fullmatch(name)]
        for tenant in sorted(name.rstrip("/") for name in names):  # "a-b/" comes before "a/", but "a" before "a-b"
            if tenant < begin_tenant:
                continue
            page = self.list_ids(tenant, begin_id if tenant == begin_tenant else None, limit - len(ids))
            ids += [f"{tenant}/{key_id}" for key_id in page.key_ids]
            if len(ids) >= limit:
                return Page(tuple(ids), ids[-1])
        return Page(tuple(ids), None)

    def indexed_at(self, tenant: str, key_id: str) -> datetime | None:
        return self._session.written_at(index_path(tenant, key_id))

    def remove_from_index(self, tenant: str, key_id: str) -> None:
        self._session.delete(index_path(tenant, key_id))

    def _page(self, folders: deque[SecretPath], after: str | None, limit: int) -> Page:
        """Of the key ids in `folders`, which are in the order of their ids."""
        ids: list[str] = []
        while folders and len(ids) < limit:
            listed = self._session.list(folders.popleft())
            ids += [name for name in listed if KEY_ID.fullmatch(name) and (after is None or name > after)]
        page = tuple(ids[:limit])
        return Page(page, page[-1] if page and (len(ids) > limit or folders) else None)

    def _read(self, path: SecretPath, decode: Callable[[object], T], key_id: str) -> tuple[T | None, int]:
        found = self._session.read(path)
        if found is None:
            return None, 0
        return _decoded(found.data, decode, path, key_id), found.version


def _is_shard(name: str) -> bool:
    return name.endswith("/") and SHARD.fullmatch(name[:-1]) is not None


def _decoded(data: dict[str, Any], decode: Callable[[object], T], path: SecretPath, key_id: str) -> T:
    try:
        value = decode(data)
    except Malformed as error:
        raise Unreadable(f"{path} is malformed: {error}") from error
    if value.key_id != key_id:
        raise Unreadable(f"{path} holds another key's document")
    return value
