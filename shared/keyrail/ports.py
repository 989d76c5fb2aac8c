"""What the operations need of the world outside. One contract suite a port runs over every adapter.

Every method may raise Unavailable or DeadlineExceeded where the technology behind it can't answer: an adapter
never turns that into "absent". After DeadlineExceeded a write may or may not have happened; read to know.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from keyrail.domain.digest import Peppers
from keyrail.domain.key_format import KeyFormat
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.records import KeyRecord, Limit, StoredKey, Tombstone
from keyrail.domain.roles import Roles
from keyrail.rotation_ports import (
    ConfigStore,
    DueIndex,
    EventOutbox,
    EventSink,
    KeyDelivery,
    RotatorSource,
    SecretVersions,
    UsageLog,
)

FEED_RING_SIZE = 200  # names; a reader that missed more drops all it holds


@dataclass(frozen=True, slots=True)
class Page:
    """Key ids in ascending order; `next_after` is the id to go on after, None at the end."""

    key_ids: tuple[str, ...]
    next_after: str | None


class KeyStore(Protocol):
    """Records, tombstones and the index by tenant."""

    def find(self, key_id: str) -> StoredKey | None:
        """Record and tombstone, never a stale copy. A tombstone without a record is None."""
        ...

    def create(self, record: KeyRecord) -> bool:
        """Index, then record; False where the id is taken, and then nothing is changed."""
        ...

    def replace(self, record: KeyRecord, version: int) -> int | None:
        """The new version; None where the stored one is no longer `version`, and then nothing is changed."""
        ...

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        """The tombstone that stands: this one, or the one that was there first. There is no way back."""
        ...

    def list_ids(self, tenant: str, after: str | None, limit: int) -> Page:
        """Ids of a tenant's index; an id may have no record (an issue that was cut off)."""
        ...

    # What follows is for the sweep: no other function's Vault policy allows it.

    def list_all_ids(self, after: str | None, limit: int) -> Page:
        """Ids of the records of all tenants."""
        ...

    def list_index(self, after: str | None, limit: int) -> Page:
        """The entries of all tenants' indexes, each as `<tenant>/<key id>`, in the order of tenants and ids."""
        ...

    def indexed_at(self, tenant: str, key_id: str) -> datetime | None:
        """When the entry was made; None where there is none."""
        ...

    def remove_from_index(self, tenant: str, key_id: str) -> None: ...


class PepperSource(Protocol):
    def read(self) -> Peppers: ...


class RoleSource(Protocol):
    def read(self) -> Roles: ...


@dataclass(frozen=True, slots=True)
class FeedHead:
    """`seq` counts changes; `ring` holds the names changed last, the newest at its end."""

    seq: int
    ring: tuple[str, ...]

    def changed_since(self, seq: int) -> tuple[str, ...] | None:
        """The names changed after `seq`; None where that can't be told (a gap, or a count that went back)."""
        missed = self.seq - seq
        if missed < 0 or missed > len(self.ring):
            return None
        return self.ring[len(self.ring) - missed :]


class ChangeFeed(Protocol):
    def head(self) -> FeedHead:
        """Never a stale copy."""
        ...

    def publish(self, name: str) -> None:
        """Every instance forgets what it holds of `name` (a key id, "pepper" or "roles") within about a second."""
        ...


class TokenVerifier(Protocol):
    def subject(self, token: str, now: datetime) -> str:
        """Whom a signed token was issued to. Raises: Unauthenticated; Unavailable where the issuer's keys can't be
        read."""
        ...


class AuditLog(Protocol):
    def write(self, event: str, **facts: Any) -> None:
        """One audit event, e.g. event="key.issued", key_id=..., actor=.... No secrets among the facts."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A limit that is used up. `limit` is "rate" or "quota"."""

    limit: str
    retry_after_seconds: int


class RateLimiter(Protocol):
    def take(self, key_id: str, rate: Limit | None, quota: Limit | None) -> Refused | None:
        """Counts one use against both limits, or against neither where one is used up."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    def elapsed_seconds(self) -> float:
        """Grows with real time, also over a stopped process or a frozen sandbox; only differences mean anything."""
        ...


class Found(NamedTuple):
    """`from_memory` False: read from the store just now."""

    stored: StoredKey | None
    from_memory: bool


Holding = tuple[tuple[str, object], ...]
"""Names of what is held, and what stands for the state each is in; only a KeyLookup reads it."""


class KeyLookup(Protocol):
    """What validation reads: the store itself, or a cache that knows how stale it may be. `anew` asks the store; what
    is held stays held until the store has answered."""

    def find(self, key_id: str, *, anew: bool = False) -> Found: ...

    def peppers(self, *, anew: bool = False) -> Peppers: ...

    def roles(self) -> Roles: ...

    def changes(self) -> int:
        """Grows with every change of what is held."""
        ...

    def holding(self, key_ids: Iterable[str], changes: int) -> Holding | None:
        """What answers for these keys from memory, pepper and roles with it; None where any of it is not held, or
        anything has changed since `changes`."""
        ...

    def still_holds(self, holding: Holding) -> bool:
        """True where all of it would be answered from memory, the same as then. Counts nothing."""
        ...


class Metrics(Protocol):
    """Counted facts; labels are from closed sets, so no id and no secret can become one."""

    def request(self, operation: str, code: str, seconds: float) -> None: ...

    def cache(self, outcome: str, times: int = 1) -> None:
        """hit, or miss: not held, older than its TTL, or the feed could not be read for too long."""
        ...

    def feed_read(self, at_elapsed_seconds: float) -> None: ...

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        """verb: read, write, list, login; outcome: ok, absent, conflict, denied, fault, timeout, breaker_open."""
        ...

    def dynamodb_call(self, operation: str, outcome: str, seconds: float) -> None:
        """operation: as AWS spells it; outcome: ok, conflict, busy, refused, fault, timeout. Each try is a call."""
        ...

    def breaker(self, is_open: bool) -> None: ...

    def ticked(self, outcome: str, times: int) -> None:
        """outcome: rotated, resumed, retired, skipped, failed; told at the end of a tick, also of none."""
        ...

    def grace_still_used(self) -> None:
        """A retiring generation is in use with a tenth of its grace left."""
        ...

    def events_sent(self, count: int) -> None: ...

    def outbox_waiting(self, count: int) -> None: ...

    def exposition(self) -> tuple[bytes, str]:
        """The body and content type of /metrics."""
        ...


class NoMetrics:
    def request(self, operation: str, code: str, seconds: float) -> None:
        pass

    def cache(self, outcome: str, times: int = 1) -> None:
        pass

    def feed_read(self, at_elapsed_seconds: float) -> None:
        pass

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        pass

    def dynamodb_call(self, operation: str, outcome: str, seconds: float) -> None:
        pass

    def breaker(self, is_open: bool) -> None:
        pass

    def ticked(self, outcome: str, times: int) -> None:
        pass

    def grace_still_used(self) -> None:
        pass

    def events_sent(self, count: int) -> None:
        pass

    def outbox_waiting(self, count: int) -> None:
        pass

    def exposition(self) -> tuple[bytes, str]:
        return b"", "text/plain"


@dataclass(frozen=True)
class Services:
    """Everything an operation may use, put together by bootstrap.py."""

    key_format: KeyFormat
    life_policy: LifePolicy
    keys: KeyStore
    lookup: KeyLookup
    feed: ChangeFeed
    audit: AuditLog
    limiter: RateLimiter
    clock: Clock
    delivery: KeyDelivery
    due: DueIndex
    usage: UsageLog
    configs: ConfigStore
    rotators: RotatorSource
    outbox: EventOutbox | None = None  # None where nobody listens
    event_sink: EventSink | None = None  # None where this process sends no events
    secret_versions: SecretVersions | None = None  # None where there are no sinks in Secrets Manager
    tick_tokens: TokenVerifier | None = None  # None where ticks prove themselves by a key only
    rotation_lease_seconds: float = 30.0
    metrics: Metrics = field(default_factory=NoMetrics)
    open_operations: frozenset[str] = frozenset()  # these ask no key of their caller: a private network is the guard
