"""Records, tombstones and the index by tenant, in DynamoDB. The layout: dynamodb_layout.py.

The index is one of DynamoDB's own over the records: an entry without a record can't be, and a list may lack for about
a second what was issued just now. Nothing that decides about a key is read from an index.
"""

import heapq
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import TypeVar

from keyrail.adapters.dynamodb_layout import (
    AFTER_ALL,
    BEFORE_ALL,
    SHARDS,
    behind,
    id_shard,
    index_position,
    record_pk,
    tombstone_pk,
)
from keyrail.adapters.dynamodb_table import ConditionFailed, DynamoTable, Item
from keyrail.domain.errors import DeadlineExceeded, Unavailable, Unreadable
from keyrail.domain.records import KeyRecord, StoredKey, Tombstone, decode_record, decode_tombstone, encode
from keyrail.domain.stored_form import Malformed
from keyrail.ports import Page

T = TypeVar("T", KeyRecord, Tombstone)

_IS_NEW = "attribute_not_exists(pk)"


class DynamoKeyStore:
    """Requests: find 1, create 1, replace 1, revoke 1, indexed_at 1, remove_from_index 1; list_ids and list_all_ids 1
    a shard that is needed, list_index 1 a shard at least. A write whose answer is lost costs a find more."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def find(self, key_id: str) -> StoredKey | None:
        """Two items of one request, each read consistently, the same for an unknown id."""
        items = self._table.read_items([record_pk(key_id), tombstone_pk(key_id)])
        record, tombstone = items.get(record_pk(key_id)), items.get(tombstone_pk(key_id))
        if record is None:
            return None
        revoked = None if tombstone is None else _decoded(tombstone, decode_tombstone, key_id)
        return StoredKey(_decoded(record, decode_record, key_id), _version(record), revoked)

    def create(self, record: KeyRecord) -> bool:
        shard = id_shard(record.key_id)
        item: Item = {
            "pk": {"S": record_pk(record.key_id)},
            "document": {"S": json.dumps(encode(record))},
            "version": {"N": "1"},
            "shard": {"S": f"tenants#{shard}"},
            "position": {"S": index_position(record.tenant, record.key_id)},
            "id_shard": {"S": f"keys#{shard}"},
        }
        try:
            self._table.write("put_item", Item=item, ConditionExpression=_IS_NEW)
        except ConditionFailed:
            return False
        except DeadlineExceeded as unknown:
            return self._standing(record.key_id, unknown).record == record
        return True

    def replace(self, record: KeyRecord, version: int) -> int | None:
        changed = {":document": {"S": json.dumps(encode(record))}, ":next": {"N": str(version + 1)}}
        try:
            self._table.write(
                "update_item",
                Key={"pk": {"S": record_pk(record.key_id)}},
                UpdateExpression="SET document = :document, version = :next",
                ConditionExpression="version = :version",
                ExpressionAttributeValues={**changed, ":version": {"N": str(version)}},
            )
        except ConditionFailed:
            return None
        except DeadlineExceeded as unknown:
            standing = self._standing(record.key_id, unknown)
            if standing.version != version + 1:
                raise  # it may still arrive, or was written over since
            return standing.version if standing.record == record else None
        return version + 1

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        pk = tombstone_pk(tombstone.key_id)
        try:
            self._table.write(
                "put_item",
                Item={"pk": {"S": pk}, "document": {"S": json.dumps(encode(tombstone))}},
                ConditionExpression=_IS_NEW,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failed:
            if failed.standing is None:
                raise Unavailable("DynamoDB did not say which tombstone stands") from None
            return _decoded(failed.standing, decode_tombstone, tombstone.key_id)
        except DeadlineExceeded:
            standing = self._table.read_items([pk]).get(pk)
            if standing is None:
                raise
            return _decoded(standing, decode_tombstone, tombstone.key_id)
        return tombstone

    def list_ids(self, tenant: str, after: str | None, limit: int) -> Page:
        low = f"{tenant}#{BEFORE_ALL}" if after is None else behind(index_position(tenant, after))
        span = ("position", low, f"{tenant}#{AFTER_ALL}")
        found = self._in_order("by_position", "shard", "tenants", span, after, limit)
        return _page((item["position"]["S"].partition("#")[2] for item in found), limit)

    def list_all_ids(self, after: str | None, limit: int) -> Page:
        low = f"key#{BEFORE_ALL}" if after is None else behind(record_pk(after))
        found = self._in_order("by_id", "id_shard", "keys", ("pk", low, f"key#{AFTER_ALL}"), after, limit)
        return _page((item["pk"]["S"].partition("#")[2] for item in found), limit)

    def list_index(self, after: str | None, limit: int) -> Page:
        low = BEFORE_ALL if after is None else behind(index_position(*after.split("/")))
        span, share = ("position", low, AFTER_ALL), limit // SHARDS + 1
        shards = [self._table.query("by_position", ("shard", f"tenants#{n}"), span, share) for n in range(SHARDS)]
        positions = heapq.merge(*((item["position"]["S"] for item in shard) for shard in shards))
        return _page((position.replace("#", "/") for position in positions), limit)

    def indexed_at(self, tenant: str, key_id: str) -> datetime | None:
        item = self._table.read_items([record_pk(key_id)]).get(record_pk(key_id))
        if item is None or item.get("position") != {"S": index_position(tenant, key_id)}:
            return None
        return _decoded(item, decode_record, key_id).created_at

    def remove_from_index(self, tenant: str, key_id: str) -> None:
        try:
            self._table.write(
                "update_item",
                Key={"pk": {"S": record_pk(key_id)}},
                UpdateExpression="REMOVE #shard, #position",
                ConditionExpression="#position = :position",
                ExpressionAttributeNames={"#shard": "shard", "#position": "position"},
                ExpressionAttributeValues={":position": {"S": index_position(tenant, key_id)}},
            )
        except ConditionFailed:
            return  # it was not there

    def _in_order(
        self, index: str, hash_name: str, prefix: str, span: tuple[str, str, str], after: str | None, limit: int
    ) -> Iterator[Item]:
        """Shard after shard, which are ranges of ids."""
        for n in range(0 if after is None else id_shard(after), SHARDS):
            yield from self._table.query(index, (hash_name, f"{prefix}#{n}"), span, limit + 1)

    def _standing(self, key_id: str, unknown: DeadlineExceeded) -> StoredKey:
        """What stands where a write may have arrived. Raises: `unknown` where nothing does, as it still may arrive."""
        try:
            standing = self.find(key_id)
        except Unavailable:
            raise unknown from None
        if standing is None:
            raise unknown
        return standing


def _page(names: Iterator[str], limit: int) -> Page:
    """One more is asked for than is shown: so no page is empty but the only one."""
    found = tuple(islice(names, limit + 1))
    page = found[:limit]
    return Page(page, page[-1] if len(found) > limit else None)


def _version(item: Item) -> int:
    try:
        return int(item["version"]["N"])
    except (KeyError, ValueError):
        raise Unreadable("a record in DynamoDB has no version") from None


def _decoded(item: Item, decode: Callable[[object], T], key_id: str) -> T:
    """Raises: Unreadable, without what is in it."""
    try:
        value = decode(json.loads(item["document"]["S"]))
    except Malformed as error:
        raise Unreadable(f"an item of {key_id} is malformed: {error}") from None
    except (KeyError, ValueError, RecursionError):
        raise Unreadable(f"an item of {key_id} is no document") from None
    if value.key_id != key_id:
        raise Unreadable(f"an item of {key_id} holds another key's document")
    return value
