"""The key store of tests and of a first look: what Vault would hold, in a dictionary of this process."""

import json
import threading

from keyrail.domain.records import KeyRecord, StoredKey, Tombstone, decode_record, decode_tombstone, encode
from keyrail.ports import Page


class MemoryKeyStore:
    """Keeps JSON text, as Vault does, so that nothing a caller holds changes under it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, tuple[str, int]] = {}
        self._tombstones: dict[str, str] = {}
        self._index: dict[str, set[str]] = {}

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
        page = tuple(ids[:limit])
        return Page(page, page[-1] if len(ids) > limit else None)
