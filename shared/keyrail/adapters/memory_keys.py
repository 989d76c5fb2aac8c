"""The key store of tests and of a first look: what Vault would hold, in a dictionary of this process."""

import json
import threading
from datetime import datetime

from keyrail.domain.records import KeyRecord, StoredKey, Tombstone, decode_record, decode_tombstone, encode
from keyrail.ports import Page


class MemoryKeyStore:
    """Keeps JSON text, as Vault does, so that nothing a caller holds changes under it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, tuple[str, int]] = {}
        self._tombstones: dict[str, str] = {}
        self._index: dict[str, set[str]] = {}
        self._indexed_at: dict[tuple[str, str], datetime] = {}

    def find(self, key_id: str) -> StoredKey | None:
        with self._lock:
            stored = self._records.get(key_id)
            tombstone = self._tombstones.get(key_id)
        if stored is None:
            return None
        record = decode_record(json.loads(stored[0]))
        return StoredKey(record, stored[1], None if tombstone is None else decode_tombstone(json.loads(tombstone)))

    def create(self, record: KeyRecord) -> bool:
        with self._lock:
            self._index.setdefault(record.tenant, set()).add(record.key_id)
            self._indexed_at.setdefault((record.tenant, record.key_id), record.created_at)
            if record.key_id in self._records:
                return False
            self._records[record.key_id] = json.dumps(encode(record)), 1
            return True

    def replace(self, record: KeyRecord, version: int) -> int | None:
        with self._lock:
            stored = self._records.get(record.key_id)
            if stored is None or stored[1] != version:
                return None
            self._records[record.key_id] = json.dumps(encode(record)), version + 1
            return version + 1

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        with self._lock:
            standing = self._tombstones.setdefault(tombstone.key_id, json.dumps(encode(tombstone)))
        return decode_tombstone(json.loads(standing))

    def list_ids(self, tenant: str, after: str | None, limit: int) -> Page:
        with self._lock:
            ids = sorted(key_id for key_id in self._index.get(tenant, ()) if after is None or key_id > after)
        return _page(ids, limit)

    def list_all_ids(self, after: str | None, limit: int) -> Page:
        with self._lock:
            return _page(sorted(key_id for key_id in self._records if after is None or key_id > after), limit)

    def list_index(self, after: str | None, limit: int) -> Page:
        begin = tuple((after or "").split("/"))
        with self._lock:
            entries = sorted((tenant, key_id) for tenant, ids in self._index.items() for key_id in ids)
        return _page(["/".join(entry) for entry in entries if after is None or entry > begin], limit)

    def indexed_at(self, tenant: str, key_id: str) -> datetime | None:
        return self._indexed_at.get((tenant, key_id))

    def remove_from_index(self, tenant: str, key_id: str) -> None:
        with self._lock:
            self._index.get(tenant, set()).discard(key_id)
            self._indexed_at.pop((tenant, key_id), None)


def _page(names: list[str], limit: int) -> Page:
    page = tuple(names[:limit])
    return Page(page, page[-1] if len(names) > limit else None)
