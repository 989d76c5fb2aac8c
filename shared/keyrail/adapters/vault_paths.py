"""Where everything lies in the KV mount: the one builder of its paths.

    keys/<first 2 of id>/<key id>               the record
    revoked/<first 2 of id>/<key id>            the tombstone
    tenants/<tenant>/<first 1 of id>/<key id>   the index
    feed/head   pepper   rbac/roles

A client resolves `..` before it sends, and would read another tenant's secret: so a path is a SecretPath, made of
segments each of which fully matches a pattern without dot, slash, percent sign or space.
"""

import re
from dataclasses import dataclass

from keyrail.domain.errors import Internal
from keyrail.domain.key_format import KEY_ID

SEGMENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SHARD = re.compile(r"[0-9A-Za-z]")
RECORD_SHARD = re.compile(rf"{SHARD.pattern}{{2}}")
MOUNT = re.compile(rf"{SEGMENT.pattern}(?:/{SEGMENT.pattern}){{0,7}}")  # where an engine or auth method is mounted


def _require(pattern: re.Pattern[str], value: str, what: str) -> None:
    """Requests are checked long before; whatever fails here is a defect. The value stays out of the message."""
    if not pattern.fullmatch(value):
        raise Internal(f"a Vault path was asked for with a malformed {what}")


@dataclass(frozen=True, slots=True)
class SecretPath:
    """Raises: Internal where a segment could mean anything but itself."""

    segments: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise Internal("an empty Vault path")
        for segment in self.segments:
            _require(SEGMENT, segment, "path segment")

    def __str__(self) -> str:
        return "/".join(self.segments)


FEED_HEAD = SecretPath(("feed", "head"))
PEPPER = SecretPath(("pepper",))
ROLES = SecretPath(("rbac", "roles"))
RECORDS = SecretPath(("keys",))
TENANTS = SecretPath(("tenants",))


def record_path(key_id: str) -> SecretPath:
    _require(KEY_ID, key_id, "key id")
    return SecretPath(("keys", key_id[:2], key_id))


def record_shard(shard: str) -> SecretPath:
    """The folder of the records whose key ids begin with `shard`."""
    _require(RECORD_SHARD, shard, "shard")
    return SecretPath(("keys", shard))


def tombstone_path(key_id: str) -> SecretPath:
    _require(KEY_ID, key_id, "key id")
    return SecretPath(("revoked", key_id[:2], key_id))


def index_path(tenant: str, key_id: str) -> SecretPath:
    _require(TENANT, tenant, "tenant")
    _require(KEY_ID, key_id, "key id")
    return SecretPath(("tenants", tenant, key_id[:1], key_id))


def index_folder(tenant: str) -> SecretPath:
    """The folder of a tenant's shards."""
    _require(TENANT, tenant, "tenant")
    return SecretPath(("tenants", tenant))


def index_shard(tenant: str, shard: str) -> SecretPath:
    """The folder of those of a tenant's key ids that begin with `shard`."""
    _require(TENANT, tenant, "tenant")
    _require(SHARD, shard, "shard")
    return SecretPath(("tenants", tenant, shard))
