"""Where everything lies in the one DynamoDB table: infra/aws/table.json is the table itself.

    pk                            attributes
    key#<key id>                  document (JSON), version; in both indexes
    revoked#<key id>              document (JSON)
    due#<k, c, s>#<subject>#<at>  in by_position
    feed                          seq, ring

Where there is no Vault, also:

    rbac/roles, bootstrap/admin   document (JSON), version
    pepper                        the same, where KMS makes the pepper
    usage#<key id>                the same
    outbox#<event id>             document (JSON); in by_position
    outbox#sender                 turn, lasts_until

    by_position   shard, position   tenants#<n>, <tenant>#<key id>         due#<n>, <at>#<k, c, s>#<subject>
                                    outbox#<n>, <at>#<event id>
    by_id         id_shard, pk      keys#<n>, key#<key id>

One partition takes 1,000 writes a second, and an index whose entries all begin alike would be one partition: so the
entries are spread over SHARDS of them. Those of keys are ranges of ids, which are random: reading shard after shard is
reading in order. Those of hints are picked by a hash of the subject.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html
"""

import re
import zlib
from datetime import UTC, datetime

from keyrail.domain.errors import Internal
from keyrail.domain.key_format import BASE62, KEY_ID
from keyrail.rotation_ports import DueEntry

SHARDS = 8
FEED_PK = "feed"
BEFORE_ALL, AFTER_ALL = " ", "~"  # of positions and ids: what these may hold sorts between the two
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


def record_pk(key_id: str) -> str:
    return f"key#{_checked(key_id)}"


def tombstone_pk(key_id: str) -> str:
    return f"revoked#{_checked(key_id)}"


def id_shard(key_id: str) -> int:
    """Ascending with the ids."""
    return BASE62.index(key_id[0]) * SHARDS // len(BASE62)


def index_position(tenant: str, key_id: str) -> str:
    """`#` sorts before all that a tenant's name may hold, so that tenant `a` comes before `a-b`."""
    return f"{tenant}#{_checked(key_id)}"


def behind(position: str) -> str:
    """The least that comes after it: `!` sorts before all that could stand there."""
    return f"{position}!"


def due_pk(entry: DueEntry) -> str:
    return f"due#{entry.kind[0]}#{entry.subject}#{entry.at.astimezone(UTC):%Y%m%d%H%M%S}"


def due_item(entry: DueEntry) -> dict[str, dict[str, str]]:
    shard = zlib.crc32(entry.subject.encode()) % SHARDS
    return {"pk": {"S": due_pk(entry)}, "shard": {"S": f"due#{shard}"}, "position": {"S": _due_position(entry)}}


def usage_pk(key_id: str) -> str:
    return f"usage#{_checked(key_id)}"


def event_pk(event_id: str) -> str:
    if not _EVENT_ID.fullmatch(event_id):
        raise Internal("an item was asked for with a malformed event id")
    return f"outbox#{event_id}"


def event_item(event_id: str, at: datetime) -> dict[str, dict[str, str]]:
    shard = zlib.crc32(event_id.encode()) % SHARDS
    position = f"{at.astimezone(UTC):%Y%m%d%H%M%S%f}#{event_id}"
    return {"pk": {"S": event_pk(event_id)}, "shard": {"S": f"outbox#{shard}"}, "position": {"S": position}}


def _due_position(entry: DueEntry) -> str:
    return f"{entry.at.astimezone(UTC):%Y%m%d%H%M%S}#{entry.kind[0]}#{entry.subject}"


def _checked(key_id: str) -> str:
    """Requests are checked long before: whatever fails here is a defect."""
    if not KEY_ID.fullmatch(key_id):
        raise Internal("an item was asked for with a malformed key id")
    return key_id
