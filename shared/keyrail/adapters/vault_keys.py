"""Records, tombstones and the index by tenant, in Vault. The layout: vault_paths.py."""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from keyrail.adapters.vault_paths import (
    SHARD,
    SecretPath,
    index_folder,
    index_path,
    index_shard,
    record_path,
    tombstone_path,
)
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import Unavailable
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.records import KeyRecord, StoredKey, Tombstone, decode_record, decode_tombstone, encode
from keyrail.ports import Page

T = TypeVar("T", KeyRecord, Tombstone)


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
        shards = deque(name[:1] for name in names if _is_shard(name) and (after is None or name[:1] >= after[:1]))
        ids: list[str] = []
        while shards and len(ids) < limit:
            listed = self._session.list(index_shard(tenant, shards.popleft()))
            ids += [name for name in listed if KEY_ID.fullmatch(name) and (after is None or name > after)]
        page = tuple(ids[:limit])
        return Page(page, page[-1] if page and (len(ids) > limit or shards) else None)

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
    except ValidationError as exc:  # its text holds the values, so it goes no further
        raise Unavailable(f"{path} is malformed in {exc.error_count()} places") from None
    if value.key_id != key_id:
        raise Unavailable(f"{path} holds another key's document")
    return value
