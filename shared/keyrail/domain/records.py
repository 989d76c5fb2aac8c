"""What is kept of a key. Datetimes are aware and UTC; a whole key is in none of this.

Stored form: the JSON of `encode`; unknown fields of a newer schema version are refused, never dropped.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StrictInt, TypeAdapter, with_config

from keyrail.domain.digest import DigestScheme

SCHEMA_VERSION = 1
SYSTEM_TENANT = "system"  # its keys act in every tenant; made by `keyrail bootstrap` only, or by each other

GenerationState = Literal["pending", "current", "retiring", "retired"]
RotationStep = Literal["staged", "promoted"]

_STRICT: ConfigDict = {"extra": "forbid"}


def _is_of_our_own(scheme: DigestScheme) -> bool:
    return scheme == "key"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One secret of a key. One is current. Several are pending only where runners of a rotation were cut off before
    they wrote the sink, and several retiring only where such a rotation was abandoned (domain/lifecycle.py).

    `digest_scheme` is written only where it is not "key": releases that don't know it read every other record."""

    n: StrictInt
    digest: str = field(repr=False)
    pepper_version: StrictInt
    state: GenerationState
    activated_at: AwareDatetime | None = None
    retire_at: AwareDatetime | None = None
    digest_scheme: Annotated[DigestScheme, Field(exclude_if=_is_of_our_own)] = "key"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """From where and for whom a key may be used; empty means anywhere, for anyone."""

    cidrs: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """`rotation_id` and `step` speak of the rotation in flight, or of the last one where step is "promoted".

    lease_until           whoever runs the rotation in flight is left alone until then
    staged_grace_seconds  what the rotation in flight was asked for: whoever ends it keeps to that
    silent_seconds        the grace ends early once the retiring generation was not used for so long; None: it does not
    failures              of the rotation in flight, in a row; no tick tries again before `retry_at`
    """

    grace_seconds: StrictInt
    max_grace_seconds: StrictInt
    interval_seconds: StrictInt | None = None
    next_at: AwareDatetime | None = None
    sink: str | None = None
    rotation_id: str | None = None
    step: RotationStep | None = None
    lease_until: AwareDatetime | None = None
    staged_grace_seconds: StrictInt | None = None
    silent_seconds: StrictInt | None = None
    failures: StrictInt = 0
    retry_at: AwareDatetime | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `requests` in each window of `window_seconds`."""

    requests: StrictInt
    window_seconds: StrictInt


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """`lifetime_seconds` is the life of each generation: a rotation sets `expires_at` anew from it."""

    key_id: str
    tenant: str
    env: str
    prefix: str
    owner: str
    name: str
    created_at: AwareDatetime
    created_by: str
    generations: tuple[Generation, ...]
    rotation: Rotation
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    state: Literal["active", "disabled"] = "active"
    state_reason: str | None = None
    state_at: AwareDatetime | None = None
    state_by: str | None = None
    not_before: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    lifetime_seconds: StrictInt | None = None
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    context: Context = Context()
    rate: Limit | None = None
    quota: Limit | None = None
    request_fingerprint: str | None = None
    schema_version: Literal[1] = 1


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A key is revoked once and for all when this exists."""

    key_id: str
    revoked_at: AwareDatetime
    revoked_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A record as read, with its version in the store and its tombstone where there is one."""

    record: KeyRecord
    version: int
    tombstone: Tombstone | None = None

    def state_at(self, now: datetime) -> str:
        """revoked, disabled, expired, not_yet_valid or active: the first that holds."""
        if self.tombstone is not None:
            return "revoked"
        if self.record.state == "disabled":
            return "disabled"
        if is_expired(self.record, now):
            return "expired"
        return "not_yet_valid" if is_early(self.record, now) else "active"


def is_expired(record: KeyRecord, now: datetime) -> bool:
    return record.expires_at is not None and record.expires_at <= now


def is_early(record: KeyRecord, now: datetime) -> bool:
    return record.not_before is not None and now < record.not_before


_KEY_RECORD = TypeAdapter(KeyRecord)
_TOMBSTONE = TypeAdapter(Tombstone)


def encode(value: KeyRecord | Tombstone) -> dict[str, Any]:
    """Plain JSON types."""
    adapter: TypeAdapter[Any] = _KEY_RECORD if isinstance(value, KeyRecord) else _TOMBSTONE
    encoded: dict[str, Any] = adapter.dump_python(value, mode="json")
    return encoded


def decode_record(data: object) -> KeyRecord:
    """Raises: pydantic.ValidationError on a document that is no record of this schema version."""
    return _KEY_RECORD.validate_python(data)


def decode_tombstone(data: object) -> Tombstone:
    """Raises: pydantic.ValidationError."""
    return _TOMBSTONE.validate_python(data)
