"""What the operations need of the world outside. One contract suite a port runs over every adapter.

Every method may raise Unavailable or DeadlineExceeded where the technology behind it can't answer: an adapter
never turns that into "absent". After DeadlineExceeded a write may or may not have happened; read to know.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, Self

from keyrail.domain.config import ConfigDocument, StoredConfig
from keyrail.domain.digest import Peppers
from keyrail.domain.events import LifecycleEvent
from keyrail.domain.key_format import KeyFormat
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.records import KeyRecord, Limit, StoredKey, Tombstone
from keyrail.domain.roles import Roles
from keyrail.domain.sinks import Sink

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


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a sink holds. `version` is what the write that follows must name."""

    key: str = field(repr=False)
    version: int


class KeyDelivery(Protocol):
    """Puts a rotated key where its consumer reads it. docs/rotation.md "A sink of your own" """

    def read(self, sink: Sink) -> Delivered | None:
        """Never a stale copy; None where nothing was delivered yet. Raises: DeliveryFailed."""
        ...

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        """False where the sink is no longer at `version` (0: empty), and then nothing is changed.

        Raises: DeliveryFailed; the key is in no message.
        """
        ...


@dataclass(frozen=True, slots=True)
class DueEntry:
    """A hint that something is to be looked at from `at` on, a whole second. `subject` is a key id, or a config's
    `tenant/name`."""

    at: datetime
    kind: Literal["key", "config"]
    subject: str

    @classmethod
    def of(cls, at: datetime, kind: Literal["key", "config"], subject: str) -> Self:
        """Rounded up: at the second of the hint its time has come."""
        whole = at.astimezone(UTC).replace(microsecond=0)
        return cls(whole if whole == at else whole + timedelta(seconds=1), kind, subject)


class DueIndex(Protocol):
    """What a tick must look at: hints only, the records decide. Adding or removing one twice does no harm."""

    def add(self, entry: DueEntry) -> bool:
        """False where it was there already."""
        ...

    def remove(self, entry: DueEntry) -> None: ...

    def due(self, now: datetime) -> list[DueEntry]:
        """Those whose time has come, the oldest first. Its cost follows the due ones, not the total."""
        ...


class UsageLog(Protocol):
    """When each generation was used last: best effort, written in batches, never on the way of a validation."""

    def used(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        """Remembers; returns at once and raises nothing."""
        ...

    def last_used(self, key_id: str) -> dict[int, datetime]:
        """By generation, as far as it was written. Raises: Unavailable."""
        ...


class EventOutbox(Protocol):
    """Lifecycle events on their way out. An event is put before its change is acknowledged, and leaves when its
    receiver has taken it: at least once, under an id that stays the same."""

    def put(self, event: LifecycleEvent) -> None: ...

    def pending(self, limit: int) -> list[LifecycleEvent]:
        """The oldest first."""
        ...

    def remove(self, event: LifecycleEvent) -> None: ...

    def waiting(self) -> int:
        """How many events are there."""
        ...

    def take_turn(self, now: datetime, seconds: float) -> str | None:
        """Who sends, until then: the turn's name; None while somebody else's lasts. Two senders at a time would do no
        harm, but send everything twice and in no order."""
        ...

    def end_turn(self, turn: str) -> None:
        """Ours, if it still is."""
        ...


class EventSink(Protocol):
    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        """True where the receiver has taken it; False where it refuses this very event, and may take others.

        Raises: Unavailable where it did not answer within `seconds`, or takes nothing now.
        """
        ...


class TokenVerifier(Protocol):
    def subject(self, token: str, now: datetime) -> str:
        """Whom a signed token was issued to. Raises: Unauthenticated; Unavailable where the issuer's keys can't be
        read."""
        ...


class ConfigStore(Protocol):
    """Configs by tenant and name, each with its versions, counted from 1."""

    def find(self, tenant: str, name: str) -> StoredConfig:
        """The newest version, never a stale copy."""
        ...

    def find_version(self, tenant: str, name: str, version: int) -> ConfigDocument | None:
        """None where it never was, is kept no more, or was destroyed."""
        ...

    def readable_versions(self, tenant: str, name: str) -> frozenset[int]: ...

    def write(self, tenant: str, name: str, document: ConfigDocument | None, version: int) -> int | None:
        """The new version, always `version` + 1; None where the newest one is no longer `version` (0: there is none),
        and then nothing is changed. Without a document the name is unknown from then on."""
        ...

    def names(self, after: str) -> Iterator[str]:
        """`<tenant>/<name>` of each that was ever written, ascending by segments, from the one behind `after` on."""
        ...

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> None:
        """There is no way back. Versions that are not there are passed over."""
        ...


@dataclass(frozen=True, slots=True)
class CredentialRotation:
    """What is to be rotated. `rotation_id` is the same in every try of one rotation; `mark` is what `mark` gave before
    the first of them."""

    rotation_id: str
    tenant: str
    name: str
    value: Any = field(repr=False)
    settings: Mapping[str, Any]
    mark: str | None = None


class CredentialRotator(Protocol):
    """Makes one kind of credential new. docs/rotation-kinds.md

    `has_effects` False: the new value is made of nothing but the call, so nothing is to be undone or found again.
    True: something outside changes, and the call may come again after one whose outcome nobody knows.
    """

    has_effects: bool

    def checked(self, settings: Mapping[str, Any], tenant: str, *, is_system: bool) -> dict[str, Any]:
        """The settings to keep, defaults filled in. `is_system`: whoever sets them may act in every tenant.

        Raises: InvalidArgument BAD_ROTATION, without what was given.
        """
        ...

    def mark(self, asked: CredentialRotation) -> str | None:
        """Read before a rotation, kept with the config, given to every try of it. No secret."""
        ...

    def rotate(self, asked: CredentialRotation) -> Any:
        """The new value. Raises: Unavailable; the value is in no message."""
        ...

    def live(self, value: Any, settings: Mapping[str, Any]) -> Any:
        """What a reader gets for the newest value: the value itself, or with what only its own system knows."""
        ...


class RotatorSource(Protocol):
    def find(self, kind: str) -> CredentialRotator | None:
        """None where no rotator of this kind is installed. Raises: Unavailable where it can't be loaded."""
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


@dataclass(frozen=True, slots=True)
class Found:
    """`from_memory` False: read from the store just now."""

    stored: StoredKey | None
    from_memory: bool


class KeyLookup(Protocol):
    """What validation reads: the store itself, or a cache that knows how stale it may be. `anew` asks the store; what
    is held stays held until the store has answered."""

    def find(self, key_id: str, *, anew: bool = False) -> Found: ...

    def peppers(self, *, anew: bool = False) -> Peppers: ...

    def roles(self) -> Roles: ...


class Metrics(Protocol):
    """Counted facts; labels are from closed sets, so no id and no secret can become one."""

    def request(self, operation: str, code: str, seconds: float) -> None: ...

    def cache(self, outcome: str) -> None:
        """hit, or miss: not held, older than its TTL, or the feed could not be read for too long."""
        ...

    def feed_read(self, at_elapsed_seconds: float) -> None: ...

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        """verb: read, write, list, login; outcome: ok, absent, conflict, denied, fault, timeout, breaker_open."""
        ...

    def breaker(self, is_open: bool) -> None: ...

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

    def cache(self, outcome: str) -> None:
        pass

    def feed_read(self, at_elapsed_seconds: float) -> None:
        pass

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        pass

    def breaker(self, is_open: bool) -> None:
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
    tick_tokens: TokenVerifier | None = None  # None where ticks prove themselves by a key only
    rotation_lease_seconds: float = 30.0
    metrics: Metrics = field(default_factory=NoMetrics)
    open_operations: frozenset[str] = frozenset()  # these ask no key of their caller: a private network is the guard
